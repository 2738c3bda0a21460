# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain for libvirt_domain, and what brings a hypervisor to have it."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain import (
    WantedDomain,
    plan,
    wanted_definition,
)
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import Clock, FakeHypervisor

DISK = "<disk type='file'><source file='/images/vm1.img'/><target dev='vda' bus='virtio'/></disk>"
NIC = "<interface type='bridge'><source bridge='br0'/></interface>"


def xml(memory="512", devices=DISK + NIC, more="", system=""):
    return f"""
      <domain type='test'>
        <!-- a comment -->
        <memory unit='MiB'>{memory}</memory>{more}
        <vcpu>2</vcpu>
        <os><type>hvm</type>{system}</os>
        <devices>{devices}</devices>
      </domain>"""


def definition(**parts):
    return wanted_definition(xml(**parts), "vm1")


VM1 = WantedDomain(name="vm1", definition=definition())


def clock_of(hypervisor):
    return getattr(hypervisor, "clock", Clock())


def converge(hypervisor, wanted):
    made = plan(hypervisor, wanted, clock_of(hypervisor))
    for change in made.changes:
        change.do()
    return [change.says for change in made.changes]


def state(hypervisor, name="vm1"):
    return hypervisor.find(name).condition().state


def with_a_running_domain():
    """A hypervisor in memory on which it runs, of which no call is remembered yet."""
    fake = FakeHypervisor()
    converge(fake, replace(VM1, state="running"))
    fake.calls.clear()
    return fake
