#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read which services and agents report to the APIs of a cloud."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_service_info
short_description: Read which services and agents report to the APIs of a cloud
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads the services of Nova and Cinder, the agents of Neutron and the engines of Heat, all in one form.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes.info
options:
  apis:
    description:
      - The APIs to ask.
    type: list
    elements: str
    choices: [compute, network, orchestration, volume]
    default: [compute, network, orchestration, volume]
seealso:
  - module: lifeboat.cloud.network_agent_info
  - module: lifeboat.cloud.compute_service
  - plugin: lifeboat.cloud.cloud_findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Ask who reports
  lifeboat.cloud.cloud_service_info:
    cloud: admin
  register: reporting

- name: See that every scheduler of Nova is up
  ansible.builtin.assert:
    that: reporting.services | selectattr('binary', 'equalto', 'nova-scheduler') | rejectattr('up') | length == 0
"""

RETURN = r"""
services:
  description: What reports, sorted by API, program and place.
  returned: success
  type: list
  elements: dict
  contains:
    api:
      description: Whom it reports to.
      type: str
      sample: volume
    binary:
      description: Its program.
      type: str
      sample: cinder-volume
    host:
      description: Its host.
      type: str
      sample: ctl1
    name:
      description: How the API calls the place.
      type: str
      sample: ctl1@ceph
    up:
      description: Whether it has reported lately. For an engine of Heat whether one of the host's workers has.
      type: bool
      sample: true
    enabled:
      description: Whether it may be used.
      type: bool
      sample: true
    reason:
      description: Why it may not be used, as somebody has said.
      type: str
      sample: ""
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._cloud_services import read_services
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)

APIS = ["compute", "network", "orchestration", "volume"]
ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "apis": {"type": "list", "elements": "str", "choices": APIS, "default": APIS},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    with opened(module.params) as cloud:
        return {"services": [dataclasses.asdict(service) for service in read_services(cloud, module.params["apis"])]}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), work)


if __name__ == "__main__":
    main()
