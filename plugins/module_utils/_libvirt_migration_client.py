# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Migrations by libvirt's Python binding."""

from __future__ import annotations

import contextlib
import threading
import typing as t
from xml.etree import ElementTree

from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import LibvirtConnection, connected
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import Site, WantedMigration
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import CLOCK

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import Clock

# How long a storage pool may be busy with volumes that others make there.
_BUSY_S = 30.0
_BUSY_PAUSE_S = 0.5


def site(connection: LibvirtConnection) -> Site:
    """A host by its connection."""
    return Site(connection, LibvirtMigrationCalls(connection))


class LibvirtMigrationCalls:
    """MigrationCalls over virConnect and virDomain."""

    def __init__(self, connection: LibvirtConnection, clock: Clock = CLOCK) -> None:
        self._connection = connection
        self._clock = clock

    def migrate(self, wanted: WantedMigration, disks: Sequence[str], *, persistent: bool) -> None:
        flags, params = flags_of(wanted, persistent=persistent), params_of(wanted, disks)
        self._connection.ask_domain(wanted.name, lambda raw: raw.migrateToURI3(wanted.destination, params, flags))

    def resume(self, wanted: WantedMigration) -> None:
        flags = flags_of(wanted, persistent=True) | _flag("POSTCOPY") | _flag("POSTCOPY_RESUME")
        params = params_of(wanted, (), resumes=True)
        self._connection.ask_domain(wanted.name, lambda raw: raw.migrateToURI3(wanted.destination, params, flags))

    def abort(self, name: str) -> None:
        self._connection.ask_domain(name, lambda raw: raw.abortJob())

    def switch_to_post_copy(self, name: str) -> None:
        self._connection.ask_domain(name, lambda raw: raw.migrateStartPostCopy(0))

    def completed(self, name: str) -> Mapping[str, t.Any]:
        library = _libvirt_client.libvirt
        # Without the second flag nobody else could read them any more.
        flags = library.VIR_DOMAIN_JOB_STATS_COMPLETED | library.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
        said: dict[str, t.Any] = self._connection.ask_domain(name, lambda raw: raw.jobStats(flags))
        return said if said.get("type") == library.VIR_DOMAIN_JOB_COMPLETED else {}

    def refresh(self, path: str) -> bool:
        directory = path.rpartition("/")[0]
        thing = f"storage pool of {directory}"

        def started(raw: t.Any) -> t.Any:
            pool = raw.storagePoolLookupByTargetPath(directory)
            return pool if pool.isActive() else None

        pool = self._connection.ask_unless(["NO_STORAGE_POOL", "NO_SUPPORT"], thing, started, otherwise=None)
        if pool is None:
            return False
        end = self._clock.monotonic() + _BUSY_S
        while True:
            try:
                self._connection.ask(thing, lambda _raw: pool.refresh(0))
                return True
            except CallError as error:
                # What a pool answers in which a volume is being made, as for another migration.
                if error.code != _libvirt_client.libvirt.VIR_ERR_INTERNAL_ERROR or self._clock.monotonic() >= end:
                    raise
            self._clock.sleep(_BUSY_PAUSE_S)

    def accepts_cpu(self, domain_xml: str) -> bool | None:
        root = ElementTree.fromstring(domain_xml)
        cpu, kind = root.find("cpu"), root.find("os/type")
        if cpu is None or kind is None or cpu.findtext("model") is None:
            return None
        xml, virtualization = ElementTree.tostring(cpu, encoding="unicode"), root.get("type")
        # The emulator's path may differ there.
        verdict = self._connection.ask_unless(
            ["NO_SUPPORT", "CONFIG_UNSUPPORTED", "OPERATION_UNSUPPORTED", "ARGUMENT_UNSUPPORTED"],
            "the domain's CPU",
            lambda raw: raw.compareHypervisorCPU(None, kind.get("arch"), kind.get("machine"), virtualization, xml, 0),
            otherwise=None,
        )
        return None if verdict is None else bool(verdict != _libvirt_client.libvirt.VIR_CPU_COMPARE_INCOMPATIBLE)

    def available_memory(self) -> int | None:
        all_nodes = _libvirt_client.libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS
        said: dict[str, int] = self._connection.ask_unless(
            ["NO_SUPPORT"], f"memory of {self._connection.uri}", lambda raw: raw.getMemoryStats(all_nodes), otherwise={}
        )
        if "free" not in said:
            return None
        # Newer versions tell what the kernel itself reckons. All of it is in KiB.
        kib = said.get("available", sum(said.get(name, 0) for name in ("free", "buffers", "cached")))
        return kib * 1024

    def networks(self) -> dict[str, bool] | None:
        def read(raw: t.Any) -> dict[str, bool] | None:
            return {network.name(): bool(network.isActive()) for network in raw.listAllNetworks()}

        return self._connection.ask_unless(["NO_SUPPORT"], f"networks of {self._connection.uri}", read, otherwise=None)


