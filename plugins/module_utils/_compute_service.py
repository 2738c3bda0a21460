# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""One service of Nova: whether servers are scheduled to it, whether it is forced down, and waiting for its state."""

from __future__ import annotations

import dataclasses
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError, read_list, write

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json, Service

# Since 2.53 a service is named by its UUID, so that one with the same number in another cell is never meant.
_MICROVERSION = "2.53"
_CHANGEABLE = "nova-compute"
_REASON_LENGTH = 255
_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ComputeService:
    """A service as Nova has it. ``updated_at`` is its last report, as ISO 8601 in UTC."""

    id: str
    host: str
    binary: str
    zone: str
    status: str
    disabled_reason: str | None
    forced_down: bool
    state: str
    updated_at: str | None

    @classmethod
    def parse(cls, body: Json) -> ComputeService:
        """From an entry of C(os-services)."""
        return cls(**{field.name: body[field.name] for field in dataclasses.fields(cls)})

    def __str__(self) -> str:
        return f"{self.binary} on {self.host}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a service shall be; None is left as it is. ``silent_s``: for how many seconds it must not report."""

    host: str
    binary: str = _CHANGEABLE
    status: str | None = None
    disabled_reason: str | None = None
    forced_down: bool | None = None
    state: str | None = None
    silent_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """One difference."""

    says: str
    thing: str
    before: object
    after: object


def validate(wanted: Wanted) -> None:
    """LifeboatError for a reason that Nova would not take."""
    thing = f"{wanted.binary} on {wanted.host}"
    reason = wanted.disabled_reason
    if reason is not None and wanted.status != "disabled":
        raise LifeboatError(thing, "a disabled_reason", "one only with state=disabled", "Leave it out.")
    if reason is not None and not 0 < len(reason) <= _REASON_LENGTH:
        found = f"a disabled_reason of {len(reason)} characters"
        raise LifeboatError(thing, found, f"1 to {_REASON_LENGTH}", "Shorten it, or leave it out.")


def read_services(compute: Service, binary: str = _CHANGEABLE) -> list[ComputeService]:
    """That service of every host."""
    bodies = read_list(compute, "/os-services", "services", _MICROVERSION, binary=binary)
    return [ComputeService.parse(body) for body in bodies]


def find_service(compute: Service, host: str, binary: str) -> ComputeService:
    """The service; a LifeboatError names the known hosts when there is not exactly one."""
    return service_of(read_services(compute, binary), host, binary)


def service_of(services: Sequence[ComputeService], host: str, binary: str = _CHANGEABLE) -> ComputeService:
    """The service of that host among these; a LifeboatError names the known hosts when there is not exactly one."""
    known = {service.host for service in services}
    found = [service for service in services if service.host == host]
    if len(found) == 1:
        return found[0]
    raise LifeboatError(
        f"{binary} on {host}",
        f"{len(found) or 'no'} such services; {binary} runs on {', '.join(sorted(known)) or 'no host at all'}",
        "one",
        "Give a host as Nova calls it.",
    )


def require_destination(services: Sequence[ComputeService], host: str) -> None:
    """LifeboatError when no server can be sent to ``host``."""
    service = service_of(services, host)
    if service.state != "up" or service.status != "enabled":
        found = f"{service.status} and {service.state}"
        remedy = "Choose another host, or bring this one up and enable it with compute_service."
        raise LifeboatError(str(service), found, "enabled and up, since it shall take a server", remedy)


def settled(found: ComputeService, wanted: Wanted) -> ComputeService:
    """How Nova will have the service once it is as wanted."""
    status = wanted.status or found.status
    reason = wanted.disabled_reason
    if reason is None and status == found.status:
        reason = found.disabled_reason
    forced_down = found.forced_down if wanted.forced_down is None else wanted.forced_down
    state = "down" if forced_down else found.state
    return dataclasses.replace(
        found,
        status=status,
        disabled_reason=reason,
        forced_down=forced_down,
        state=state,
    )


