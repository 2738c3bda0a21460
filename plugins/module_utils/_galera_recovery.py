# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""From which member a Galera cluster may be brought back: the decision table, which refuses whenever it cannot be sure.

- A member runs in the primary component: the others join it. Nothing is bootstrapped, and a member whose data belong to
  another history, or are ahead of the primary component, is a reason to refuse, as joining would overwrite them.
- None is primary but some run: they must be stopped first, then all positions are read again and the question is asked
  again. ``pc.bootstrap`` on running members is never chosen: it makes a primary component of those that see each other,
  whatever a member that is apart has committed. Stopping loses nothing that was committed.
- All are stopped: every member must be reachable with a known position and they must share one UUID; the highest
  sequence number wins. A member with the nil UUID (never initialised, or declared invalid by Galera) has no data to
  lose and is never the source. A member marked safe_to_bootstrap behind another contradicts itself: refused. Among
  equals the one marked safe, then the first by name.
- An override names the source and takes the place of completeness, UUIDs and positions. It does not make a second
  primary component, nor a cluster from a member without data.
"""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._galera import NIL_UUID

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OVERRIDE_VARIABLE = "database_recover_from"


class Action(enum.StrEnum):
    """What is to be done next."""

    NONE = "none"
    JOIN = "join"
    STOP = "stop"
    BOOTSTRAP = "bootstrap"


@dataclass(frozen=True, slots=True)
class MemberState:
    """One member. ``primary`` is None when it runs and does not say; ``seqno`` -1 or None when it is not known."""

    host: str
    running: bool = False
    primary: bool | None = None
    reachable: bool = True
    uuid: str | None = None
    seqno: int | None = None
    safe_to_bootstrap: bool | None = None
    gvwstate_members: tuple[str, ...] | None = None
    error: str | None = None

    @property
    def serves(self) -> bool:
        """Whether it runs in the primary component."""
        return self.reachable and self.running and self.primary is True

    @property
    def known_seqno(self) -> int | None:
        """The sequence number, or None."""
        return self.seqno if self.seqno is not None and self.seqno >= 0 else None

    @property
    def empty(self) -> bool:
        """Whether it is certain that it holds no cluster's data."""
        return self.uuid == NIL_UUID

    @property
    def cluster(self) -> str | None:
        """The UUID of the cluster whose data it holds."""
        return None if self.empty else self.uuid

    def __str__(self) -> str:
        position = f"{self.uuid or 'unknown'}:{'unknown' if self.known_seqno is None else self.seqno}"
        safe = {True: "1", False: "0", None: "unknown"}[self.safe_to_bootstrap]
        said = f"{self.host}: {position} ({self._condition}, safe_to_bootstrap {safe})"
        return f"{said} [{self.error}]" if self.error else said

    @property
    def _condition(self) -> str:
        if not self.reachable:
            return "unreachable"
        if not self.running:
            return "stopped"
        return {True: "running, Primary", False: "running, not Primary", None: "running, does not answer"}[self.primary]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, why, and one line of evidence for each member."""

    action: Action
    bootstrap_host: str | None
    join_hosts: tuple[str, ...]
    stop_hosts: tuple[str, ...]
    reason: str
    evidence: tuple[str, ...]


def decide(members: Sequence[MemberState], expected_members: int, override: str | None = None) -> Decision:
    """The next action for the members of one cluster; LifeboatError with the evidence when it is not certain."""
    return _Case(members, expected_members, override).decide()


class _Case:
    """One question to the decision table."""

    def __init__(self, members: Sequence[MemberState], expected_members: int, override: str | None) -> None:
        self.members = sorted(members, key=lambda member: member.host)
        self.expected_members = expected_members
        self.override = override
        self.stopped = [member for member in self.members if member.reachable and not member.running]

    def decide(self) -> Decision:
        self._check_names()
        serving = [member for member in self.members if member.serves]
        if serving:
            return self._join(serving)
        if self.override is None:
            self._check_complete()
        else:
            self._check_override_has_data()
        running = tuple(member.host for member in self.members if member.reachable and member.running)
        if running:
            reason = "no member is Primary; those that run are stopped before positions are compared"
            return self._decision(Action.STOP, None, (), running, reason)
        return self._bootstrap()

    def _check_names(self) -> None:
        hosts = [member.host for member in self.members]
        if len(set(hosts)) != len(hosts) or not hosts:
            raise self._refusal("a host named twice" if hosts else "no members", "each member once")
        chosen = [member for member in self.members if member.host == self.override]
        if self.override is not None and not chosen:
            raise self._refusal(f"{OVERRIDE_VARIABLE}={self.override}, which is no member", "one of the members")
        if chosen and not chosen[0].reachable:
            raise self._refusal(f"{self.override}, the chosen member, unreachable", "a reachable member")

    def _join(self, serving: list[MemberState]) -> Decision:
        if self.override is None:
            self._check_join_loses_nothing(serving)
            hosts = {member.host for member in serving}
        elif self.override in {member.host for member in serving}:
            cluster = next(member.cluster for member in serving if member.host == self.override)
            hosts = {member.host for member in serving if member.cluster == cluster}
        else:
            found = f"{' and '.join(member.host for member in serving)} running as Primary"
            raise self._refusal(found, f"no other primary component when {self.override} is to be the source")
        # One that runs and does not say more may be receiving its data: it is left alone.
        silent = {member.host for member in self.members if member.running and member.primary is None}
        joining = tuple(
            member.host for member in self.members if member.reachable and member.host not in hosts | silent
        )
        reason = f"{', '.join(sorted(hosts))} in the primary component"
        return self._decision(Action.JOIN if joining else Action.NONE, None, joining, (), reason)

    def _check_join_loses_nothing(self, serving: list[MemberState]) -> None:
        if len({member.cluster for member in [*serving, *self.stopped] if member.cluster}) > 1:
            raise self._refusal("data of different clusters", "one UUID, as joining overwrites the others' data")
        newest = max((member.known_seqno for member in serving if member.known_seqno is not None), default=None)
        ahead = [
            member.host
            for member in self.stopped
            if newest is not None and not member.empty and (member.known_seqno or 0) > newest
        ]
        if ahead:
            raise self._refusal(
                f"{', '.join(ahead)} ahead of the primary component",
                "no stopped member ahead, as joining overwrites its data",
            )

    def _check_complete(self) -> None:
        unreachable = [member.host for member in self.members if not member.reachable]
        if unreachable:
            found = f"{', '.join(unreachable)} unreachable"
            raise self._refusal(found, "an answer from every member, as a missing one may have the newest data")
        if len(self.members) != self.expected_members:
            raise self._refusal(f"{len(self.members)} members", f"{self.expected_members} members")
        view = max((len(member.gvwstate_members or ()) for member in self.members), default=0)
        if view > self.expected_members:
            raise self._refusal(f"a last view of {view} members", f"at most {self.expected_members}, all known here")

    def _check_override_has_data(self) -> None:
        if any(member.host == self.override and member.empty for member in self.members):
            raise self._refusal(f"{self.override}, the chosen member, without data", "a member with a cluster's data")

    def _bootstrap(self) -> Decision:
        if self.override is not None:
            return self._from(self.override, f"{OVERRIDE_VARIABLE} names it")
        candidates = self._candidates()
        newest = max(t.cast("int", member.known_seqno) for member in candidates)
        behind = [member.host for member in candidates if member.safe_to_bootstrap and member.known_seqno != newest]
        if behind:
            found = f"{', '.join(behind)} marked safe_to_bootstrap and behind another member"
            raise self._refusal(found, "the mark on a member with the highest sequence number, or on none")
        equals = [member for member in candidates if member.known_seqno == newest]
        source = min(equals, key=lambda member: (not member.safe_to_bootstrap, member.host))
        return self._from(source.host, f"the highest sequence number, {newest}")

    def _candidates(self) -> list[MemberState]:
        candidates = [member for member in self.members if not member.empty]
        if not candidates:
            raise self._refusal("no data on any member", "a cluster that has run (install it, or restore a backup)")
        unknown = [member.host for member in candidates if member.uuid is None or member.known_seqno is None]
        if unknown:
            raise self._refusal(f"no known position on {', '.join(unknown)}", "a recovered position on every member")
        if len({member.uuid for member in candidates}) > 1:
            raise self._refusal("data of different clusters", "one cluster UUID")
        return candidates

    def _from(self, host: str, reason: str) -> Decision:
        joining = tuple(member.host for member in self.stopped if member.host != host)
        return self._decision(Action.BOOTSTRAP, host, joining, (), f"{host}: {reason}")

    def _decision(
        self, action: Action, source: str | None, joining: tuple[str, ...], stopping: tuple[str, ...], reason: str
    ) -> Decision:
        return Decision(action, source, joining, stopping, reason, self._evidence())

    def _evidence(self) -> tuple[str, ...]:
        return tuple(str(member) for member in self.members)

    def _refusal(self, found: str, expected: str) -> LifeboatError:
        evidence = "; ".join(self._evidence()) or "none"
        return LifeboatError(
            "recovery of the Galera cluster",
            f"{found}. Evidence: {evidence}",
            expected,
            f"Save the data directories, see which member has the wanted data, and name it in {OVERRIDE_VARIABLE}.",
        )


def member_state(facts: Mapping[str, t.Any]) -> MemberState:
    """From the JSON of ``galera_info`` with ``host`` added, or ``{host, reachable: false}``."""
    host = facts.get("host")
    if not isinstance(host, str) or not host:
        found = f"one without host: {', '.join(map(str, facts)) or 'empty'}"
        raise LifeboatError("members", found, "host in each", "Add the inventory host name to galera_info's facts.")
    view = facts.get("gvwstate_members")
    return MemberState(
        host=host,
        running=bool(facts.get("running", False)),
        primary=facts.get("primary"),
        reachable=bool(facts.get("reachable", True)),
        uuid=facts.get("uuid"),
        seqno=facts.get("seqno"),
        safe_to_bootstrap=facts.get("safe_to_bootstrap"),
        gvwstate_members=tuple(view) if view is not None else None,
        error=facts.get("error"),
    )
