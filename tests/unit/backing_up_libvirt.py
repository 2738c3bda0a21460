# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain in memory with what backs up its disks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup import WantedBackup
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup_fetched import fetched_changes
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup_making import (
    Tools,
    backup_changes,
    removal_changes,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_command import RbdImage
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import FakeHypervisor, failed

QCOW2 = (
    "<disk type='file'><driver type='qcow2'/><source file='/srv/vda'/><target dev='vda'/></disk>"
    "<disk type='file'><source file='/srv/config'/><target dev='vdb'/><readonly/></disk>"
)
RBD = "<disk type='network'><auth username='nova'/><source protocol='rbd' name='vms/1'/><target dev='vda'/></disk>"


@dataclass
class Calls:
    """BackupCalls that write files as libvirt does. ``lasts_s`` is how long a push takes."""

    hypervisor: FakeHypervisor
    known: list[str] = field(default_factory=list)
    lasts_s: float = 1.0
    errmsg: str = ""
    did: list[str] = field(default_factory=list)
    ends_at: float = 0.0
    xml: str = ""

    def begin(self, name: str, backup_xml: str, checkpoint_xml: str) -> None:
        backup, checkpoint = ElementTree.fromstring(backup_xml), ElementTree.fromstring(checkpoint_xml)
        if backup.findtext("incremental", "") not in ["", *self.known]:
            raise failed(f"domain {name}", "no such checkpoint", 103)
        for file in [each.get("file") for each in backup.iter() if each.tag in {"target", "scratch"}]:
            Path(str(file)).write_text("data", encoding="utf-8")
        self.known.append(str(checkpoint.findtext("name")))
        self.xml = backup_xml
        disks = " ".join(str(disk.get("name")) for disk in backup.iter("disk"))
        self.did.append(f"{backup.get('mode')} {disks} since {backup.findtext('incremental')}")
        self.ends_at = self.hypervisor.clock.now + self.lasts_s
        served = backup.get("mode") == "pull"
        self.hypervisor.known["vm1"].job = lambda: self.job(served)  # type: ignore[method-assign]

    def job(self, served: bool) -> Mapping[str, Any]:
        if served or self.hypervisor.clock.now < self.ends_at:
            return {"operation": 9, "disk_total": 64 << 20, "disk_processed": 8 << 20}
        return {}

    def abort(self, name: str) -> None:
        self.did.append("abort")
        self.hypervisor.known["vm1"].job = dict  # type: ignore[method-assign]

    def under_way(self, name: str) -> str:
        return self.xml if self.hypervisor.known["vm1"].job() else ""

    def completed(self, name: str) -> Mapping[str, Any]:
        return {"success": not self.errmsg, "errmsg": self.errmsg}

    def checkpoints(self, name: str) -> list[str]:
        return self.known

    def delete_checkpoint(self, name: str, checkpoint: str) -> None:
        self.known.remove(checkpoint)


@dataclass
class Pool:
    """The image vms/1 in memory, and others that have no snapshots."""

    taken: list[str] = field(default_factory=list)
    full: bool = False
    exported: list[str] = field(default_factory=list)

    def snapshots(self, image: RbdImage) -> list[str]:
        return self.taken if image.image == "vms/1" else []

    def create(self, image: RbdImage, snapshot: str) -> None:
        self.taken.append(snapshot)

    def roll_back(self, image: RbdImage, snapshot: str) -> None:
        raise AssertionError

    def remove(self, image: RbdImage, snapshot: str) -> None:
        self.taken.remove(snapshot)

    def export(self, image: RbdImage, snapshot: str, since: str | None, path: str) -> None:
        Path(path).write_text("half", encoding="utf-8")
        if self.full:
            raise LifeboatError("command rbd", "No space left on device", "exit status 0", "Make room.")
        self.exported.append(f"{image.client} {image.image}@{snapshot} since {since}")


@dataclass
class Backups:
    """A domain, what backs it up, and a directory."""

    hypervisor: FakeHypervisor
    tools: Tools
    calls: Calls
    pool: Pool
    wanted: WantedBackup

    def make(self, **change: Any) -> list[str]:
        return self._do(backup_changes(self.hypervisor, self.tools, replace(self.wanted, **change)))

    def remove(self, **change: Any) -> list[str]:
        return self._do(removal_changes(self.hypervisor, self.tools, replace(self.wanted, **change)))

    def fetched(self, **change: Any) -> list[str]:
        return self._do(fetched_changes(self.hypervisor, self.tools, replace(self.wanted, **change)))

    @staticmethod
    def _do(changes: list[Any]) -> list[str]:
        for change in changes:
            change.do()
        return [change.says for change in changes]


def backups(tmp_path: Path, disks: str) -> Backups:
    made = FakeHypervisor()
    made.define(
        f"<domain type='test'><name>vm1</name><memory>1024</memory><os><type>hvm</type></os>"
        f"<devices>{disks}</devices></domain>",
        validate=True,
    )
    made.known["vm1"].start()
    calls, pool = Calls(made), Pool()
    return Backups(
        made,
        Tools(calls, pool, made.clock),
        calls,
        pool,
        WantedBackup("vm1", "sunday", str(tmp_path / "vm1"), max_seconds=60.0),
    )


MONDAY = {"backup": "monday", "base": "sunday"}
