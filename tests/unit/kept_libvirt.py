# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains whose state is kept, and who keeps it, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import FakeHypervisor

QCOW2 = "<disk type='file'><driver type='qcow2'/><source file='/srv/{0}'/><target dev='{0}'/></disk>"
RBD = (
    "<disk type='network'><auth username='nova'/><source protocol='rbd' name='vms/{0}'/><target dev='{0}'/></disk>"
    "<disk type='file'><source file='/srv/config'/><target dev='vdz'/><readonly/></disk>"
)
RAW = "<disk type='file'><driver type='raw'/><source file='/srv/{0}'/><target dev='{0}'/></disk>"

UUID = "3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a1"


def hypervisor(*disks: str, running: bool = True) -> FakeHypervisor:
    made = FakeHypervisor()
    made.define(
        f"<domain type='test'><name>vm1</name><uuid>{UUID}</uuid><memory>1024</memory><os><type>hvm</type></os>"
        f"<devices>{''.join(disks)}</devices></domain>",
        validate=True,
    )
    if running:
        made.known["vm1"].start()
    return made


@dataclass
class Calls:
    """SaveCalls and SnapshotCalls that note what they are asked."""

    there: list[str] = field(default_factory=list)
    did: list[str] = field(default_factory=list)
    saved_of: tuple[str, str] = ("vm1", UUID)

    def save(self, name: str, path: str | None) -> None:
        self.did.append(f"save {name} {path}")

    def restore(self, name: str, path: str | None) -> None:
        self.did.append(f"restore {name} {path}")

    def drop(self, name: str) -> None:
        self.did.append(f"drop {name}")

    def saved_domain(self, path: str) -> str:
        return "<domain><name>{}</name><uuid>{}</uuid></domain>".format(*self.saved_of)

    def snapshots(self, name: str) -> list[str]:
        return self.there

    def create_snapshot(self, name: str, xml: str) -> None:
        self.did.append(xml)

    def revert(self, name: str, snapshot: str) -> None:
        self.did.append(f"revert {snapshot}")

    def delete_snapshot(self, name: str, snapshot: str) -> None:
        self.did.append(f"delete {snapshot}")
