#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a server, wait for its answer, and remove it again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: server_trial
short_description: Make a server, wait for its answer, and remove it again
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Does what a cloud is for, as its user, and tells how long each step took. Makes a network with a router, a security
    group and a volume, then a server with a floating IP, waits until the server answers over HTTP at that address,
    attaches the volume, removes everything and looks whether anything was left behind.
  - What was made is removed when a step fails, too. Everything has the same name, C(trial-) and eight digits.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
attributes:
  check_mode:
    description: Makes nothing and tells so.
    support: full
  diff_mode:
    description: Nothing is different afterwards.
    support: none
  idempotent:
    description: Leaves the cloud as it was.
    support: full
options:
  image:
    description: The image. Its servers answer over HTTP, as the one of the role C(guest_image) does.
    type: str
    default: guest
  flavor:
    description: The flavor.
    type: str
    default: small
  external_network:
    description: The network of the floating IP.
    type: str
    default: public
  cidr:
    description: The addresses of the network that is made.
    type: str
    default: 192.168.250.0/24
  volume_gib:
    description: The size of the volume. V(0) tries none.
    type: int
    default: 1
  port:
    description: The TCP port at which the server answers.
    type: int
    default: 80
  path:
    description: What it is asked for over HTTP.
    type: str
    default: /
  step_timeout:
    description: How many seconds the server, the volume and the answer may each take.
    type: float
    default: 180
seealso:
  - module: lifeboat.cloud.cloud_service_info
"""

EXAMPLES = r"""
- name: See whether servers can be made
  lifeboat.cloud.server_trial:
    cloud: demo
    image: guest
    flavor: small
  register: trial
"""

RETURN = r"""
seconds:
  description:
    - How long each step took. C(server ACTIVE) is counted from the request for the server, C(floating IP answers) from
      the request for the address.
  returned: when not in check mode
  type: dict
  sample:
    network: 4.21
    volume available: 2.31
    server ACTIVE: 14.02
    floating IP answers: 8.11
    volume attached: 3.55
    removed: 9.87
host:
  description: The compute that the server was on; empty for users who may not know.
  returned: when not in check mode
  type: str
  sample: cmp1
address:
  description: The floating IP that answered.
  returned: when not in check mode
  type: str
  sample: 10.98.3.141
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_trial import Wanted, try_server

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "image": {"type": "str", "default": "guest"},
    "flavor": {"type": "str", "default": "small"},
    "external_network": {"type": "str", "default": "public"},
    "cidr": {"type": "str", "default": "192.168.250.0/24"},
    "volume_gib": {"type": "int", "default": 1},
    "port": {"type": "int", "default": 80},
    "path": {"type": "str", "default": "/"},
    "step_timeout": {"type": "float", "default": 180.0},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    if module.check_mode:
        return {"changed": False, "msg": "A server would be made and removed again."}
    given = {
        name: module.params[name]
        for name in ("image", "flavor", "external_network", "cidr", "volume_gib", "port", "path")
    }
    with opened(module.params) as cloud:
        trial = try_server(cloud, Wanted(**given, timeout_s=module.params["step_timeout"]))
    return {"seconds": trial.seconds, "host": trial.host, "address": trial.address}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), work)


if __name__ == "__main__":
    main()
