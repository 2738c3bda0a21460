# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What became of the servers that a drill moved, and whether that is what the drill demands."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import Destination, MoveEnd
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import MovedServer, Refused

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_move import Move
    from ansible_collections.lifeboat.cloud.plugins.module_utils._report import model


@dataclasses.dataclass(frozen=True, slots=True)
class Doubt:
    """Why the move did not end as demanded; with ``missed`` the drill has not shown what it is for."""

    reason: str
    missed: bool = False


def doubts(move: Move, moved: model.Move) -> Iterator[Doubt]:
    """What is not as the drill demands; nothing when the move ended as it must."""
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
