# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Reads the settings that decide how long an outage lasts, where the services of this host have them."""

from __future__ import annotations

import configparser
import dataclasses
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils import (
    _galera_member,
    _haproxy_config,
    _keepalived,
    _rabbitmq,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMPONENTS = ("vrrp", "load_balancer", "database", "message_queue", "identity")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the services of this host have their configuration; a directory stands for its files in order of name."""

    vip: str | None = None
    keepalived: Path = Path("/etc/keepalived/keepalived.conf")
    haproxy: tuple[Path, ...] = (Path("/etc/haproxy/haproxy.cfg"), Path("/etc/haproxy/conf.d"))
    database_server: Path = Path(_galera_member.SERVER)
    database_socket: str = _galera_member.SOCKET
    rabbitmq: Path = Path("/etc/rabbitmq")
    keystone: Path = Path("/etc/keystone/keystone.conf")
    timeout_s: float = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class IdentitySettings:
    """Seconds; oslo.cache's own values (1 s, 300 s) where the file has none."""

    memcache_socket_timeout_s: float
    memcache_dead_retry_s: float


def ha_settings(places: Places, components: Sequence[str]) -> dict[str, t.Any]:
    """The settings of ``components`` as JSON; a component that is not on this host is left out."""
    found = {component: READERS[component](places) for component in components}
    return {component: settings for component, settings in found.items() if settings is not None}


def _vrrp(places: Places) -> dict[str, t.Any] | None:
    if not places.keepalived.is_file():
        return None
    return dataclasses.asdict(_keepalived.vrrp_settings(_text(places.keepalived), places.vip))


def _load_balancer(places: Places) -> dict[str, t.Any] | None:
    files = [file for place in places.haproxy for file in _files(place, "*.cfg")]
    if not files:
        return None
    backends = _haproxy_config.parse_backends(map(_text, files))
    return {"backends": {name: dataclasses.asdict(settings) for name, settings in backends.items()}}


def _database(places: Places) -> dict[str, t.Any] | None:
    if not places.database_server.exists():
        return None
    return dataclasses.asdict(_galera_member.read_provider_settings(places.database_socket, places.timeout_s))


def _message_queue(places: Places) -> dict[str, t.Any] | None:
    if not places.rabbitmq.is_dir():
        return None
    files = [*_files(places.rabbitmq / "rabbitmq.conf", ""), *_files(places.rabbitmq / "conf.d", "*.conf")]
    advanced = "".join(map(_text, _files(places.rabbitmq / "advanced.config", "")))
    return dataclasses.asdict(_rabbitmq.queue_settings(map(_text, files), advanced))


def _identity(places: Places) -> dict[str, t.Any] | None:
    if not places.keystone.is_file():
        return None
    return dataclasses.asdict(identity_settings(_text(places.keystone)))


def identity_settings(text: str) -> IdentitySettings:
    """The section [cache] of keystone.conf."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
        return IdentitySettings(
            memcache_socket_timeout_s=float(parser.get("cache", "memcache_socket_timeout", fallback="1.0")),
            memcache_dead_retry_s=float(parser.get("cache", "memcache_dead_retry", fallback="300")),
        )
    except (configparser.Error, ValueError) as error:
        remedy = "Correct [cache] in the file."
        raise LifeboatError("keystone.conf", str(error), "a configuration that Keystone reads", remedy) from error


def _files(place: Path, pattern: str) -> list[Path]:
    """The file itself, or the files of a directory; none when there is neither."""
    return sorted(place.glob(pattern)) if place.is_dir() else [place] if place.is_file() else []


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


READERS: dict[str, Callable[[Places], dict[str, t.Any] | None]] = {
    "vrrp": _vrrp,
    "load_balancer": _load_balancer,
    "database": _database,
    "message_queue": _message_queue,
    "identity": _identity,
}
