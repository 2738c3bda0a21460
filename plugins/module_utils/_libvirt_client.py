# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""libvirt by its Python binding. No call lasts longer than the caller allows."""

from __future__ import annotations

import contextlib
import importlib
import queue
import threading
import traceback
import typing as t

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import (
    CallError,
    Condition,
    Described,
    GuestAddress,
    Leftovers,
    Versions,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from ansible.module_utils.basic import AnsibleModule

# The binding has no type hints.
libvirt: t.Any = None
LIBVIRT_IMPORT_ERROR: str | None = None
try:
    libvirt = importlib.import_module("libvirt")
except ImportError:
    LIBVIRT_IMPORT_ERROR = traceback.format_exc()

# Documented in the fragment _libvirt.
CONNECTION_OPTIONS: dict[str, dict[str, t.Any]] = {
    "uri": {"type": "str", "default": "qemu:///system"},
    "timeout": {"type": "float", "default": 60.0},
}
T = t.TypeVar("T")
# What a daemon says that does without storage, networks, interfaces or secrets.
_WITHOUT_DRIVER = ("NO_SUPPORT", "NO_CONNECT", "SYSTEM_ERROR")
_ADDRESS_SOURCES = {"lease": 0, "agent": 1, "arp": 2}
# For each part of a domain: the flags of virDomainUndefineFlags that remove and that keep it.
_UNDEFINE = {
    "managed_save": ("VIR_DOMAIN_UNDEFINE_MANAGED_SAVE", None),
    "snapshots_metadata": ("VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA", None),
    "checkpoints_metadata": ("VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA", None),
    "nvram": ("VIR_DOMAIN_UNDEFINE_NVRAM", "VIR_DOMAIN_UNDEFINE_KEEP_NVRAM"),
    "tpm_state": ("VIR_DOMAIN_UNDEFINE_TPM", "VIR_DOMAIN_UNDEFINE_KEEP_TPM"),
}


def run_libvirt_module(module: AnsibleModule, work: Callable[[AnsibleModule], dict[str, t.Any]]) -> t.NoReturn:
    """Do ``work`` where there is the binding, and exit with its result or with its error."""
    if LIBVIRT_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("libvirt-python"), exception=LIBVIRT_IMPORT_ERROR)
    run_module(module, work)


def bounded(call: Callable[[], T], timeout_s: float) -> T:
    """The call's result; TimeoutError when it lasts too long.

    A call of libvirt cannot be interrupted, so it gets a thread of its own, one that does not keep the process alive.
    """
    ended: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            ended.put((call(), None))
        except BaseException as error:
            ended.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        result, error = ended.get(timeout=timeout_s)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return t.cast("T", result)


class Caller:
    """Makes calls, and turns every error into CallError."""

    def __init__(self, uri: str, timeout_s: float) -> None:
        self.uri = uri
        self.hung = False
        self._timeout_s = timeout_s

    def ask(self, thing: str, call: Callable[[], T]) -> T:
        """The call's result. ``thing`` is what an error speaks of."""
        try:
            return bounded(call, self._timeout_s)
        except TimeoutError:
            self.hung = True
            raise CallError(
                thing,
                f"no answer of libvirt at {self.uri} within {self._timeout_s:g} s",
                "an answer",
                "See whether the daemon hangs, or allow more with timeout. What was asked may still be done.",
            ) from None
        except libvirt.libvirtError as error:
            found = error.get_error_message() or str(error)
            remedy = "See the daemon's log for more, or correct what is asked for."
            raise CallError(thing, found, f"success at {self.uri}", remedy, error.get_error_code()) from error

    def ask_unless(self, codes: Collection[str], thing: str, call: Callable[[], T], otherwise: T) -> T:
        """As ``ask``, with ``otherwise`` for errors with one of these codes, given by the end of their names."""
        try:
            return self.ask(thing, call)
        except CallError as error:
            if error.code is not None and error.code in {getattr(libvirt, f"VIR_ERR_{code}", None) for code in codes}:
                return otherwise
            raise


@contextlib.contextmanager
def connected(uri: str, timeout_s: float, *, read_only: bool = False) -> Iterator[LibvirtConnection]:
    """A connection, closed at the end unless a call of it still hangs."""
    # Else the library writes every error to stderr as well.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    caller = Caller(uri, timeout_s)
    opening = libvirt.openReadOnly if read_only else libvirt.open
    raw = caller.ask(f"libvirt at {uri}", lambda: opening(uri))
    try:
        yield LibvirtConnection(raw, caller)
    finally:
        if not caller.hung:
            with contextlib.suppress(CallError):
                caller.ask(f"libvirt at {uri}", raw.close)


