# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls to libvirt end in time, and what it says in numbers has its names."""

from __future__ import annotations

import socket
import time

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, Condition, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import bounded, connected, version_text


def test_a_call_that_does_not_end_is_given_up():
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        bounded(lambda: time.sleep(5), 0.05)
    assert time.monotonic() - began < 2
    assert bounded(lambda: 7, 5.0) == 7
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 // 0, 5.0)


def test_a_daemon_that_hangs_is_given_up(tmp_path):
    pytest.importorskip("libvirt")
    path = tmp_path / "silent"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(CallError) as failure, connected(f"qemu+unix:///system?socket={path}", 0.5):
            pass
    assert time.monotonic() - began < 3
    assert "within 0.5 s" in failure.value.found and failure.value.code is None


def test_a_daemon_that_is_not_there_is_named(tmp_path):
    pytest.importorskip("libvirt")
    uri = f"qemu+unix:///system?socket={tmp_path}/none"
    with pytest.raises(CallError) as failure, connected(uri, 5.0):
        pass
    assert failure.value.thing == f"libvirt at {uri}" and "none" in failure.value.found


def test_numbers_of_states_reasons_and_versions_are_libvirt_s():
    assert Condition.of(3, 5) == Condition(State.PAUSED, "ioerror")
    assert Condition.of(1, 99) == Condition(State.RUNNING, "unknown")
    assert Condition.of(99, 0) == Condition(State.UNKNOWN, "unknown")
    assert version_text(11003000) == "11.3.0"


def test_names_of_states_reasons_and_flags_are_libvirt_s():
    library = pytest.importorskip("libvirt")
    for state_name, reason, state_number, reason_number in (
        (State.RUNNING, "postcopy", "RUNNING", "RUNNING_POSTCOPY"),
        (State.PAUSED, "starting_up", "PAUSED", "PAUSED_STARTING_UP"),
        (State.SHUT_OFF, "daemon", "SHUTOFF", "SHUTOFF_DAEMON"),
        (State.CRASHED, "panicked", "CRASHED", "CRASHED_PANICKED"),
        (State.SLEEPING, "unknown", "PMSUSPENDED", "PMSUSPENDED_UNKNOWN"),
        (State.SHUTTING_DOWN, "user", "SHUTDOWN", "SHUTDOWN_USER"),
    ):
        numbers = (getattr(library, f"VIR_DOMAIN_{name}") for name in (state_number, reason_number))
        assert Condition.of(*numbers) == Condition(state_name, reason)
    for flags in _libvirt_client._UNDEFINE.values():
        assert all(hasattr(library, flag) for flag in flags if flag)
