# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Why a migration of Nova's failed, from what Nova noted of its steps, and what to do about it.

Nova's checks and the first steps of a cold migration note their errors. What libvirt says of a live migration that it
breaks off stands in the source's log of nova-compute and nowhere else.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import Record
    from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import Event

# What Nova says, and what to do; {source} and {destination} are hosts. The first that fits counts.
_REMEDIES = (
    ("ssh command", "See that the user nova of {source} can log in to {destination} over SSH: its keys, and sshd."),
    ("with shared storage", "The hosts share the disks, so there is nothing to copy: leave storage=block out."),
    ("requires either shared storage", "The hosts do not share the disks: leave storage=shared out, or use block."),
    ("CPU", "Choose a host whose processor has all that the server's has, or migrate it with kind=cold."),
    ("No valid host", "See with hypervisor_info which hosts have room for it, and read nova-scheduler's log."),
)


def failure_in(events: Iterable[Event]) -> str:
    """What the steps that failed say of it, the cause first; empty when none did."""
    # A step that fails fails those that it is a part of, which began before it; Nova repeats the words in each.
    said: dict[str, str] = {}
    for event in reversed([event for event in events if event.result == "Error"]):
        said.setdefault(" ".join(event.details.split()) or "failed", event.name)
    return "; ".join(f"{name}: {words}" for words, name in said.items())


def unexplained(record: Record, phases: Sequence[Event]) -> str:
    """Of a migration that failed though no step did."""
    if record.kind == "live" and phases:
        return "Nova gives no reason; its checks had passed, and libvirt broke it off"
    return "Nova gives no reason"


def what_to_do(found: str, source: str, destination: str | None) -> str:
    """The remedy for what was found."""
    there = destination or "the destination"
    if "libvirt broke it off" in found:
        return (
            f"nova-compute's log on {source} has what libvirt said, after 'Live Migration failure'. "
            f"Often it is a certificate or a port of {there}."
        )
    for words, remedy in _REMEDIES:
        if words in found:
            return remedy.format(source=source, destination=there)
    return "Read the logs of nova-scheduler and nova-compute."
