#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the settings that decide how long an outage lasts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ha_settings_info
short_description: Read the settings that decide how long an outage lasts
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads on a controller what its services are really set to, so that the outage which the protocols allow can be
    computed before a drill.
  - MariaDB is asked, the others are read from their configuration files, with the service's own default where a file
    says nothing.
  - All times are in seconds.
extends_documentation_fragment:
  - lifeboat.cloud._attributes.info
requirements:
  - PyMySQL (Debian package C(python3-pymysql)) on the host, for V(database)
options:
  components:
    description:
      - What to read. What is not installed on the host is left out of the answer.
    type: list
    elements: str
    choices: [vrrp, load_balancer, database, message_queue, identity]
    default: [vrrp, load_balancer, database, message_queue, identity]
  vip:
    description:
      - The virtual address whose VRRP instance is meant; the first instance of the file when not given.
    type: str
  keepalived_config:
    description:
      - Keepalived's configuration file.
    type: path
    default: /etc/keepalived/keepalived.conf
  load_balancer_config:
    description:
      - HAProxy's configuration files in the order in which HAProxy reads them. A directory stands for its C(*.cfg) in
        order of name.
    type: list
    elements: path
    default: [/etc/haproxy/haproxy.cfg, /etc/haproxy/conf.d]
  login_unix_socket:
    description:
      - MariaDB's socket, over which C(root) may log in.
    type: path
    default: /run/mysqld/mysqld.sock
  rabbitmq_config_directory:
    description:
      - The directory with RabbitMQ's C(rabbitmq.conf), C(conf.d) and C(advanced.config).
    type: path
    default: /etc/rabbitmq
  identity_config:
    description:
      - Keystone's configuration file.
    type: path
    default: /etc/keystone/keystone.conf
  timeout:
    description:
      - How many seconds MariaDB may take to answer.
    type: float
    default: 5.0
"""

EXAMPLES = r"""
- name: Read the settings that the drill's limit is computed from
  lifeboat.cloud.ha_settings_info:
    vip: "{{ cloud_vip }}"
  register: high_availability
"""

RETURN = r"""
settings:
  description: The settings by component.
  returned: success
  type: dict
  contains:
    vrrp:
      description:
        - The VRRP instance, and the slowest of the scripts that it tracks (null without one).
      type: dict
      returned: when installed and asked for
      sample:
        version: 3
        advert_int_s: 0.1
        priority: 250
        down_timer_adverts: 3
        nopreempt: true
        script_interval_s: 0.2
        script_timeout_s: 1.0
        script_fall: 2
        script_rise: 2
    load_balancer:
      description:
        - HAProxy's backends. Where the servers of one differ, the slowest value. C(check_timeout_s) is C(inter_s) when
          there is no C(timeout check), as in HAProxy itself.
      type: dict
      returned: when installed and asked for
      sample:
        backends:
          identity:
            checked: true
            inter_s: 0.2
            fastinter_s: 0.05
            downinter_s: 0.5
            fall: 2
            rise: 2
            check_timeout_s: 0.1
            redispatch: true
            retries: 3
            observe: layer4
            error_limit: 1
            on_error_mark_down: true
            retry_on: [conn-failure, empty-response]
            connect_timeout_s: 0.3
    database:
      description: Galera's group communication as it runs, and how durable a commit is.
      type: dict
      returned: when installed and asked for
      sample:
        suspect_timeout_s: 1.0
        inactive_timeout_s: 2.0
        inactive_check_period_s: 0.1
        keepalive_period_s: 0.1
        join_retrans_period_s: 0.1
        flush_log_at_trx_commit: 1
    message_queue:
      description: How soon RabbitMQ notices a silent member and a silent client.
      type: dict
      returned: when installed and asked for
      sample: {aten_poll_interval_s: 0.5, net_ticktime_s: 10.0, heartbeat_s: 15.0}
    identity:
      description: How long Keystone waits for a lost memcached, and how long it then leaves it alone.
      type: dict
      returned: when installed and asked for
      sample: {memcache_socket_timeout_s: 0.5, memcache_dead_retry_s: 15.0}
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._ha_settings import Places, ha_settings
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

COMPONENTS = ["vrrp", "load_balancer", "database", "message_queue", "identity"]

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "components": {"type": "list", "elements": "str", "choices": COMPONENTS, "default": COMPONENTS},
    "vip": {"type": "str"},
    "keepalived_config": {"type": "path", "default": "/etc/keepalived/keepalived.conf"},
    "load_balancer_config": {
        "type": "list",
        "elements": "path",
        "default": ["/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d"],
    },
    "login_unix_socket": {"type": "path", "default": "/run/mysqld/mysqld.sock"},
    "rabbitmq_config_directory": {"type": "path", "default": "/etc/rabbitmq"},
    "identity_config": {"type": "path", "default": "/etc/keystone/keystone.conf"},
    "timeout": {"type": "float", "default": 5.0},
}


def read(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    places = Places(
        vip=params["vip"],
        keepalived=Path(params["keepalived_config"]),
        haproxy=tuple(map(Path, params["load_balancer_config"])),
        database_socket=params["login_unix_socket"],
        rabbitmq=Path(params["rabbitmq_config_directory"]),
        keystone=Path(params["identity_config"]),
        timeout_s=params["timeout"],
    )
    return {"settings": ha_settings(places, params["components"])}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
