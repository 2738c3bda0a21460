# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of migrations between two hypervisors ask for."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import Clock, FakeHypervisor
from ansible_collections.lifeboat.cloud.tests.unit.moving_libvirt import (
    CAPABILITIES,
    DOMAIN,
    THERE,
    Attempt,
    Calls,
    Lab,
    memory,
)


@pytest.fixture
def lab() -> Lab:
    """Two hypervisors in memory, with web1 running on the first."""
    clock = Clock()
    here = FakeHypervisor("qemu:///system", clock, capabilities_xml=CAPABILITIES.format(uuid="a"))
    there = FakeHypervisor(THERE, clock, capabilities_xml=CAPABILITIES.format(uuid="b"))
    here.define(DOMAIN, validate=True)
    here.known["web1"].start()
    here.hostname, there.hostname = (lambda: "cmp1"), (lambda: "cmp2")  # type: ignore[method-assign]
    done = {"downtime": 223, "memory_processed": 99 << 20, "memory_iteration": 3}
    return Lab(here, there, Calls(there, here, ends_after_s=1.4), Calls(here, there, left=done))


@pytest.fixture
def begun(lab: Lab) -> Lab:
    """The same with a migration that somebody else began 58 s ago, and that goes on while time passes."""
    clock = lab.here.clock
    lab.here.known["web1"].job_statistics = {"operation": 5, "time_elapsed": 58000, **memory(1)}
    lab.calls.started, lab.calls.ends_after_s, lab.calls.statistics = clock.now - 58.0, None, [memory(1)] * 90
    attempt = Attempt(lab.calls)

    def tick(seconds: float) -> None:
        clock.now += seconds
        if seconds and "web1" in lab.here.known:
            attempt.ended(0.0)

    clock.sleep = tick  # type: ignore[method-assign]
    return lab
