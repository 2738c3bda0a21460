# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration files of an OpenStack service from its dictionary."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from pathlib import PurePosixPath

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.to_ini import to_ini

DOCUMENTATION = r"""
name: service_files
short_description: Make the configuration files of an OpenStack service from its dictionary
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes the list of files that M(lifeboat.cloud.config_files) takes from the keys C(config), C(uwsgi) and C(files) of
    a service (see docs/services.md).
  - The first file of C(config) also gets the sections that all services share.
options:
  _input:
    description: The service.
    type: dict
    required: true
  shared:
    description: Sections of the first file; the service's own options come before them.
    type: dict
    default: {}
  overrides:
    description: File name to section to option to value, merged over everything else.
    type: dict
    default: {}
  uwsgi:
    description: uWSGI options that all APIs share.
    type: dict
    default: {}
  address:
    description: Address that the APIs bind.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Configure the service
  lifeboat.cloud.config_files:
    files: "{{ service | lifeboat.cloud.service_files(address='10.0.0.11', overrides=nova_config_overrides) }}"
  vars:
    nova_config_overrides: {nova.conf: {DEFAULT: {debug: true}}}
"""

RETURN = r"""
_value:
  description: The files, each with C(path), C(content), C(group) and C(mode).
  type: list
  elements: dict
"""

File = dict[str, str]
Sections = Mapping[str, t.Any]


def service_files(
    service: Mapping[str, t.Any],
    *,
    address: str,
    shared: Sections | None = None,
    overrides: Mapping[str, t.Any] | None = None,
    uwsgi: Mapping[str, t.Any] | None = None,
) -> list[File]:
    """Every file of ``service``; AnsibleFilterError when an override names a file that is none of them."""
    config: Mapping[str, Sections] = service.get("config", {})
    names = [PurePosixPath(path).name for path in config]
    unknown = sorted(set(overrides or {}) - set(names))
    if unknown:
        raise AnsibleFilterError(
            f"{service['name']}_config_overrides: found the file {', '.join(unknown)}; expected one of "
            f"{', '.join(names)}. Name the file, then its sections, then their options."
        )
    private = {"group": service["group_of_files"], "mode": "0640"}
    files = []
    for index, (path, sections) in enumerate(config.items()):
        layers = [(shared or {}) if index == 0 else {}, sections, (overrides or {}).get(names[index], {})]
        files.append({"path": path, "content": to_ini(_merged(layers)), **private})
    for api in service.get("uwsgi", []):
        files += _of_uwsgi(service, api, uwsgi or {}, address)
    files += [{"path": path, "content": content, **private} for path, content in service.get("files", {}).items()]
    return files


def _merged(layers: list[Sections]) -> dict[str, dict[str, t.Any]]:
    """The sections of all layers; of an option the last value."""
    merged: dict[str, dict[str, t.Any]] = {}
    for layer in layers:
        for section, options in layer.items():
            merged.setdefault(section, {}).update(options)
    return merged


def _of_uwsgi(service: Mapping[str, t.Any], api: Mapping[str, t.Any], shared: Sections, address: str) -> list[File]:
    """What uWSGI reads, and how Debian's start script is told so: its own arguments would bind all addresses."""
    # Without its name every API on a host calls itself uwsgi, and they share one queue for replies.
    environment = {"OS_OSLO_MESSAGING_RABBIT__PROCESSNAME": api["script"], **api.get("environment", {})}
    options = {
        **shared,
        "http-socket": f"{address}:{api['port']}",
        "wsgi-file": api["program"],
        "name": api["script"],
        "uid": service["user"],
        "gid": service["user"],
        "chdir": f"/var/lib/{service['user']}",
        "logto": f"/var/log/{service['user']}/{api['script']}.log",
        "env": [f"{name}={value}" for name, value in environment.items()],
        **api.get("options", {}),
    }
    ini = f"/etc/{service['user']}/lifeboat-{api['script']}-uwsgi.ini"
    return [
        {"path": ini, "content": to_ini({"uwsgi": options}), "mode": "0644"},
        {"path": f"/etc/default/{api['script']}", "content": f'DAEMON_ARGS="--ini {ini}"\n', "mode": "0644"},
    ]


class FilterModule:
    """The filter service_files."""

    def filters(self) -> dict[str, t.Callable[..., list[File]]]:
        return {"service_files": service_files}
