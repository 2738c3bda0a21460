# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Options of every module that speaks to a Ceph cluster."""

from __future__ import annotations


class ModuleDocFragment:
    """C(lifeboat.cloud._ceph): which cluster, as whom, how long to wait."""

    DOCUMENTATION = r"""
options:
  conf_file:
    description:
      - The configuration file that says where the monitors are.
    type: path
    default: /etc/ceph/ceph.conf
  client:
    description:
      - The name to authenticate with. It needs the caps for what the module does; V(client.admin) has them all.
    type: str
    default: client.admin
  client_keyring:
    description:
      - The file with the key of O(client). Without it the places that the configuration file names are searched, for
        V(client.admin) usually V(/etc/ceph/ceph.client.admin.keyring).
    type: path
  connect_timeout:
    description:
      - How many seconds the connection to the monitors may take.
    type: int
    default: 10
  command_timeout:
    description:
      - How many seconds one command or one operation on an object may take. While monitors elect a leader they answer
        nobody, by default for up to about 15 seconds.
    type: int
    default: 30
requirements:
  - python3-rados, for the Python that runs the module. It comes with Ceph and not from PyPI, so the module runs on a
    host of the cluster or of a client, with the system's Python
"""
