# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a Galera member says about itself: status variables, provider options, and the files of its data directory."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

NIL_UUID = "00000000-0000-0000-0000-000000000000"
UNKNOWN_SEQNO = -1

STATUS_NAMES = (
    "wsrep_cluster_status",
    "wsrep_local_state_comment",
    "wsrep_local_state_uuid",
    "wsrep_cluster_size",
    "wsrep_last_committed",
    "wsrep_ready",
    "wsrep_connected",
)

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_RECOVERED = re.compile(rf"WSREP: Recovered position:?\s*({_UUID}):(-?\d+)", re.IGNORECASE)
_DURATION = re.compile(
    r"P(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?"
)
_DURATION_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a cluster's history: the cluster's UUID, and the number of its last write-set (-1: unknown)."""

    uuid: str
    seqno: int

    @property
    def nil(self) -> bool:
        """Whether it is no cluster's history: never initialised, or declared invalid by Galera."""
        return self.uuid == NIL_UUID

    def __str__(self) -> str:
        return f"{self.uuid}:{self.seqno}"


@dataclass(frozen=True, slots=True)
class SavedState:
    """grastate.dat. ``safe_to_bootstrap`` is None where an old version did not write it."""

    position: Position
    safe_to_bootstrap: bool | None


@dataclass(frozen=True, slots=True)
class SavedView:
    """gvwstate.dat: the last primary component. It is there only after a member ended without leaving."""

    own_uuid: str
    view_id: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberStatus:
    """A running member's word: ``status`` is Primary, non-Primary or Disconnected; ``state`` Synced, Joined ..."""

    status: str | None
    state: str | None
    size: int | None
    uuid: str | None
    last_committed: int | None
    ready: bool
    connected: bool
    read_only: bool

    @property
    def primary(self) -> bool:
        """Whether it belongs to the primary component."""
        return self.status == "Primary"

    @property
    def position(self) -> Position | None:
        """Where its data are, None when it does not say."""
        if self.uuid is None:
            return None
        return Position(self.uuid, UNKNOWN_SEQNO if self.last_committed is None else self.last_committed)


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What decides how long writes stall when a member is lost: seconds, and innodb_flush_log_at_trx_commit."""

    suspect_timeout_s: float
    inactive_timeout_s: float
    inactive_check_period_s: float
    keepalive_period_s: float
    join_retrans_period_s: float
    flush_log_at_trx_commit: int


def parse_saved_state(text: str) -> SavedState | None:
    """grastate.dat, or None when it holds no UUID (it is empty after some power losses)."""
    values = _colon_values(text)
    uuid = values.get("uuid", "").lower()
    if not re.fullmatch(_UUID, uuid):
        return None
    seqno = values.get("seqno", "")
    return SavedState(
        Position(uuid, int(seqno) if re.fullmatch(r"-?\d+", seqno) else UNKNOWN_SEQNO),
        {"0": False, "1": True}.get(values.get("safe_to_bootstrap", "")),
    )


def parse_saved_view(text: str) -> SavedView | None:
    """gvwstate.dat, or None when it is not whole."""
    lines = [line.partition(":") for line in text.splitlines()]
    pairs = [(name.strip(), value.strip()) for name, _colon, value in lines]
    values = dict(pairs)
    members = tuple(value.split()[0] for name, value in pairs if name == "member" and value)
    if "my_uuid" not in values or "view_id" not in values or not members:
        return None
    return SavedView(values["my_uuid"], values["view_id"], members)


def _colon_values(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name.strip(): value.strip() for name, mark, value in pairs if mark}


def parse_recovered_position(log: str) -> Position | None:
    """The last position in the log of ``mariadbd --wsrep-recover``."""
    found = _RECOVERED.findall(log)
    return Position(found[-1][0].lower(), int(found[-1][1])) if found else None


def member_status(status: Mapping[str, str], variables: Mapping[str, str]) -> MemberStatus:
    """From the rows of SHOW GLOBAL STATUS (``STATUS_NAMES``) and the variable read_only."""

    def number(name: str) -> int | None:
        return int(status[name]) if re.fullmatch(r"-?\d+", status.get(name, "")) else None

    return MemberStatus(
        status=status.get("wsrep_cluster_status") or None,
        state=status.get("wsrep_local_state_comment") or None,
        size=number("wsrep_cluster_size"),
        uuid=status.get("wsrep_local_state_uuid") or None,
        last_committed=number("wsrep_last_committed"),
        ready=status.get("wsrep_ready") == "ON",
        connected=status.get("wsrep_connected") == "ON",
        read_only=variables.get("read_only", "OFF") not in ("OFF", "0"),
    )


def parse_provider_options(text: str) -> dict[str, str]:
    """The options in the variable wsrep_provider_options (``a = b; c = d;``)."""
    pairs = (option.partition("=") for option in text.split(";"))
    return {name.strip(): value.strip() for name, mark, value in pairs if mark}


def provider_settings(variables: Mapping[str, str]) -> ProviderSettings:
    """From the variables wsrep_provider_options and innodb_flush_log_at_trx_commit; LifeboatError without them."""
    options = parse_provider_options(variables.get("wsrep_provider_options", ""))
    flush = variables.get("innodb_flush_log_at_trx_commit", "")
    if not flush.isdigit():
        remedy = "Look at the server's variables."
        raise LifeboatError("MariaDB's innodb_flush_log_at_trx_commit", repr(flush), "a number", remedy)

    def period(name: str) -> float:
        return duration_s(options.get(f"evs.{name}", "(absent)"), f"Galera's option evs.{name}")

    return ProviderSettings(
        suspect_timeout_s=period("suspect_timeout"),
        inactive_timeout_s=period("inactive_timeout"),
        inactive_check_period_s=period("inactive_check_period"),
        keepalive_period_s=period("keepalive_period"),
        join_retrans_period_s=period("join_retrans_period"),
        flush_log_at_trx_commit=int(flush),
    )


def duration_s(text: str, thing: str) -> float:
    """An ISO 8601 duration of days and smaller (PT0.1S, PT1M30S, P1D) in seconds."""
    match = _DURATION.fullmatch(text)
    parts = {unit: value for unit, value in match.groupdict().items() if value} if match else {}
    if not parts:
        remedy = "Make sure that the member runs with the Galera provider."
        raise LifeboatError(thing, text, "an ISO 8601 duration such as PT0.1S", remedy)
    return sum(float(value) * _DURATION_UNITS[unit] for unit, value in parts.items())
