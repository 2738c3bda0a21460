# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What storage asks of the running kernel: whether it has it, or has a module that it can load."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Feature:
    """A part of the kernel: its module, and the file and word, or the path, that show it where it runs."""

    says: str
    module: str
    shown_in: str
    word: str = ""


NFS_SERVER = Feature("the NFS server (nfsd)", "nfsd", "proc/filesystems", "nfsd")
NFS_CLIENT = Feature("the NFS client (nfsv4)", "nfsv4", "proc/filesystems", "nfs4")
DEVICE_MAPPER = Feature("the device mapper (dm_mod)", "dm_mod", "proc/misc", "device-mapper")
ISCSI_INITIATOR = Feature("the iSCSI initiator (iscsi_tcp)", "iscsi_tcp", "sys/class/iscsi_transport/tcp")


def offers(feature: Feature, root: Path = Path("/")) -> bool:
    """Whether the running kernel has the feature: built in, loaded, or there to be loaded."""
    shown = root / feature.shown_in
    if feature.word and feature.word in _text(shown).split():
        return True
    if not feature.word and shown.exists():
        return True
    modules = root / "lib/modules" / platform.release()
    listed = [line.partition(":")[0] for name in ("modules.dep", "modules.builtin") for line in _lines(modules / name)]
    return any(Path(path).name.split(".ko")[0].replace("-", "_") == feature.module for path in listed)


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