class LibvirtConnection:
    """A Connection over virConnect."""

    def __init__(self, raw: t.Any, caller: Caller) -> None:
        self._raw = raw
        self._caller = caller
        self.uri = caller.uri
        self._thing = f"libvirt at {caller.uri}"

    def ask(self, thing: str, call: Callable[[t.Any], T]) -> T:
        """What a call of virConnect answers; ``thing`` is what an error speaks of."""
        return self._caller.ask(thing, lambda: call(self._raw))

    def ask_domain(self, name: str, call: Callable[[t.Any], T]) -> T:
        """What a call of virDomain answers."""
        return self.ask(f"domain {name}", lambda raw: call(raw.lookupByName(name)))

    def ask_unless(self, codes: Collection[str], thing: str, call: Callable[[t.Any], T], otherwise: T) -> T:
        """As ``ask``, with ``otherwise`` for errors with one of these codes."""
        return self._caller.ask_unless(codes, thing, lambda: call(self._raw), otherwise)

    def find(self, name: str) -> LibvirtDomain | None:
        raw = self._caller.ask_unless(["NO_DOMAIN"], f"domain {name}", lambda: self._raw.lookupByName(name), None)
        return LibvirtDomain(raw, name, self._caller) if raw is not None else None

    def domains(self) -> list[LibvirtDomain]:
        found = self._caller.ask(self._thing, lambda: [(raw, raw.name()) for raw in self._raw.listAllDomains()])
        return [LibvirtDomain(raw, name, self._caller) for raw, name in sorted(found, key=lambda each: str(each[1]))]

    def define(self, xml: str, *, validate: bool) -> None:
        flags = libvirt.VIR_DOMAIN_DEFINE_VALIDATE if validate else 0
        self._caller.ask("the domain's definition", lambda: self._raw.defineXMLFlags(xml, flags))

    def statistics(self) -> dict[str, dict[str, t.Any]]:
        kinds = libvirt.VIR_DOMAIN_STATS_INTERFACE | libvirt.VIR_DOMAIN_STATS_BLOCK
        # A domain that is busy with a job must not hold up what is asked of all.
        no_wait = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT

        def read(flags: int) -> dict[str, dict[str, t.Any]]:
            return {domain.UUIDString(): said for domain, said in self._raw.getAllDomainStats(kinds, flags)}

        unsupported = ("NO_SUPPORT", "INVALID_ARG", "ARGUMENT_UNSUPPORTED")
        said = self._caller.ask_unless(unsupported, self._thing, lambda: read(no_wait), None)
        return said if said is not None else self._caller.ask_unless(unsupported, self._thing, lambda: read(0), {})

    def find_volume(self, path: str) -> LibvirtVolume | None:
        return self._volume(path, lambda: self._raw.storageVolLookupByPath(path))

    def find_pool_volume(self, pool: str, name: str) -> LibvirtVolume | None:
        return self._volume(
            f"{name} in pool {pool}", lambda: self._raw.storagePoolLookupByName(pool).storageVolLookupByName(name)
        )

    def _volume(self, name: str, look_up: Callable[[], t.Any]) -> LibvirtVolume | None:
        thing = f"volume {name}"
        raw = self._caller.ask_unless(["NO_STORAGE_VOL", "NO_STORAGE_POOL", "NO_SUPPORT"], thing, look_up, None)
        return LibvirtVolume(raw, thing, self._caller) if raw is not None else None

    def hypervisor(self) -> str:
        return str(self._caller.ask(self._thing, self._raw.getType))

    def versions(self) -> Versions:
        daemon = self._caller.ask(self._thing, self._raw.getLibVersion)
        return Versions(
            version_text(daemon),
            version_text(self._caller.ask(self._thing, self._raw.getVersion)),
            version_text(libvirt.getVersion()),
        )

    def hostname(self) -> str:
        return str(self._caller.ask(self._thing, self._raw.getHostname))

    def capabilities(self) -> str:
        return str(self._caller.ask(self._thing, self._raw.getCapabilities))

    def domain_capabilities(self, arch: str, virtualization: str) -> str:
        return self._caller.ask_unless(
            ["NO_SUPPORT"],
            self._thing,
            lambda: str(self._raw.getDomainCapabilities(None, arch, None, virtualization, 0)),
            "",
        )

    def free_memory(self, cells: int) -> list[int]:
        return self._caller.ask_unless(
            ["NO_SUPPORT"], self._thing, lambda: [int(free) for free in self._raw.getCellsFreeMemory(0, cells)], []
        )

    def pools(self) -> list[Described] | None:
        return self._listed(lambda: _described(self._raw.listAllStoragePools()))

    def networks(self) -> list[Described] | None:
        return self._listed(lambda: _described(self._raw.listAllNetworks()))

    def interfaces(self) -> list[str] | None:
        return self._listed(lambda: [str(each.name()) for each in self._raw.listAllInterfaces()])

    def secrets(self) -> list[str] | None:
        return self._listed(lambda: [str(each.UUIDString()) for each in self._raw.listAllSecrets()])

    def _listed(self, call: Callable[[], list[T]]) -> list[T] | None:
        return self._caller.ask_unless(_WITHOUT_DRIVER, self._thing, call, None)


