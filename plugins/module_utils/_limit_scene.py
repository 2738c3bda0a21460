# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What the formulas of the limits are computed from: settings read on the targets, and who is hit."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import Component


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """An outage that the protocol allows, in seconds."""

    minimum: float
    maximum: float


class Settings:
    """The settings read live on the targets, by host; see ``drill_plan`` for their shape."""

    def __init__(self, hosts: Mapping[str, object]) -> None:
        self._hosts = hosts

    def has(self, host: str, section: str) -> bool:
        """Whether anything of ``section`` was read on ``host``."""
        values = self._hosts.get(host)
        return isinstance(values, dict) and bool(values.get(section))

    def number(self, host: str, *path: str) -> float:
        """The number at ``path`` on ``host``."""
        value = self._value(host, path)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(host, path, repr(value), "a number")
        return float(value)

    def flag(self, host: str, *path: str) -> bool:
        """The switch at ``path`` on ``host``."""
        value = self._value(host, path)
        if not isinstance(value, bool):
            raise self._wrong(host, path, repr(value), "true or false")
        return value

    def _value(self, host: str, path: tuple[str, ...]) -> object:
        value: object = self._hosts.get(host)
        for depth, key in enumerate(path):
            if not isinstance(value, dict) or value.get(key) is None:
                found = ", ".join(sorted(map(str, value))) if isinstance(value, dict) and value else "nothing"
                raise self._wrong(host, path[: depth + 1], found, "the setting as the running service has it")
            value = value[key]
        return value

    @staticmethod
    def _wrong(host: str, path: tuple[str, ...], found: str, expected: str) -> LifeboatError:
        remedy = "Check that the service runs there with the collection's configuration, or correct what reads it."
        return LifeboatError(f"setting {'.'.join(path)} of host {host}", found, expected, remedy)


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """What a formula needs to know: settings, who is hit, who stays, who held the VIP, and the drill's own times."""

    settings: Settings
    victims: tuple[str, ...]
    survivors: tuple[str, ...]
    holder: str
    component: Component | None
    hold_s: float
    within_s: float

    def having(self, section: str) -> tuple[str, ...]:
        """The survivors on which ``section`` was read."""
        hosts = tuple(host for host in self.survivors if self.settings.has(host, section))
        if not hosts:
            raise LifeboatError(
                f"settings {section} of the hosts {', '.join(self.survivors) or '(none)'}",
                "nothing",
                f"a member of {section} that the fault spares",
                "Read the settings of all members before the drill is planned.",
            )
        return hosts

    @property
    def successor(self) -> str:
        """The survivor with the best VRRP priority: the next holder of the VIP."""
        return max(self.having("vrrp"), key=lambda host: self.settings.number(host, "vrrp", "priority"))

    @property
    def balancer(self) -> str:
        """The host whose load balancer serves the clients once the fault is over."""
        return self.holder if self.holder in self.survivors else self.successor
