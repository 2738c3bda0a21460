# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The settings of Keepalived's configuration that decide how long the VIP is nowhere.

Defaults are Keepalived's own (keepalived.conf(5)): version 2, advert_int 1 s, priority 100, three adverts, a script run
each second, one failure to fall, and a script that may last as long as its interval.
"""

from __future__ import annotations

import re
import shlex
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_COMMENT = re.compile(r"""((?:[^'"!#]|'[^']*'|"[^"]*")*)[!#].*""")


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpSettings:
    """Times in seconds. The script's values are None when the instance tracks none, the slowest when several."""

    version: int
    advert_int_s: float
    priority: int
    down_timer_adverts: int
    nopreempt: bool
    script_interval_s: float | None
    script_timeout_s: float | None
    script_fall: int | None
    script_rise: int | None


@dataclass(slots=True)
class Statement:
    """A statement and, when it opens a block, what is inside."""

    words: tuple[str, ...]
    inside: list[Statement] = field(default_factory=list)

    def value(self, name: str, default: str) -> str:
        """The first argument of the last statement ``name`` inside."""
        values = [each.words[1] for each in self.inside if each.words[0] == name and len(each.words) > 1]
        return values[-1] if values else default

    def blocks(self, name: str) -> Iterator[Statement]:
        """The statements ``name`` inside."""
        return (each for each in self.inside if each.words[0] == name)

    def has(self, name: str) -> bool:
        """Whether there is a statement ``name`` inside."""
        return any(each.words[0] == name for each in self.inside)


def parse(text: str) -> Statement:
    """The configuration as a tree below a nameless root; LifeboatError when the braces do not match."""
    root = Statement(())
    path = [root]
    for number, line in enumerate(text.splitlines(), 1):
        words: list[str] = []
        for word in [*_words(line), "\n"]:
            if word not in ("{", "}", "\n"):
                words.append(word)
                continue
            if words:
                path[-1].inside.append(Statement(tuple(words)))
                words = []
            if word == "{" and path[-1].inside:
                path.append(path[-1].inside[-1])
            elif word == "{" or (word == "}" and len(path) == 1):
                raise _wrong(f"a stray '{word}' in line {number}")
            elif word == "}":
                path.pop()
    if len(path) > 1:
        raise _wrong(f"the block '{' '.join(path[-1].words)}' without an end")
    return root


def _words(line: str) -> list[str]:
    commented = _COMMENT.fullmatch(line)
    try:
        return shlex.split(commented.group(1) if commented else line)
    except ValueError as error:
        raise _wrong(f"{line.strip()} ({error})") from error


def vrrp_settings(text: str, vip: str | None = None) -> VrrpSettings:
    """The settings of the VRRP instance that has the address ``vip``, or of the first; LifeboatError without one."""
    root = parse(text)
    instance = _instance(root, vip)
    scripts = _tracked_scripts(root, instance)
    version = next((block.value("vrrp_version", "2") for block in root.blocks("global_defs")), "2")
    intervals = [float(script.value("interval", "1")) for script in scripts]
    timeouts = [
        float(script.value("timeout", str(interval))) for script, interval in zip(scripts, intervals, strict=True)
    ]
    return VrrpSettings(
        version=int(instance.value("version", version)),
        advert_int_s=float(instance.value("advert_int", "1")),
        priority=int(instance.value("priority", "100")),
        down_timer_adverts=int(instance.value("down_timer_adverts", "3")),
        nopreempt=instance.has("nopreempt"),
        script_interval_s=max(intervals, default=None),
        script_timeout_s=max(timeouts, default=None),
        script_fall=max((int(script.value("fall", "1")) for script in scripts), default=None),
        script_rise=max((int(script.value("rise", "1")) for script in scripts), default=None),
    )


def _instance(root: Statement, vip: str | None) -> Statement:
    for instance in root.blocks("vrrp_instance"):
        if vip is None or vip in _addresses(instance):
            return instance
    raise _wrong(f"no vrrp_instance with the address {vip}" if vip else "no vrrp_instance")


def _addresses(instance: Statement) -> set[str]:
    return {line.words[0].partition("/")[0] for block in instance.blocks("virtual_ipaddress") for line in block.inside}


def _tracked_scripts(root: Statement, instance: Statement) -> list[Statement]:
    tracked = {line.words[0] for block in instance.blocks("track_script") for line in block.inside}
    return [script for script in root.blocks("vrrp_script") if tracked & set(script.words[1:2])]


def _wrong(found: str) -> LifeboatError:
    return LifeboatError(
        "Keepalived's configuration", found, "a configuration that Keepalived accepts", "Run keepalived --config-test."
    )