class LibvirtDomain:
    """A Domain over virDomain."""

    def __init__(self, raw: t.Any, name: str, caller: Caller) -> None:
        self._raw = raw
        self._caller = caller
        self.name = name
        self.uuid: str = raw.UUIDString()

    def _ask(self, call: Callable[[], T]) -> T:
        return self._caller.ask(f"domain {self.name}", call)

    def condition(self) -> Condition:
        return Condition.of(*self._ask(self._raw.state))

    def persistent(self) -> bool:
        return bool(self._ask(self._raw.isPersistent))

    def autostart(self) -> bool:
        return bool(self._ask(self._raw.autostart))

    def definition(self, *, live: bool = False, secrets: bool = False) -> str:
        flags = 0 if live else libvirt.VIR_DOMAIN_XML_INACTIVE
        flags |= libvirt.VIR_DOMAIN_XML_SECURE if secrets else 0
        return str(self._ask(lambda: self._raw.XMLDesc(flags)))

    def leftovers(self) -> Leftovers:
        def count(call: Callable[[], t.Any]) -> int:
            return self._caller.ask_unless(["NO_SUPPORT"], f"domain {self.name}", lambda: len(call()), 0)

        saved = self._caller.ask_unless(
            ["NO_SUPPORT"], f"domain {self.name}", lambda: bool(self._raw.hasManagedSaveImage()), False
        )
        return Leftovers(saved, count(self._raw.listAllSnapshots), count(self._raw.listAllCheckpoints))

    def job(self) -> Mapping[str, t.Any]:
        said: dict[str, t.Any] = self._caller.ask_unless(
            ["NO_SUPPORT", "OPERATION_INVALID"], f"domain {self.name}", self._raw.jobStats, {}
        )
        return said if said.get("type", libvirt.VIR_DOMAIN_JOB_NONE) != libvirt.VIR_DOMAIN_JOB_NONE else {}

    def addresses(self, source: str) -> list[GuestAddress]:
        number = _ADDRESS_SOURCES[source]
        unable = (
            "NO_SUPPORT",
            "OPERATION_INVALID",
            "OPERATION_UNSUPPORTED",
            "AGENT_UNRESPONSIVE",
            "ARGUMENT_UNSUPPORTED",
        )
        thing = f"domain {self.name}, addresses by {source}"
        said: dict[str, dict[str, t.Any]] = self._caller.ask_unless(
            unable, thing, lambda: self._raw.interfaceAddresses(number), {}
        )
        return [
            GuestAddress(str(interface.get("hwaddr") or "").lower(), each["addr"], int(each["prefix"]), source)
            for interface in said.values()
            for each in interface["addrs"] or ()
        ]

    def start(self, *, paused: bool = False, discard_saved: bool = False) -> None:
        flags = libvirt.VIR_DOMAIN_START_PAUSED if paused else 0
        flags |= libvirt.VIR_DOMAIN_START_FORCE_BOOT if discard_saved else 0
        self._ask(lambda: self._raw.createWithFlags(flags))

    def request_shutdown(self) -> None:
        self._ask(self._raw.shutdown)

    def power_off(self) -> None:
        self._ask(self._raw.destroy)

    def suspend(self) -> None:
        self._ask(self._raw.suspend)

    def resume(self) -> None:
        self._ask(self._raw.resume)

    def wake(self) -> None:
        self._ask(self._raw.pMWakeup)

    def set_autostart(self, autostart: bool) -> None:
        self._ask(lambda: self._raw.setAutostart(int(autostart)))

    def undefine(self, remove: Collection[str], keep: Collection[str]) -> None:
        names = [_UNDEFINE[part][0] for part in remove] + [_UNDEFINE[part][1] for part in keep]
        flags = sum(getattr(libvirt, name) for name in names if name is not None)
        self._ask(lambda: self._raw.undefineFlags(flags))


class LibvirtVolume:
    """A Volume over virStorageVol."""

    def __init__(self, raw: t.Any, thing: str, caller: Caller) -> None:
        self._raw = raw
        self._thing = thing
        self._caller = caller

    def delete(self) -> None:
        self._caller.ask(self._thing, lambda: self._raw.delete(0))


def _described(found: Sequence[t.Any]) -> list[Described]:
    return [Described(str(each.XMLDesc()), bool(each.isActive())) for each in found]


def version_text(version: int) -> str:
    """libvirt's number of a version, 1000000 * major + 1000 * minor + release, as text."""
    return f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"