def differences(found: ComputeService, after: ComputeService) -> list[Change]:
    """What distinguishes the two; LifeboatError when Nova does not change such a service."""
    says = {
        "status": f"{after.status.removesuffix('d')} {found}",
        "disabled_reason": f"note why {found} is disabled" if after.disabled_reason else f"drop the reason of {found}",
        "forced_down": f"force {found} down" if after.forced_down else f"stop forcing {found} down",
    }
    pairs = [(thing, getattr(found, thing), getattr(after, thing)) for thing in says]
    changes = [Change(says[thing], thing, before, now) for thing, before, now in pairs if before != now]
    if changes and found.binary != _CHANGEABLE:
        remedy = "Leave state and forced_down out; wait_for works for every service."
        raise LifeboatError(str(found), f"a wish to {changes[0].says}", f"changes of {_CHANGEABLE} only", remedy)
    return changes


def refuse_vain_wait(after: ComputeService, wanted: Wanted) -> None:
    """LifeboatError for waiting until a service is up that stays forced down."""
    if wanted.state == "up" and after.forced_down:
        remedy = "Set forced_down=false as well, once the host is known to be in order."
        raise LifeboatError(str(after), "it is forced down", "a service that can come up", remedy)


def update(compute: Service, after: ComputeService, changes: list[Change], end: float) -> ComputeService:
    """Make the changes in one request; how Nova has the service then.

    Nova refuses to bring up a host from which servers were evacuated until its nova-compute has started and noticed.
    This is tried again until ``end`` on the monotonic clock, then it is a LifeboatError.
    """
    things = {change.thing for change in changes}
    body: Json = {"forced_down": after.forced_down} if "forced_down" in things else {}
    if things & {"status", "disabled_reason"}:
        body["status"] = after.status
        if after.disabled_reason:
            body["disabled_reason"] = after.disabled_reason
    while True:
        try:
            answer = write(compute, f"/os-services/{after.id}", body, _MICROVERSION)
        except RefusalError as refusal:
            if refusal.status != 400 or "evacuation" not in refusal.found:
                raise
            if time.monotonic() >= end:
                remedy = f"Start nova-compute on {after.host}, and give it time with wait_for=up and wait_timeout."
                expected = "a nova-compute that has noticed the evacuation of its servers"
                raise LifeboatError(str(after), refusal.found, expected, remedy) from refusal
            time.sleep(_PAUSE_SECONDS)
        else:
            return ComputeService.parse(answer["service"])


def await_state(compute: Service, service: ComputeService, state: str, end: float) -> ComputeService:
    """The service as soon as Nova reports it in ``state``; LifeboatError when it does not until ``end``."""
    started = time.monotonic()
    while service.state != state:
        if time.monotonic() >= end:
            waited = f"after {time.monotonic() - started:.0f} s"
            found = f"still {service.state} {waited}, last report {service.updated_at or 'never'}"
            remedy = f"Look at {service.binary}'s log on the host, or wait longer with wait_timeout."
            raise LifeboatError(str(service), found, f"state {state}", remedy)
        time.sleep(_PAUSE_SECONDS)
        service = find_service(compute, service.host, service.binary)
    return service


def require_silence(compute: Service, service: ComputeService, seconds: float) -> None:
    """LifeboatError when it reports within so many seconds, as the nova-compute of a host does that works.

    Nova calls down what is forced down, and notes its reports all the same.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(_PAUSE_SECONDS)
        now = find_service(compute, service.host, service.binary)
        if now.updated_at != service.updated_at:
            forced = " though it is forced down" if now.forced_down else ""
            found = f"a report at {now.updated_at}{forced}, after one at {service.updated_at}"
            remedy = "See whether the host is off (host_power). If it works, set forced_down=false."
            raise LifeboatError(str(service), found, f"none within {seconds:g} s, as of a host that is dead", remedy)


def converge(compute: Service, wanted: Wanted, wait_s: float, dry_run: bool) -> tuple[list[Change], ComputeService]:
    """Bring the service to what is wanted; the changes and the service afterwards, foretold with ``dry_run``.

    ``wait_s`` bounds, in seconds, all waiting for ``wanted.state``. Its silence is seen to before anything is changed.
    """
    validate(wanted)
    found = find_service(compute, wanted.host, wanted.binary)
    require_silence(compute, found, wanted.silent_s)
    after = settled(found, wanted)
    changes = differences(found, after)
    refuse_vain_wait(after, wanted)
    if dry_run:
        return changes, after
    end = time.monotonic() + (wait_s if wanted.state else 0.0)
    now = update(compute, after, changes, end) if changes else found
    return changes, await_state(compute, now, wanted.state, end) if wanted.state else now
