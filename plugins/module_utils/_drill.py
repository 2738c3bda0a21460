# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A drill as a value, and how it is read from a mapping: the file's, or the normalised one of ``Drill.as_mapping``."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_move import Move, read_move
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_reading import Fields, unknown
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import (
    HOST_FORMS,
    MOVE_PICKS,
    QUORUM_COMPONENTS,
    WITHOUT_COMPONENT,
    AuditName,
    Component,
    Form,
    Healing,
    Pick,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_clock import STEP_S
from ansible_collections.lifeboat.cloud.plugins.module_utils._limits import FORMULAS

if t.TYPE_CHECKING:
    from collections.abc import Collection


@dataclasses.dataclass(frozen=True, slots=True)
class Bound:
    """What a probe may see at most; durations in seconds, None is unbounded."""

    outage: float | None = None
    total: float | None = None
    p99: float | None = None
    p999: float | None = None
    failed: int | None = None
    lost: int | None = None
    reboots: int | None = None

    def relaxed(self, seconds: float) -> Bound:
        """Every duration longer by ``seconds``."""
        durations = {key: getattr(self, key) for key in ("outage", "total", "p99", "p999")}
        return dataclasses.replace(
            self, **{key: value + seconds for key, value in durations.items() if value is not None}
        )


@dataclasses.dataclass(frozen=True, slots=True)
class AtLeast:
    """What a probe must see for the drill to have shown anything."""

    outage: float | None = None
    failed: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Demand:
    """One probe of a drill and what is demanded of it."""

    name: str
    bound: Bound = Bound()
    at_least: AtLeast = AtLeast()
    error_contains: str | None = None
    error_lacks: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What is done to whom; ``component`` is None when a whole host is hit.

    ``iops`` is operations per second on the disk that carries ``path``, ``step_s`` seconds.
    """

    form: Form
    component: Component | None
    pick: Pick
    network: str | None
    path: str | None
    iops: int | None
    step_s: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Recovery:
    """How the cloud comes back, and within how many seconds."""

    within: float
    by: Healing


@dataclasses.dataclass(frozen=True, slots=True)
class Limit:
    """The formula of the predicted interval and the probe whose longest outage it predicts."""

    formula: str
    probe: str


@dataclasses.dataclass(frozen=True, slots=True)
class Drill:
    """A drill: a fault, servers that are moved, or a fault while they are. Durations in seconds."""

    name: str
    says: str
    tags: tuple[str, ...]
    needs: tuple[tuple[Component, int], ...]
    steady: tuple[Component, ...]
    probes: tuple[Demand, ...]
    fault: Fault | None
    move: Move | None
    hold: float
    recovery: Recovery
    limit: Limit | None
    audits: tuple[AuditName, ...]

    def as_mapping(self) -> dict[str, t.Any]:
        """The drill as JSON, in the shape of its file, with durations in seconds."""
        return {
            **_plain(dataclasses.asdict(self)),
            "needs": {str(component): count for component, count in self.needs},
            "probes": {
                demand.name: {
                    key: value for key, value in _plain(dataclasses.asdict(demand)).items() if key != "name" and value
                }
                for demand in self.probes
            },
        }


def _plain(value: t.Any) -> t.Any:
    """``value`` as JSON, without what is absent."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def read_drill(source: str, value: object, known_probes: Collection[str] | None = None) -> Drill:
    """The drill in the mapping ``value`` read from ``source``; without ``known_probes`` any probe's name will do."""
    fields = Fields(source, value)
    fields.allow(*(field.name for field in dataclasses.fields(Drill)))
    drill = Drill(
        name=fields.text("name"),
        says=fields.text("says"),
        tags=fields.texts("tags"),
        needs=_read_needs(fields.inner("needs")),
        steady=fields.words("steady", Component, "component"),
        probes=_read_probes(fields, known_probes),
        fault=_read_fault(fields.inner("fault")) if "fault" in fields else None,
        move=read_move(fields.inner("move")) if "move" in fields else None,
        hold=fields.duration("hold"),
        recovery=_read_recovery(fields.inner("recovery")),
        limit=_read_limit(fields.inner("limit")) if "limit" in fields else None,
        audits=fields.words("audits", AuditName, "audit"),
    )
    _check_sense(fields, drill)
    return drill


def _read_needs(fields: Fields) -> tuple[tuple[Component, int], ...]:
    fields.allow(*Component)
    return tuple((Component(key), fields.count(key)) for key in fields.keys)


def _read_probes(fields: Fields, known: Collection[str] | None) -> tuple[Demand, ...]:
    probes = fields.inner("probes")
    if not probes.keys:
        raise LifeboatError(fields.place("probes"), "no probe", "at least one probe", "Name what is to be watched.")
    for name in probes.keys:
        if known is not None and name not in known:
            raise unknown(fields.place("probes"), name, "probe", known)
    return tuple(_read_demand(name, probes.inner(name)) for name in probes.keys)


def _read_demand(name: str, fields: Fields) -> Demand:
    fields.allow("bound", "at_least", "error_contains", "error_lacks")
    bound, at_least = fields.inner("bound"), fields.inner("at_least")
    bound.allow(*(field.name for field in dataclasses.fields(Bound)))
    at_least.allow(*(field.name for field in dataclasses.fields(AtLeast)))
    demand = Demand(
        name=name,
        bound=Bound(
            outage=bound.duration_or_none("outage"),
            total=bound.duration_or_none("total"),
            p99=bound.duration_or_none("p99"),
            p999=bound.duration_or_none("p999"),
            failed=bound.count_or_none("failed"),
            lost=bound.count_or_none("lost"),
            reboots=bound.count_or_none("reboots"),
        ),
        at_least=AtLeast(outage=at_least.duration_or_none("outage"), failed=at_least.count_or_none("failed")),
        error_contains=fields.text("error_contains") if "error_contains" in fields else None,
        error_lacks=fields.text("error_lacks") if "error_lacks" in fields else None,
    )
    for key in ("outage", "failed"):
        least, most = getattr(demand.at_least, key), getattr(demand.bound, key)
        if least is not None and most is not None and least > most:
            raise LifeboatError(
                at_least.place(key), f"{least:g}", f"at most the bound, {most:g}", "No result could satisfy both."
            )
    return demand


def _read_fault(fields: Fields) -> Fault:
    fields.allow(*(field.name for field in dataclasses.fields(Fault)))
    return Fault(
        form=fields.word("form", Form, "form"),
        component=fields.word("component", Component, "component") if "component" in fields else None,
        pick=fields.word("pick", Pick, "pick"),
        network=fields.text("network") if "network" in fields else None,
        path=fields.text("path") if "path" in fields else None,
        iops=fields.count_or_none("iops", 1),
        step_s=fields.count_or_none("step_s", -STEP_S[1]),
    )


def _read_recovery(fields: Fields) -> Recovery:
    fields.allow("within", "by")
    by = fields.word("by", Healing, "way of healing", Healing.HEAL)
    return Recovery(within=fields.duration("within"), by=by)


def _read_limit(fields: Fields) -> Limit:
    fields.allow("formula", "probe")
    formula = fields.text("formula")
    if formula not in FORMULAS:
        raise unknown(fields.place("formula"), formula, "formula", FORMULAS)
    return Limit(formula=formula, probe=fields.text("probe"))


def _check_sense(fields: Fields, drill: Drill) -> None:
    if drill.hold <= 0:
        raise LifeboatError(fields.place("hold"), f"{drill.hold:g}", "more than 0 s", "Let the fault last.")
    if drill.fault is None and drill.move is None:
        raise LifeboatError(fields.place("fault"), "nothing", "a fault, a move, or both", "Say what is to happen.")
    if drill.fault is not None:
        _check_fault(fields.inner("fault"), drill.fault)
        _check_moved_hosts(fields.inner("fault"), drill.fault, drill.move)
    if drill.limit is not None:
        _check_limit(fields.inner("limit"), drill, drill.limit)


def _check_moved_hosts(fields: Fields, fault: Fault, move: Move | None) -> None:
    """A fault beside a move befalls one of the two hosts, since the others have no part in it."""
    if move is None and fault.pick in MOVE_PICKS:
        raise LifeboatError(fields.place("pick"), fault.pick, "a drill that moves servers", "Add the key move.")
    if move is not None and (fault.pick not in MOVE_PICKS or fault.form not in HOST_FORMS):
        found = f"{fault.form}, pick {fault.pick}"
        expected = f"one of {', '.join(sorted(HOST_FORMS))} with a pick of {', '.join(sorted(MOVE_PICKS))}"
        raise LifeboatError(fields.place("form"), found, expected, "Correct the fault.")


def _check_fault(fields: Fields, fault: Fault) -> None:
    form, component, pick = fault.form, fault.component, fault.pick

    def refuse(key: str, found: object, expected: str, remedy: str) -> t.NoReturn:
        raise LifeboatError(fields.place(key), str(found), expected, remedy)

    if form in WITHOUT_COMPONENT and component is not None:
        refuse("component", component, f"no component, as {form} hits a whole host", "Remove it.")
    if form not in WITHOUT_COMPONENT and component is None:
        refuse("component", "nothing", f"the component that is to {form}", f"Known: {', '.join(Component)}.")
    for key, (what, owner) in _ONLY_FOR.items():
        value = getattr(fault, key)
        if (form is owner) != (value is not None):
            refuse(
                key, "nothing" if value is None else value, f"{what} for the form {owner}, and only for it", "Correct."
            )
    if fault.path is not None and not fault.path.startswith("/"):
        refuse("path", fault.path, "an absolute path on the victim", "Begin it with '/'.")
    if fault.step_s is not None and not STEP_S[0] <= abs(fault.step_s) <= STEP_S[1]:
        refuse("step_s", fault.step_s, f"{STEP_S[0]} to {STEP_S[1]} seconds, or the negative", "Correct.")
    if form is Form.PARTITION and component not in QUORUM_COMPONENTS:
        refuse("form", f"{form} of {component}", "a component with a quorum: database, message_queue", "Use silence.")
    if form is Form.PARTITION and pick is Pick.ALL:
        refuse("pick", pick, "one member to part from the others", "Pick one.")
    whose = _OWNERS.get(pick)
    if component is not None and whose is not None and component not in whose:
        refuse("pick", pick, f"a pick that {component} knows", f"{pick} is for {', '.join(sorted(whose))}.")


_ONLY_FOR = {
    "network": ("a network", Form.NETWORK_CUT),
    "path": ("a path", Form.SLOW_DISK),
    "iops": ("a rate", Form.SLOW_DISK),
    "step_s": ("a step", Form.CLOCK_STEP),
}
_OWNERS = {
    Pick.ACTIVE_WRITER: frozenset({Component.DATABASE}),
    Pick.NOT_ACTIVE_WRITER: frozenset({Component.DATABASE}),
    Pick.QUEUE_LEADER: frozenset({Component.MESSAGE_QUEUE}),
    Pick.NOT_QUEUE_LEADER: frozenset({Component.MESSAGE_QUEUE}),
}


def _check_limit(fields: Fields, drill: Drill, limit: Limit) -> None:
    names = [demand.name for demand in drill.probes]
    if limit.probe not in names:
        raise unknown(fields.place("probe"), limit.probe, "probe of this drill", names)
    fault = drill.fault
    if fault is None:
        raise LifeboatError(fields.place("formula"), limit.formula, "no limit without a fault", "Leave the limit out.")
    holding = [name for name, formula in FORMULAS.items() if formula.holds_for(fault.form, fault.component, fault.pick)]
    if limit.formula not in holding:
        raise LifeboatError(
            fields.place("formula"),
            limit.formula,
            f"a formula for {fault.form} of {fault.component or 'a host'}, pick {fault.pick}",
            f"These hold: {', '.join(holding) or 'none; leave the limit out'}.",
        )
