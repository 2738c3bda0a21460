# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The store of a monitor on this host: made whole or not at all."""

from __future__ import annotations

import configparser
import os
import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

MONITOR_ROOT = Path("/var/lib/ceph/mon")
MKFS_TIMEOUT_S = 60.0
USER = "ceph"
_MONMAPTOOL = ("monmaptool", "--create", "--clobber")


@dataclass(frozen=True, slots=True)
class Credential:
    """An entity's key, a secret, and its rights."""

    key: str = field(repr=False)
    caps: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MonitorStore:
    """Where the store of the monitor C(name) is."""

    name: str
    root: Path = MONITOR_ROOT

    @property
    def path(self) -> Path:
        return self.root / f"ceph-{self.name}"

    @property
    def temporary(self) -> Path:
        return self.root / f"new-{self.name}"


@dataclass(frozen=True, slots=True)
class MonitorMap:
    """The fsid of the cluster, and its monitors, name to addresses as in C(mon_host)."""

    fsid: str
    monitors: Mapping[str, str]

    @property
    def arguments(self) -> list[str]:
        return [word for name, addresses in self.monitors.items() for word in ("--addv", name, addresses)]


def store_is_there(store: MonitorStore, key: str) -> bool:
    """Whether the store has been made; LifeboatError when it has another key, that is to say is of another cluster."""
    keyring = store.path / "keyring"
    if not keyring.exists():
        return False
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string("\n".join(line.strip() for line in keyring.read_text(encoding="utf-8").splitlines()))
    if parser.get("mon.", "key", fallback="") != key:
        raise LifeboatError(
            f"monitor store {store.path}",
            "another key of the monitors, so it belongs to another cluster, or the secrets file is not its own",
            "the key ceph_monitor_key of the secrets file",
            "Bring back the secrets file of this cluster, or move the store away to begin a new one.",
        )
    return True


def make_store(store: MonitorStore, cluster: MonitorMap, conf_file: str, entities: Mapping[str, Credential]) -> None:
    """Make the store; a run that is killed leaves none."""
    shutil.rmtree(store.temporary, ignore_errors=True)
    store.temporary.mkdir(mode=0o750)
    keyring, monmap = store.root / f"keyring-{store.name}", store.root / f"monmap-{store.name}"
    try:
        descriptor = os.open(keyring, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(keyring_text(entities))
        # Without it the names are learned by the first elections, of which members may miss one: 25 s instead of 2.
        output_of([*_MONMAPTOOL, "--fsid", cluster.fsid, *cluster.arguments, str(monmap)], MKFS_TIMEOUT_S)
        for path in (store.temporary, keyring, monmap):
            shutil.chown(path, USER, USER)
        output_of(
            [
                *("ceph-mon", "--conf", conf_file, "--mkfs", "--id", store.name, "--mon-data", str(store.temporary)),
                *("--monmap", str(monmap), "--keyring", str(keyring), "--setuser", USER, "--setgroup", USER),
            ],
            MKFS_TIMEOUT_S,
        )
    finally:
        keyring.unlink(missing_ok=True)
        monmap.unlink(missing_ok=True)
    store.temporary.rename(store.path)


def keyring_text(entities: Mapping[str, Credential]) -> str:
    """A keyring file with rights, which the first monitors take over into the cluster."""
    lines = []
    for name, credential in entities.items():
        lines += [f"[{name}]", f"\tkey = {credential.key}"]
        lines += [f'\tcaps {daemon} = "{caps}"' for daemon, caps in credential.caps.items()]
    return "\n".join(lines) + "\n"
