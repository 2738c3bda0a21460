# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Documentation of what every module that talks to OpenStack shares, with OPENSTACK_OPTIONS of module_utils."""

from __future__ import annotations


class ModuleDocFragment:
    """C(lifeboat.cloud._openstack): how to authenticate and where to ask."""

    DOCUMENTATION = r"""
requirements:
  - openstacksdk 4.0 or later (Debian package C(python3-openstacksdk)) on the host that runs the module
options:
  cloud:
    description:
      - The name of a cloud in C(clouds.yaml), which openstacksdk looks for in the working directory,
        C(~/.config/openstack) and C(/etc/openstack). V(envvars) means the environment variables C(OS_*).
      - One of O(cloud) and O(auth) is required.
    type: str
  auth:
    description:
      - How to authenticate with a password. For anything else use O(cloud).
    type: dict
    suboptions:
      auth_url:
        description:
          - The URL of Keystone.
        type: str
        required: true
      username:
        description:
          - The user's name.
        type: str
        required: true
      password:
        description:
          - The user's password.
        type: str
        required: true
      project_name:
        description:
          - The project of the token.
        type: str
        required: true
      user_domain_name:
        description:
          - The domain of the user.
        type: str
        default: Default
      project_domain_name:
        description:
          - The domain of the project.
        type: str
        default: Default
  region_name:
    description:
      - The region whose endpoints are used. Needed where the catalog has several.
    type: str
  interface:
    description:
      - Which of a service's endpoints are used. Without it those that O(cloud) says, else the public ones.
    type: str
    choices: [public, internal, admin]
  validate_certs:
    description:
      - Whether certificates are verified. Without it as O(cloud) says, else they are.
    type: bool
  ca_cert:
    description:
      - The certificate of the authority that signed the endpoints', on the host that runs the module. Without it the
        one that O(cloud) says, else the system's trust store decides.
    type: path
    aliases: [ca_file]
  timeout:
    description:
      - How many seconds one request may take.
    type: float
    default: 30.0
"""
