# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a probe is told: its common settings and those of its kind, checked before anything is sent."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

DEFAULT_MAX_SECONDS = 900.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TABLE = re.compile(r"[A-Za-z0-9_]{1,64}")


@dataclass(frozen=True, slots=True)
class Tcp:
    """A connection is made and closed."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Http:
    """One request on a connection of its own; its status must be one of ``status``."""

    url: str
    method: str = "GET"
    status: tuple[int, ...] = (200,)
    ca_file: str | None = None
    headers: t.Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Icmp:
    """One echo request."""

    host: str


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """A token is issued by the Keystone at ``url`` (with its version, https://VIP:5000/v3)."""

    url: str
    user: str
    project: str
    password: str = dataclasses.field(repr=False)
    domain: str = "Default"
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseLedger:
    """One row is inserted and committed."""

    host: str
    user: str
    database: str
    password: str = dataclasses.field(repr=False)
    port: int = 3306
    table: str = "ledger"
    ca_file: str | None = None
    connections: int = 64


@dataclass(frozen=True, slots=True)
class MessageLedger:
    """One persistent message is published, confirmed and consumed again."""

    hosts: tuple[str, ...]
    user: str
    queue: str
    password: str = dataclasses.field(repr=False)
    port: int = 5672
    vhost: str = "/"
    ca_file: str | None = None
    stall_reconnect: float = 1.5


@dataclass(frozen=True, slots=True)
class GuestLedger:
    """The counter of a guest of the role guest_image is asked for, which it keeps on its disk."""

    host: str
    port: int = 80


@dataclass(frozen=True, slots=True)
class Session:
    """A message is echoed in a session that stays open as long as the probe runs."""

    host: str
    port: int = 7


Settings: t.TypeAlias = "Tcp | Http | Icmp | IdentityToken | DatabaseLedger | MessageLedger | GuestLedger | Session"

KINDS: dict[str, type[Settings]] = {
    "tcp": Tcp,
    "http": Http,
    "icmp": Icmp,
    "identity_token": IdentityToken,
    "database_ledger": DatabaseLedger,
    "message_ledger": MessageLedger,
    "guest_ledger": GuestLedger,
    "session": Session,
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe: ``rate`` requests a second; ``slo`` and ``timeout`` in seconds."""

    name: str
    kind: str
    settings: Settings
    rate: float = 20.0
    slo: float = 0.5
    timeout: float = 5.0

    @property
    def period(self) -> float:
        """Seconds from one request to the next."""
        return 1.0 / self.rate


@dataclass(frozen=True, slots=True)
class RunConfig:
    """One run of the probe program, which ends by itself after ``max_seconds``."""

    run: str
    probes: tuple[Probe, ...]
    max_seconds: float = DEFAULT_MAX_SECONDS


def parse_run(raw: t.Mapping[str, t.Any]) -> RunConfig:
    """Read {run, probes: [{name, kind, rate, slo, timeout, and the keys of the kind}], max_seconds}.

    Keys whose value is null count as absent. Raises LifeboatError naming the run, the probe or the key.
    """
    run = parse_run_id(raw.get("run", ""))
    probes = tuple(parse_probe(one) for one in raw.get("probes") or ())
    if not probes:
        raise LifeboatError(f"run {run}", "no probes", "at least one", "List the probes.")
    names = [name for probe in probes for name in result_names(probe)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise LifeboatError(f"probe {repeated[0]}", "its name twice", "names that differ", "Rename one of the probes.")
    return RunConfig(run, probes, float(raw.get("max_seconds") or DEFAULT_MAX_SECONDS))


def parse_run_id(raw: object) -> str:
    """The id of a run, which is also the name of its directory."""
    if not _NAME.fullmatch(str(raw)):
        raise LifeboatError("run", repr(raw), "letters, digits, '_', '.' and '-', at most 64", "Choose another id.")
    return str(raw)


def result_names(probe: Probe) -> tuple[str, ...]:
    """The names under which the probe reports: a message ledger also reports its consuming."""
    return (probe.name, f"{probe.name}_consume") if probe.kind == "message_ledger" else (probe.name,)


def parse_probe(raw: t.Mapping[str, t.Any]) -> Probe:
    """One probe of the list; see :func:`parse_run`."""
    given = {key: value for key, value in raw.items() if value is not None}
    name, kind = str(given.pop("name", "")), str(given.pop("kind", ""))
    thing = f"probe {name or '(without a name)'}"
    if not _NAME.fullmatch(name):
        raise LifeboatError(thing, "no usable name", "letters, digits, '_', '.' and '-', at most 64", "Name the probe.")
    if kind not in KINDS:
        raise LifeboatError(thing, f"kind {kind or '(none)'}", f"one of {', '.join(KINDS)}", "Correct the kind.")
    common = {key: _positive(thing, key, given.pop(key)) for key in ("rate", "slo", "timeout") if key in given}
    probe = Probe(name, kind, _settings(thing, kind, given), **common)
    if probe.slo >= probe.timeout:
        raise LifeboatError(
            thing, f"slo {probe.slo} s", f"less than its timeout of {probe.timeout} s", "Raise timeout or lower slo."
        )
    return probe


def _settings(thing: str, kind: str, given: dict[str, t.Any]) -> Settings:
    fields = {field.name: field for field in dataclasses.fields(KINDS[kind])}
    unknown = sorted(given.keys() - fields.keys())
    if unknown:
        raise LifeboatError(thing, f"key {unknown[0]}", f"only {', '.join(fields)} for kind {kind}", "Remove the key.")
    missing = [name for name, field in fields.items() if _required(field) and given.get(name) in (None, "", [])]
    if missing:
        raise LifeboatError(thing, f"no {missing[0]}", f"it to be set for kind {kind}", f"Set {missing[0]}.")
    make: t.Callable[..., Settings] = KINDS[kind]
    settings = make(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})
    _check(thing, settings)
    return settings


def _required(field: dataclasses.Field[t.Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _check(thing: str, settings: Settings) -> None:
    if isinstance(settings, Http | IdentityToken):
        parts = urlsplit(settings.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LifeboatError(thing, f"url {settings.url}", "http://HOST or https://HOST", "Correct the url.")
    if isinstance(settings, DatabaseLedger) and not _TABLE.fullmatch(settings.table):
        raise LifeboatError(thing, f"table {settings.table}", "letters, digits and '_'", "Rename the table.")
    if isinstance(settings, DatabaseLedger):
        _positive(thing, "connections", settings.connections)


def _positive(thing: str, key: str, value: t.Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise LifeboatError(thing, f"{key} {value!r}", "a number above 0", f"Correct {key}.")
    return float(value)
