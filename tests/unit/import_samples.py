# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt of a made-up import, as the role machine_import writes it."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.lifeboat.cloud.plugins.filter.import_plan import plan

if t.TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
RUN = "2026-11-22T13-42-05Z"
SUM = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
OTHER_SUM = SUM[::-1]
CDROM = {"serious": False, "says": "sda: the drive is left out"}
DEVICE = {"serious": True, "says": "the device usb0 (resource type 23) is left out"}
STEPS = (
    ("read", 8.1),
    ("copy boot", 5.2),
    ("upload boot", 2.0),
    ("copy data", 1.1),
    ("upload data", 0.9),
    ("server", 29.4),
    ("answer", 17.3),
)
WARM_STEPS = (
    ("read", 8.1),
    ("round 1", 61.2),
    ("round 2", 9.5),
    ("shut down", 4.0),
    ("copy boot", 9.0),
    ("upload boot", 2.0),
    ("server", 30.0),
    ("answer", 20.6),
)
ROUNDS = [
    {"read": 64 * MIB, "written": 48 * MIB, "seconds": 61.2},
    {"read": 64 * MIB, "written": 4 * MIB, "seconds": 9.5},
]
PREDICTED = {
    "seconds": 60.5,
    "parts": [
        {"step": "shut down", "seconds": 3.0, "known": "assumed, as long as a server that Nova's log tells of"},
        {"step": "copy", "seconds": 9.5, "known": "as long as the last round"},
        {"step": "upload", "seconds": 2.0, "known": "assumed, as fast as a link of 1 Gbit/s carries"},
        {"step": "server", "seconds": 29.0, "known": "the median of 3 earlier of any machine"},
        {"step": "answer", "seconds": 17.0, "known": "the median of 1 earlier of this machine"},
    ],
}


def machine(*disks: str, findings: t.Sequence[dict[str, t.Any]] = (CDROM,)) -> dict[str, t.Any]:
    """What foreign_machine_info tells of one with these disks."""
    told = {
        "name": "web1",
        "vcpus": 1,
        "memory": 128 * MIB,
        "firmware": "bios",
        "secure_boot": False,
        "machine_type": "q35",
        "os_type": "linux",
    }
    path = "/srv/import/web1.ova"
    return {
        "machine": told,
        "disks": [
            {"name": name, "path": path, "reference": f"{name}.vmdk", "size": 64 * MIB} for name in disks or ("boot",)
        ],
        "interfaces": [{"name": "nic", "model": "virtio", "network": "VM Network", "mac": None, "vlan": None}],
        "needs": {"vcpus": 1, "ram": 128, "disk": 1, "properties": {"hw_disk_bus": "sata", "hw_vif_model": "virtio"}},
        "findings": list(findings),
        "checksums": [{"file": "boot.vmdk", "algorithm": "sha256", "digest": SUM}],
    }


def planned(read: dict[str, t.Any], rehearsal: str = "") -> dict[str, t.Any]:
    """What becomes of it."""
    flavor = {"name": "small", "vcpus": 1, "ram": 128, "disk": 1}
    cloud = {"flavors": [flavor], "networks": ["web"], "images": [], "volumes": [], "servers": []}
    wanted = {
        "name": "web1",
        "networks": {"VM Network": "web"},
        "sources": {"/srv/import/web1.ova": SUM},
        "rehearsal": rehearsal,
        "accept_losses": True,
    }
    made: dict[str, t.Any] = json.loads(json.dumps(plan({"machine": read, "cloud": cloud, "wanted": wanted})))
    return made


def copied(**changed: t.Any) -> dict[str, t.Any]:
    return {
        "size": 64 * MIB,
        "read": 21 * MIB,
        "written": 20 * MIB,
        "resumed": 0,
        "source_digest": SUM,
        "destination_digest": SUM,
        "seconds": 4.6,
        **changed,
    }


def receipt(**changed: t.Any) -> dict[str, t.Any]:
    """Of a machine with two disks that was off and whose server has answered."""
    findings = changed.pop("findings", [CDROM])
    read = machine("boot", "data", findings=findings)
    return {
        "source": "/srv/import/web1.ova",
        "host": "ctl1",
        "cloud": "demo",
        "address": "10.98.3.141",
        "began": RUN,
        "machine": read["machine"],
        "checksums": read["checksums"],
        "findings": findings,
        "properties": read["needs"]["properties"],
        "plan": planned(read, "-rehearsal" if changed.get("rehearsal") else ""),
        "rehearsal": False,
        "copies": {"boot": copied(), "data": copied(size=16 * MIB, resumed=4 * MIB)},
        "steps": steps(STEPS),
        "server_seconds": {"volumes": 2.6, "floating IP": 7.4, "server": 15.1},
        "converted": False,
        "warm": {},
        "answered": True,
        "failure": "",
        "left": False,
        "kept": False,
        "started_again": False,
        **changed,
    }


def warm(offline_s: float | None = 65.6, **changed: t.Any) -> dict[str, t.Any]:
    """Of a domain that was copied while it ran, and was away for so long; None for one that was not stopped."""
    stopped = {"since": "2026-11-22T13:43:24Z", "by": "libvirt, which was asked to shut it down"}
    told = {
        "rounds": ROUNDS,
        "predicted": PREDICTED,
        "stopped": stopped if offline_s is not None else {},
        "copy_seconds": 4.6,
        "offline_seconds": offline_s,
        "error": None if offline_s is None else round(PREDICTED["seconds"] / offline_s - 1, 3),
    }
    one = receipt(source="/srv/import/web1.xml", warm=told, steps=steps(WARM_STEPS), copies={"boot": copied()})
    return {**one, "plan": planned(machine()), **changed}


def failed(of: dict[str, t.Any], **changed: t.Any) -> dict[str, t.Any]:
    """The same import when its server did not answer."""
    failure = "Wait for the port: server web1: found no answer at 10.98.3.141 port 22 within 300 s."
    return {**of, "answered": False, "failure": failure, **changed}


def steps(of: t.Iterable[tuple[str, float]]) -> list[dict[str, t.Any]]:
    return [{"step": name, "seconds": seconds} for name, seconds in of]


def write(directory: Path, document: object) -> Path:
    """Put it where the role does."""
    path = directory / f"{RUN}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
