#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set the power of a host and the networks that are cut off it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_power
short_description: Set the power of a host and the networks that are cut off it
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Turns a host on or off, freezes or thaws it, cuts and mends its networks, through a power driver.
  - Runs on the host of the power controller; for podman and libvirt, where the containers or virtual machines run. From
    elsewhere libvirt can do everything but cut networks.
  - Nothing heals what this module does. For drills use M(lifeboat.cloud.fault).
extends_documentation_fragment:
  - lifeboat.cloud._attributes
options:
  host:
    description: The host's name in the inventory.
    type: str
    required: true
  driver:
    description:
      - What controls the host.
      - V(podman), containers. V(libvirt), virtual machines, with virsh.
      - V(ipmi), servers, with ipmitool. V(redfish), servers, with curl. Both turn hosts on and off only.
    type: str
    default: podman
  address:
    description:
      - What the driver calls the host, O(host) when not set.
      - The name of a container for V(podman), of a domain for V(libvirt), the host name or IP address of the BMC for
        V(ipmi), the URL of the server's system for V(redfish).
    type: str
  arguments:
    description:
      - Arguments for podman, virsh, ipmitool or curl, put before each of its commands.
      - A BMC's password is never among them, but in a file of mode 0600 on this host, given as C(-f FILE) for V(ipmi)
        and as C(--netrc-file FILE) for V(redfish).
    type: list
    elements: str
    default: []
  state:
    description:
      - V(on), it runs. V(off), its power is cut, and nothing on it is told. V(frozen), everything on it stands still.
    type: str
    choices: ["on", "off", "frozen"]
    required: true
  networks_cut:
    description:
      - Networks that are cut off the host; all others of the host are mended.
      - Left as they are when not set. A host that is off has none.
      - For O(driver=podman) the names of its networks, for O(driver=libvirt) the sources in C(virsh domiflist).
    type: list
    elements: str
seealso:
  - module: lifeboat.cloud.fault
"""

EXAMPLES = r"""
- name: Turn a host of the lab off
  lifeboat.cloud.host_power:
    host: ctl1
    state: "off"
  delegate_to: localhost

- name: Turn it on, with every network
  lifeboat.cloud.host_power:
    host: ctl1
    state: "on"
    networks_cut: []
  delegate_to: localhost

- name: Turn a server off
  lifeboat.cloud.host_power:
    host: ctl1
    driver: redfish
    address: https://ctl1-bmc.example.com/redfish/v1/Systems/1
    arguments: [--netrc-file, /etc/lifeboat/bmc.netrc]
    state: "off"
  delegate_to: localhost
"""

RETURN = r"""
before:
  description: How the host was.
  returned: always
  type: dict
  sample: {state: "on", networks_cut: []}
after:
  description: How it is, or would be in check mode.
  returned: always
  type: dict
  sample: {state: "off", networks_cut: []}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._host_power import HostPower, set_power
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import PowerState
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_drivers import power_driver


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring the host into the wanted state."""
    options = module.params
    driver = power_driver(options["driver"], options["host"], options["address"] or "", options["arguments"])
    cut = options["networks_cut"]
    wanted = None if cut is None else tuple(sorted(set(cut)))
    before = HostPower.of(driver)
    after = set_power(driver, before, PowerState(options["state"]), wanted, dry_run=module.check_mode)
    shapes = {"before": before.to_json(), "after": after.to_json()}
    return {"changed": before != after, **shapes, "diff": shapes}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "driver": {"type": "str", "default": "podman"},
            "address": {"type": "str"},
            "arguments": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["on", "off", "frozen"], "required": True},
            "networks_cut": {"type": "list", "elements": "str"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
