# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""From the JSON object of a drill, whose shape is published as report.schema.json, to its values."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import (
    Audit,
    Bin,
    Drill,
    Event,
    Fault,
    Guest,
    Latency,
    Lateness,
    Ledger,
    Move,
    MovedServer,
    Outage,
    Probe,
    Proof,
    Refused,
    Verdict,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.reading import (
    Fields,
    as_amount,
    as_count,
    as_flag,
    as_interval,
    as_items,
    as_number,
    as_text,
    as_texts,
    wrong,
)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def read_drill(place: str, value: object) -> Drill:
    """The drill in the JSON object ``value``; LifeboatError names the first field that is wrong."""
    fields = Fields(place, value)
    drill = Drill(
        name=fields.take("name", _read_name),
        says=fields.take("says", as_text),
        tags=fields.take("tags", as_texts),
        verdict=fields.take("verdict", read_verdict),
        reasons=fields.take("reasons", as_texts),
        fault=fields.take_or_none("fault", _read_fault),
        move=fields.take_or_none("move", _read_move) if "move" in fields else None,
        probes=fields.take_each("probes", _read_probe),
        limit=fields.take_or_none("limit_s", as_interval),
        limit_formula=fields.take_or_none("limit_formula", as_text),
        limit_probe=fields.take_if_there("limit_probe", as_text),
        ratio_to_limit=fields.take_or_none("ratio_to_limit", as_amount),
        recovery=fields.take_or_none("recovery_s", as_amount),
        audits=fields.take_each("audits", _read_audit),
        timeline=fields.take_each("timeline", _read_event),
        started_at=fields.take("started_at", as_amount),
        finished_at=fields.take("finished_at", as_amount),
    )
    fields.refuse_others()
    return drill


def _read_name(place: str, value: object) -> str:
    name = as_text(place, value)
    if not _NAME.fullmatch(name):
        raise wrong(place, value, "lower-case letters, digits, _ and -")
    return name


def read_verdict(place: str, value: object) -> Verdict:
    """``value`` as a verdict, or an error."""
    try:
        return Verdict(as_text(place, value))
    except ValueError:
        raise wrong(place, value, f"one of {', '.join(Verdict)}") from None


def _read_fault(place: str, value: object) -> Fault:
    fields = Fields(place, value)
    fault = Fault(
        form=fields.take("form", as_text),
        component=fields.take_or_none("component", as_text),
        target=fields.take("target", as_texts),
        pick=fields.take_or_none("pick", as_text),
        proof=fields.take_each("proof", _read_proof),
        injected_at=fields.take_or_none("injected_at", as_amount),
        healed_at=fields.take_or_none("healed_at", as_amount),
    )
    fields.refuse_others()
    return fault


def _read_proof(place: str, value: object) -> Proof:
    fields = Fields(place, value)
    proof = Proof(
        host=fields.take("host", as_text),
        landed=fields.take("landed", as_flag),
        active=fields.take_or_none("active", as_flag),
        evidence=fields.take("evidence", as_text),
    )
    fields.refuse_others()
    return proof


def _read_move(place: str, value: object) -> Move:
    fields = Fields(place, value)
    move = Move(
        kind=fields.take("kind", as_text),
        servers=fields.take_each("servers", _read_server),
        began_at=fields.take("began_at", as_amount),
        ended_at=fields.take("ended_at", as_amount),
        interrupted_at=fields.take_or_none("interrupted_at", as_amount),
        predicted_s=fields.take_or_none("predicted_s", as_amount),
        measured_s=fields.take_or_none("measured_s", as_amount),
        found=fields.take("found", as_text),
        refused=fields.take_each("refused", _read_refused),
        guests=fields.take_each("guests", _read_guest) if "guests" in fields else (),
    )
    fields.refuse_others()
    return move


def _read_guest(place: str, value: object) -> Guest:
    fields = Fields(place, value)
    guest = Guest(
        address=fields.take("address", as_text),
        boot_before=fields.take_if_there("boot_before", as_text),
        boot_after=fields.take_if_there("boot_after", as_text),
        counter_before=fields.take_if_there("counter_before", as_count),
        counter_after=fields.take_if_there("counter_after", as_count),
        writes_mib_s=fields.take_if_there("writes_mib_s", as_amount),
        still_writes=fields.take_if_there("still_writes", as_flag),
    )
    fields.refuse_others()
    return guest


