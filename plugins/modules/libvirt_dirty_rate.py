#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_dirty_rate
short_description: Measure how fast running guests write to their memory
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Has QEMU measure the dirty rates of guests, all at the same time, and waits for them. A live migration of a guest
    ends by itself only where it writes slower than its memory is sent.
  - QEMU compares samples of the memory, with KVM and without. Guests go on undisturbed and nothing is changed, so it
    does the same in check mode.
  - One that cannot be measured is named with the reason, and does not hold up the others.
extends_documentation_fragment: [lifeboat.cloud._attributes.info, lifeboat.cloud._libvirt]
requirements:
  - libvirt 7.2.0 or later with QEMU 5.2 or later
options:
  names:
    description:
      - The names of the domains wanted. Without it all that run are, whether persistent or not. One that does not exist
        is an error.
    type: list
    elements: str
  seconds:
    description:
      - For how many seconds it is measured, 1 to 60. What is written several times meanwhile counts once, so that
        longer ones tell less of guests that write to the same memory again and again.
      - It may take 30 seconds longer on a busy host.
    type: int
    default: 1
seealso:
  - module: lifeboat.cloud.migration_plan
  - module: lifeboat.cloud.libvirt_domain_info
"""

EXAMPLES = r"""
- name: Measure all guests that run
  lifeboat.cloud.libvirt_dirty_rate:
  register: measured

- name: Plan with what they write
  lifeboat.cloud.migration_plan:
    cloud: admin
    assumed: {bandwidth: 1.25e9}
    goal: drain
    drain: [cmp1]
    dirty_rates: "{{ measured.dirty_rates | items2dict(key_name='uuid', value_name='bytes_per_second') }}"
  delegate_to: localhost
"""

RETURN = r"""
dirty_rates:
  description: The domains, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      sample: web1
    uuid:
      description: The UUID, which is that of the server in Nova where the domain is Nova's.
      type: str
      sample: 3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a1
    state:
      description: The state before, as in RV(lifeboat.cloud.libvirt_domain_info#module:domains[].state).
      type: str
      sample: running
    bytes_per_second:
      description:
        - How much of its memory becomes another in a second, in steps of 1 MiB. Null where it was not measured.
      type: int
      sample: 20971520
    reason:
      description:
        - Why it was not measured, null where it was. It does not run, is gone meanwhile, libvirt is busy with it, such
          as with a migration, or QEMU refuses.
      type: str
      sample: it is paused (user)
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    CONNECTION_OPTIONS,
    connected,
    run_libvirt_module,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_dirty_rate import Measurement
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_dirty_rate_client import LibvirtDirtyRateCalls
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import CLOCK

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "names": {"type": "list", "elements": "str"},
    "seconds": {"type": "int", "default": 1},
    **CONNECTION_OPTIONS,
}


def measure(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    with connected(params["uri"], params["timeout"]) as connection:
        measurement = Measurement(connection, LibvirtDirtyRateCalls(connection), CLOCK)
        rates = measurement.rates(params["names"], params["seconds"])
    return {"dirty_rates": [dataclasses.asdict(each) for each in rates]}


def main() -> None:
    run_libvirt_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), measure)


if __name__ == "__main__":
    main()
