#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_registration
short_description: Register one OpenStack service in Keystone
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure, in one session, that a service stands in the catalog with its endpoints, and that its user exists, has
    the given password, and holds its roles on the service project.
  - The region, the project and the roles are created when they are absent.
  - The password of a user that exists is tried with a token request, so one that was changed elsewhere is noticed.
  - Authenticates as an administrator and asks Keystone where it authenticates, whatever O(region_name) and O(interface)
    say.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes
options:
  name:
    description:
      - The name of the service, for instance V(glance).
    type: str
    required: true
  type:
    description:
      - The type of the service, for instance V(image). The one service of this type is meant, whatever its name was;
        among several the one called O(name).
    type: str
    required: true
  description:
    description:
      - The description of the service.
    type: str
    default: ""
  region:
    description:
      - The region of the endpoints.
    type: str
    default: RegionOne
  public_url:
    description:
      - The URL of the public endpoint. An endpoint for which no URL is given is left as it is.
    type: str
  internal_url:
    description:
      - The URL of the internal endpoint.
    type: str
  admin_url:
    description:
      - The URL of the admin endpoint.
    type: str
  user:
    description:
      - The name of the user that the service authenticates as. Without it no user is touched.
    type: str
  password:
    description:
      - The password of O(user). Required with it, unless O(state=absent).
    type: str
  domain:
    description:
      - The name of the domain of O(user) and O(project).
    type: str
    default: Default
  project:
    description:
      - The name of the project on which O(user) holds its roles.
    type: str
    default: service
  roles:
    description:
      - The names of the roles of O(user) on O(project). Further roles that it holds are left alone.
    type: list
    elements: str
    default: [admin, service]
  state:
    description:
      - Whether the service shall be registered.
      - V(absent) removes the endpoints in O(region), the service when it has none in other regions, and O(user). The
        region, the project and the roles stay.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Register Glance
  lifeboat.cloud.service_registration:
    name: glance
    type: image
    description: Image service
    region: RegionOne
    public_url: https://cloud.example.org:9292
    internal_url: https://10.0.0.100:9292
    user: glance
    password: "{{ glance_keystone_password }}"
    auth:
      auth_url: https://10.0.0.100:5000/v3
      username: admin
      password: "{{ keystone_admin_password }}"
      project_name: admin
    ca_cert: /etc/lifeboat/tls/ca.crt
  run_once: true
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - create user glance
    - assign role service of glance on project service
    - create service image
    - create public endpoint of glance in RegionOne
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import result_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._identity import (
    Registration,
    ServiceUser,
    registration_changes,
    removal_changes,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._identity_client import KeystoneClient
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened_session,
)

INTERFACES = ("public", "internal", "admin")
ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "required": True},
    "description": {"type": "str", "default": ""},
    "region": {"type": "str", "default": "RegionOne"},
    "public_url": {"type": "str"},
    "internal_url": {"type": "str"},
    "admin_url": {"type": "str"},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "domain": {"type": "str", "default": "Default"},
    "project": {"type": "str", "default": "service"},
    "roles": {"type": "list", "elements": "str", "default": ["admin", "service"]},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def converge(module: AnsibleModule) -> dict[str, t.Any]:
    wanted = registration_of(module.params)
    if module.params["state"] == "present" and wanted.user and not wanted.user.password:
        raise LifeboatError(f"user {wanted.user.name}", "no password", "one", "Set the option password.")
    compare = registration_changes if module.params["state"] == "present" else removal_changes
    with opened_session(module.params) as session:
        changes = list(compare(KeystoneClient(session), wanted))
        if not module.check_mode:
            for change in changes:
                change.do()
    return result_of(changes)


def registration_of(params: dict[str, t.Any]) -> Registration:
    urls = {interface: params[f"{interface}_url"] for interface in INTERFACES if params[f"{interface}_url"]}
    user = None
    if params["user"]:
        roles = tuple(params["roles"])
        user = ServiceUser(params["user"], params["password"] or "", params["domain"], params["project"], roles)
    return Registration(params["name"], params["type"], params["description"], params["region"], urls, user)


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), converge)


if __name__ == "__main__":
    main()
