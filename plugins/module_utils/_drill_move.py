# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a drill moves and how that must end, and between which hosts it is to be done."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import (
    AfterCold,
    Destination,
    MovedBy,
    MoveEnd,
    MoveKind,
    MovePhase,
    MoveStorage,
    OnTimeout,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_reading import Fields


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """Servers of the drill's own that are moved from one hypervisor.

    With ``storage: block`` their disks are copied as well, which Nova refuses where the hosts share them.
    ``within`` is seconds for each server, and as many again after ``on_timeout: force``. ``writes`` is MiB of memory
    that the guests go on rewriting meanwhile, ``link`` MiB per second that the migration may send (0: no limit),
    ``phase`` what is waited for before it is disturbed. ``killed`` says whether the playbook is killed in the middle
    and run again, ``aborted`` whether an operator aborts the migration while memory is sent. ``reason`` is a part of
    what must be said when the migration fails. ``without`` names prerequisites that are taken away in turn, for each of
    which the migration must be refused.
    """

    kind: MoveKind = MoveKind.LIVE
    storage: MoveStorage = MoveStorage.AUTO
    destination: Destination = Destination.NAMED
    by: MovedBy = MovedBy.MODULE
    servers: int = 1
    after_cold: AfterCold = AfterCold.CONFIRM
    within: float = 300.0
    on_timeout: OnTimeout = OnTimeout.ABORT
    writes: int = 0
    link: int = 0
    phase: MovePhase = MovePhase.COPYING
    killed: bool = False
    aborted: bool = False
    ends: MoveEnd = MoveEnd.MOVED
    reason: str = ""
    without: tuple[str, ...] = ()

    @property
    def bound(self) -> float:
        """Seconds that all of it may take. A killed run has its time twice, and so has a migration that is forced."""
        whole = self.within * self.servers
        if self.killed:
            whole *= 2
        return whole + (self.within if self.on_timeout is OnTimeout.FORCE else 0.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Moving:
    """A server that is to be moved, by its id, and its hosts."""

    server: str
    name: str
    source: str
    destination: str


def read_move(fields: Fields) -> Move:
    """The move under the key ``move``; LifeboatError names what is wrong."""
    fields.allow(*(field.name for field in dataclasses.fields(Move)))
    usual = Move()
    move = Move(
        kind=fields.word("kind", MoveKind, "kind of migration", usual.kind),
        storage=fields.word("storage", MoveStorage, "way of the disks", usual.storage),
        destination=fields.word("destination", Destination, "destination", usual.destination),
        by=fields.word("by", MovedBy, "way of moving", usual.by),
        servers=fields.count_or_none("servers", 1) or usual.servers,
        after_cold=fields.word("after_cold", AfterCold, "end of a cold migration", usual.after_cold),
        within=fields.duration("within") if "within" in fields else usual.within,
        on_timeout=fields.word("on_timeout", OnTimeout, "end of a slow migration", usual.on_timeout),
        writes=fields.count_or_none("writes") or usual.writes,
        link=fields.count_or_none("link") or usual.link,
        phase=fields.word("phase", MovePhase, "phase of a live migration", usual.phase),
        killed=fields.flag("killed", usual.killed),
        aborted=fields.flag("aborted", usual.aborted),
        ends=fields.word("ends", MoveEnd, "end", usual.ends),
        reason=fields.text("reason") if fields.given("reason") else usual.reason,
        without=fields.texts("without"),
    )
    _check_sense(fields, move)
    if move.aborted:
        _check_abort(fields, move)
    return move


def _check_sense(fields: Fields, move: Move) -> None:
    def refuse(key: str, found: object, expected: str) -> t.NoReturn:
        raise LifeboatError(fields.place(key), str(found), expected, "Correct the drill.")

    if move.by is MovedBy.MODULE and move.servers > 1:
        refuse("servers", move.servers, "1, since only the playbook moves several")
    if move.by is MovedBy.MODULE and move.killed:
        refuse("by", move.by, "playbook, since that is what is killed and run again")
    if move.by is MovedBy.PLAYBOOK and move.kind is not MoveKind.LIVE:
        refuse("kind", move.kind, "live, as the playbook moves servers that run")
    if move.after_cold is AfterCold.REVERT and (move.kind, move.ends) != (MoveKind.COLD, MoveEnd.STAYED):
        refuse("after_cold", move.after_cold, "a cold migration that ends with the server where it was")
    if move.storage is not MoveStorage.AUTO and (move.by, move.kind) != (MovedBy.MODULE, MoveKind.LIVE):
        refuse("storage", move.storage, "auto, unless the module moves a server live")
    if move.phase is MovePhase.POST_COPY and move.on_timeout is not OnTimeout.FORCE:
        refuse("on_timeout", move.on_timeout, "force, which is how post-copy is asked for")
    if move.link and (move.by is MovedBy.PLAYBOOK or move.kind is MoveKind.COLD):
        refuse("link", move.link, "a live migration by the module, whose speed can be set")
    if move.without and move.ends is not MoveEnd.STAYED:
        refuse("ends", move.ends, "stayed, since every migration must be refused")


def _check_abort(fields: Fields, move: Move) -> None:
    """Nova aborts live migrations only, and none in post-copy; and only the module goes on while it is aborted."""
    musts = {"by": MovedBy.MODULE, "kind": MoveKind.LIVE, "phase": MovePhase.COPYING, "ends": MoveEnd.STAYED}
    for key, must in musts.items():
        found = str(getattr(move, key))
        if found != must:
            expected = f"{must}, for a migration that is aborted"
            raise LifeboatError(fields.place(key), found, expected, "Correct the drill.")
    if move.without:
        expected = "nothing, as a migration that is refused cannot be aborted"
        raise LifeboatError(fields.place("without"), ", ".join(move.without), expected, "Correct the drill.")


def choose_moving(move: Move, servers: Sequence[Mapping[str, t.Any]], hypervisors: Sequence[str]) -> tuple[Moving, ...]:
    """As many of ``servers`` (id, name, host, status) as are moved, on the host that has most of them.

    The ``hypervisors`` are those that are up and enabled. LifeboatError when there are too few of either.
    """
    if len(hypervisors) < 2:
        found = ", ".join(hypervisors) or "none"
        raise LifeboatError("hypervisors", found, "at least 2 that are up and enabled", "Bring them into service.")
    running = [each for each in servers if each["status"] == "ACTIVE" and each["host"] in hypervisors]
    by_host = {host: [each for each in running if each["host"] == host] for host in sorted(hypervisors)}
    source = max(by_host, key=lambda host: len(by_host[host]))
    if len(by_host[source]) < move.servers:
        found = ", ".join(f"{len(found)} on {host}" for host, found in by_host.items())
        raise LifeboatError("servers of the drill", found, f"{move.servers} that run on one host", "Look at them.")
    destination = next(host for host in sorted(hypervisors) if host != source)
    return tuple(
        Moving(str(each["id"]), str(each["name"]), source, destination)
        for each in sorted(by_host[source], key=lambda each: str(each["name"]))[: move.servers]
    )
