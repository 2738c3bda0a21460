# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The connection to a Ceph cluster by librados, and the options and the frame of the modules that use it."""

from __future__ import annotations

import contextlib
import errno
import os
import traceback
import typing as t
from dataclasses import dataclass

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph, MonitorConnection
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

try:
    import rados
except ImportError:
    RADOS_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    RADOS_IMPORT_ERROR = None

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible.module_utils.basic import AnsibleModule

ArgumentSpec = dict[str, dict[str, t.Any]]
# As documented by the fragment lifeboat.cloud._ceph.
CEPH_ARGUMENTS: ArgumentSpec = {
    "conf_file": {"type": "path", "default": "/etc/ceph/ceph.conf"},
    "client": {"type": "str", "default": "client.admin"},
    "client_keyring": {"type": "path"},
    "connect_timeout": {"type": "int", "default": 10},
    "command_timeout": {"type": "int", "default": 30},
}


@dataclass(frozen=True, slots=True)
class CephAccess:
    """Which cluster, as whom, how long to wait in seconds. ``client_keyring`` is None for the usual places."""

    conf_file: str
    client: str
    client_keyring: str | None
    connect_timeout: int
    command_timeout: int

    @property
    def thing(self) -> str:
        return f"Ceph cluster of {self.conf_file} as {self.client}"

    @property
    def settings(self) -> dict[str, str]:
        """librados ignores the timeouts given to its calls; these options it heeds."""
        settings = {
            "client_mount_timeout": str(self.connect_timeout),
            "rados_mon_op_timeout": str(self.command_timeout),
            "rados_osd_op_timeout": str(self.command_timeout),
        }
        return settings | ({"keyring": self.client_keyring} if self.client_keyring else {})


def access_of(params: dict[str, t.Any]) -> CephAccess:
    """The options of CEPH_ARGUMENTS, checked."""
    access = CephAccess(**{name: params[name] for name in CEPH_ARGUMENTS})
    for name in ("connect_timeout", "command_timeout"):
        if params[name] <= 0:
            raise LifeboatError(name, str(params[name]), "at least 1 second", f"Raise {name}.")
    return access


@contextlib.contextmanager
def connected(access: CephAccess) -> Iterator[MonitorConnection]:
    """A connection for the time of the block; errors of librados leave it as LifeboatErrors."""
    for path in filter(None, (access.conf_file, access.client_keyring)):
        if not os.access(path, os.R_OK):
            raise LifeboatError(
                access.thing, f"no readable file {path}", "one", "Run this on a host of the cluster, as root."
            )
    try:
        cluster = rados.Rados(conffile=access.conf_file, name=access.client, conf=access.settings)
        cluster.connect()
    except rados.Error as error:
        raise _explained(access, error) from error
    try:
        yield cluster
    except rados.Error as error:
        remedy = "Look at the cluster with ceph_info."
        raise LifeboatError(access.thing, str(error), "an operation that succeeds", remedy) from error
    finally:
        cluster.shutdown()


def _explained(access: CephAccess, error: Exception) -> LifeboatError:
    number = getattr(error, "errno", None)
    if number == errno.ETIMEDOUT:
        found = f"no answer within {access.connect_timeout} s"
        remedy = "See that a majority of the monitors runs and can be reached at the addresses in the file."
    elif number == errno.ENOENT:
        found = f"no key for {access.client} ({error})"
        remedy = "Give client_keyring, or put the key where the configuration file says."
    elif number in (errno.EACCES, errno.EPERM):
        found = f"a key that is refused ({error})"
        remedy = "Put the client's present key into its keyring file, as ceph_auth does."
    else:
        found, remedy = str(error), "Correct the configuration file, or look at the monitors' log."
    return LifeboatError(access.thing, found, "a connection to the monitors", remedy)


@contextlib.contextmanager
def ceph_session(module: AnsibleModule) -> Iterator[Ceph]:
    """A connection for a module that does not always need one."""
    if RADOS_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("rados (package python3-rados)"), exception=RADOS_IMPORT_ERROR)
    access = access_of(module.params)
    with connected(access) as connection:
        yield Ceph(connection, access.command_timeout)


def run_ceph_module(module: AnsibleModule, work: Callable[[AnsibleModule, Ceph], dict[str, t.Any]]) -> t.NoReturn:
    """Do ``work`` with a connection, and exit with its result or with its error."""

    def connected_work(module: AnsibleModule) -> dict[str, t.Any]:
        with ceph_session(module) as ceph:
            return work(module, ceph)

    run_module(module, connected_work)
