# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What became of the servers that a drill moved, and whether that is what the drill demands."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import Destination, MoveEnd, MoveKind
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Guest, MovedServer, Refused

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_move import Move
    from ansible_collections.lifeboat.cloud.plugins.module_utils._report import model


@dataclasses.dataclass(frozen=True, slots=True)
class Doubt:
    """Why the move did not end as demanded; with ``missed`` the drill has not shown what it is for."""

    reason: str
    missed: bool = False


def doubts(move: Move, moved: model.Move, reboots: int = 0) -> Iterator[Doubt]:
    """What is not as the drill demands; nothing when the move ended as it must. Guests may boot ``reboots`` times."""
    if not moved.servers:
        yield Doubt(f"No server was moved: {moved.found or 'nothing was said'}.", missed=True)
        return
    astray = [doubt for server in moved.servers for doubt in _of_server(move, server, moved.found)]
    yield from astray
    if move.ends is MoveEnd.MOVED and moved.found and not astray:
        yield Doubt(f"The servers are where they had to go, but what moved them failed: {moved.found}.")
    if move.reason not in moved.found:
        yield Doubt(f"The migration ended with {moved.found!r}, not with {move.reason!r}.", missed=True)
    yield from _of_refusals(move, moved.refused)
    yield from _of_guests(move, moved, reboots)
    took = moved.ended_at - moved.began_at if moved.measured_s is None else moved.measured_s
    if move.ends is MoveEnd.MOVED and took > move.bound:
        yield Doubt(f"The migration took {took:.1f} s, bound {move.bound:.1f} s.")
    if moved.interrupted_at is not None and moved.interrupted_at > moved.ended_at:
        yield Doubt("The migration had ended before it was disturbed, so nothing was shown.", missed=True)


def _of_server(move: Move, server: MovedServer, found: str) -> Iterator[Doubt]:
    whole = server.status == "ACTIVE"
    place = f"{server.name} is {server.status} on {server.host or 'no host'}"
    because = f": {found}" if found else ""
    if move.ends is MoveEnd.STAYED and not (whole and server.host == server.source):
        yield Doubt(f"{place}, and had to stay on {server.source}{because}.")
    if move.ends is MoveEnd.MOVED and not (whole and _arrived(move, server)):
        there = server.destination if move.destination is Destination.NAMED else f"another host than {server.source}"
        yield Doubt(f"{place}, and had to go to {there}{because}.")
    if move.ends is MoveEnd.LOST and whole:
        yield Doubt(f"{place}: the disturbance did not cost what it is known to cost.", missed=True)


def _arrived(move: Move, server: MovedServer) -> bool:
    if move.destination is Destination.NAMED:
        return server.host == server.destination
    return server.host not in {server.source, None}


def _of_refusals(move: Move, refused: tuple[Refused, ...]) -> Iterator[Doubt]:
    tried = {each.without: each for each in refused}
    for name in move.without:
        each = tried.get(name)
        if each is None:
            yield Doubt(f"Without {name} nothing was tried.", missed=True)
        elif not each.refused:
            yield Doubt(f"Without {name} the migration was not refused.")
        elif each.expected not in each.found:
            yield Doubt(f"Without {name} the reason was {each.found!r}; expected {each.expected!r} in it.")


def _of_guests(move: Move, moved: model.Move, reboots: int) -> Iterator[Doubt]:
    """The drill's probes watch one guest. What is demanded of it is asked of each that had to go on running."""
    if len(moved.guests) < len(moved.servers):
        yield Doubt(f"Only {len(moved.guests)} of {len(moved.servers)} guests were asked what they are.", missed=True)
    for guest in moved.guests:
        if move.writes:
            yield from _of_load(move, guest)
        if move.kind is MoveKind.LIVE and move.ends is not MoveEnd.LOST:
            yield from _of_guest(guest, reboots)


def _of_guest(guest: Guest, reboots: int) -> Iterator[Doubt]:
    if guest.boot_before is None or guest.counter_before is None:
        yield Doubt(f"The guest at {guest.address} did not answer before it was moved.", missed=True)
    elif guest.boot_after is None or guest.counter_after is None:
        yield Doubt(f"The guest at {guest.address} does not answer any more.")
    elif guest.boot_after != guest.boot_before and not reboots:
        yield Doubt(f"The guest at {guest.address} was booted meanwhile.")
    elif guest.counter_after <= guest.counter_before:
        forgot = f"counted to {guest.counter_before} before, and to {guest.counter_after} afterwards"
        yield Doubt(f"The guest at {guest.address} has forgotten something: it {forgot}.")


def _of_load(move: Move, guest: Guest) -> Iterator[Doubt]:
    """A load that is not there, or not more than the link carries, shows nothing of how one is got along with."""
    wrote = guest.writes_mib_s or 0.0
    if wrote <= move.link:
        sent = f"of which {move.link} MiB/s are sent" if move.link else "so there was no load"
        yield Doubt(f"The guest at {guest.address} wrote {wrote:.1f} MiB/s to its memory, {sent}.", missed=True)
    elif move.ends is not MoveEnd.LOST and not guest.still_writes:
        yield Doubt(f"The guest at {guest.address} did not write to its memory to the end.", missed=True)