def _read_server(place: str, value: object) -> MovedServer:
    fields = Fields(place, value)
    server = MovedServer(
        name=fields.take("name", as_text),
        source=fields.take("source", as_text),
        destination=fields.take("destination", as_text),
        host=fields.take_or_none("host", as_text),
        status=fields.take("status", as_text),
    )
    fields.refuse_others()
    return server


def _read_refused(place: str, value: object) -> Refused:
    fields = Fields(place, value)
    refused = Refused(
        without=fields.take("without", as_text),
        refused=fields.take("refused", as_flag),
        found=fields.take("found", as_text),
        expected=fields.take("expected", as_text),
    )
    fields.refuse_others()
    return refused


def _read_probe(place: str, value: object) -> Probe:
    fields = Fields(place, value)
    return Probe(
        name=fields.take("name", as_text),
        kind=fields.take("kind", as_text),
        requests=fields.take("requests", as_count),
        failed=fields.take("failed", as_count),
        slow=fields.take("slow", as_count),
        longest_outage=fields.take("longest_outage_s", as_amount),
        longest_outage_lower=fields.take("longest_outage_lower_s", as_amount),
        total_outage=fields.take("total_outage_s", as_amount),
        uncertainty=fields.take("uncertainty_s", as_amount),
        lateness=fields.take("lateness_ms", _read_lateness),
        bound=fields.take_or_none("bound_s", as_amount),
        latency=fields.take("latency_ms", _read_latency),
        period=fields.take("period_s", as_amount),
        slo=fields.take_or_none("slo_s", as_amount),
        outages=fields.take_each("outages", _read_outage),
        errors=fields.take("errors", _read_errors),
        series=fields.take_each("series", _read_bin),
        ledger=_read_ledger(fields) if "acknowledged" in fields else None,
    )


def _read_ledger(fields: Fields) -> Ledger:
    return Ledger(**{field.name: fields.take(field.name, as_count) for field in dataclasses.fields(Ledger)})


def _read_lateness(place: str, value: object) -> Lateness:
    return Lateness(**_read_numbers(place, value, Lateness))


def _read_latency(place: str, value: object) -> Latency:
    return Latency(**_read_numbers(place, value, Latency))


def _read_numbers(place: str, value: object, shape: type[Lateness | Latency]) -> dict[str, float | None]:
    fields = Fields(place, value)
    numbers = {field.name: fields.take_or_none(field.name, as_number) for field in dataclasses.fields(shape)}
    fields.refuse_others()
    return numbers


def _read_outage(place: str, value: object) -> Outage:
    fields = Fields(place, value)
    outage = Outage(
        start=fields.take("start", as_amount),
        lower=fields.take("lower_s", as_amount),
        upper=fields.take_or_none("upper_s", as_amount),
        requests=fields.take("requests", as_count),
        reason=fields.take("reason", as_text),
    )
    fields.refuse_others()
    return outage


def _read_errors(place: str, value: object) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, dict):
        raise wrong(place, value, "an object of reason: count")
    counted: dict[str, t.Any] = value
    return tuple(sorted((reason, as_count(f"{place}.{reason}", count)) for reason, count in counted.items()))


def _read_bin(place: str, value: object) -> Bin:
    items = as_items(place, value)
    if len(items) != 4:
        raise wrong(place, value, "[epoch, ok, failed, worst_ms]")
    at, ok, failed, worst = items
    return Bin(
        at=as_amount(place, at),
        ok=as_count(place, ok),
        failed=as_count(place, failed),
        worst_ms=None if worst is None else as_amount(place, worst),
    )


def _read_audit(place: str, value: object) -> Audit:
    fields = Fields(place, value)
    audit = Audit(
        name=fields.take("name", as_text), passed=fields.take("passed", as_flag), detail=fields.take("detail", as_text)
    )
    fields.refuse_others()
    return audit


def _read_event(place: str, value: object) -> Event:
    fields = Fields(place, value)
    event = Event(
        at=fields.take("at", as_amount),
        what=fields.take("what", as_text),
        host=fields.take_if_there("host", as_text),
    )
    fields.refuse_others()
    return event