class LibvirtAttempt:
    """An Attempt in a thread of its own, over a connection of its own that is open before it begins."""

    def __init__(self, uri: str, longest_s: float, call: Callable[[LibvirtMigrationCalls], None]) -> None:
        self.error: CallError | None = None
        self._uri = uri
        self._over = threading.Event()
        self._ready = threading.Event()
        threading.Thread(target=self._work, args=(longest_s, call), daemon=True).start()
        self._ready.wait(longest_s)

    def ended(self, seconds: float) -> bool:
        return self._over.wait(seconds)

    def _work(self, longest_s: float, call: Callable[[LibvirtMigrationCalls], None]) -> None:
        try:
            with self._noting_errors(), connected(self._uri, longest_s) as connection:
                self._ready.set()
                with self._noting_errors():
                    call(LibvirtMigrationCalls(connection))
                # Closing the connection takes its time, and that is no part of the migration.
                self._over.set()
        finally:
            self._ready.set()
            self._over.set()

    @contextlib.contextmanager
    def _noting_errors(self) -> Iterator[None]:
        try:
            yield
        except CallError as error:
            self.error = error
        except Exception as error:
            # What else the binding raises must not look like a success.
            found, remedy = f"{type(error).__name__}: {error}", "See the daemon's log, and whether the binding fits it."
            self.error = CallError(f"libvirt at {self._uri}", found, "an answer", remedy)


def flags_of(wanted: WantedMigration, *, persistent: bool) -> int:
    """The sum of virDomainMigrateFlags."""
    flags = {
        "PEER2PEER": True,
        "LIVE": not wanted.offline,
        "OFFLINE": wanted.offline,
        "PERSIST_DEST": persistent,
        "UNDEFINE_SOURCE": persistent,
        "TUNNELLED": wanted.tunnelled,
        # Tunnelled data is encrypted as the connection is.
        "TLS": not wanted.tunnelled and not wanted.offline,
        "AUTO_CONVERGE": wanted.auto_converge,
        "POSTCOPY": wanted.post_copy and not wanted.offline,
        "PARALLEL": wanted.connections is not None,
        "NON_SHARED_DISK": wanted.storage is not None,
        "ABORT_ON_ERROR": not wanted.offline,
    }
    return sum(_flag(name) for name, is_set in flags.items() if is_set)


def _flag(name: str) -> int:
    return int(getattr(_libvirt_client.libvirt, f"VIR_MIGRATE_{name}"))


def params_of(wanted: WantedMigration, disks: Sequence[str], *, resumes: bool = False) -> dict[str, t.Any]:
    """The typed parameters of virDomainMigrateToURI3, by the names of libvirt-domain.h."""
    may_be_post_copy = resumes or (wanted.post_copy and not wanted.offline)
    params = {
        "bandwidth": wanted.bandwidth,
        # Without it what the guest does not ask for is sent without a limit.
        "bandwidth.postcopy": wanted.bandwidth if may_be_post_copy else None,
        "parallel.connections": wanted.connections,
        "auto_converge.initial": wanted.throttle_initial,
        "auto_converge.increment": wanted.throttle_increment,
        "migrate_uri": wanted.data_uri,
        "tls.destination": None if wanted.tunnelled else wanted.certificate_name,
        "migrate_disks": list(disks) or None,
    }
    return {name: value for name, value in params.items() if value is not None}
