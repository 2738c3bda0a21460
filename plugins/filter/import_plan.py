# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine of elsewhere becomes in a cloud, as a filter."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import asdict

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_plan import Cloud, Wanted, plan_import

DOCUMENTATION = r"""
name: import_plan
short_description: Say what a machine of another hypervisor becomes in a cloud
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Chooses the flavor, maps the networks, names images and volumes, and finds what stands against the import, all of it
    before the first change.
  - Chosen is the flavor with the least memory of those that have the processors, memory and disk of the machine and no
    extra specs. One that is asked for needs only a disk that is large enough.
  - Refused are a network without mapping or with one to an unknown network, no flavor that fits, losses that are
    serious unless they are accepted, security groups that do not let in who asks whether it answers, a name that no
    file can have, a disk larger than is allowed, and names that something of another source has. What an interrupted
    import of this source has left is no obstacle, an image without all of its data or a volume that no server has had.
options:
  _input:
    description:
      - A dictionary with C(machine) (as M(lifeboat.cloud.foreign_machine_info) returns it), C(cloud) (as
        M(lifeboat.cloud.import_target_info) returns it), and C(wanted).
      - C(wanted) has C(name), C(flavor) (empty to choose one), C(networks) (a network of the cloud for each of the
        source, named like C(vmbr0), with a VLAN C(vmbr0.10), and C(default) for a disk alone), C(sources) (SHA-256 of
        the files by their paths; of converted ones those of all files of the source, with spaces between),
        C(rehearsal) (a suffix, empty for none), C(accept_losses), C(running), when
        C(sources) are of the paths since the files change, and C(stopped), when that machine is off by now.
      - Also C(security_groups) of the server, the C(answer_port) at which it is asked, and whether it
        C(has_floating_ip). Nothing is asked without a port, and a rehearsal has a security group of its own. With
        C(boot_from_volume) the first disk becomes a volume, too, and a flavor may have any disk. Of more GiB than
        C(largest_disk) no disk is taken, 0 for any.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse what cannot be imported
  ansible.builtin.assert:
    that: (given | lifeboat.cloud.import_plan).findings == []
  vars:
    given:
      machine: "{{ web1 }}"
      cloud: "{{ found.target }}"
      wanted: {name: web1, networks: {VM Network: web}, sources: {/srv/import/web1.ova: "{{ digest }}"}}
"""

RETURN = r"""
_value:
  description:
    - The C(server) with whether to C(make) it, its C(source), C(flavor), C(networks) and C(disks), and its
      C(volumes) as M(lifeboat.cloud.import_server) takes them; C(findings), each with thing, found, expected and
      remedy; a line that C(says) each thing to be made; and whether the server C(replaces) what an interrupted
      rehearsal has left of itself.
  type: dict
  sample:
    server: web1
    make: true
    source: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
    flavor: small
    networks: [web]
    disks: [{disk: vmdisk1, image: web1, source: "5891b5b5 vmdisk1", make: true, volume: null, size: 16}]
    volumes: []
    findings: []
    replaces: false
    says: ["image web1: make from disk vmdisk1", "server web1: make with flavor small"]
"""

KEYS = ("machine", "cloud", "wanted")


def plan(given: object) -> dict[str, t.Any]:
    """The plan as a dictionary."""
    if not isinstance(given, Mapping) or set(given) != set(KEYS):
        raise AnsibleFilterError(f"import_plan: found {given!r}; expected a dictionary with {', '.join(KEYS)}.")
    try:
        return asdict(plan_import(given["machine"], Cloud(**given["cloud"]), Wanted(**given["wanted"])))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise AnsibleFilterError(f"import_plan: {found}; correct what is given.") from error


class FilterModule:
    """The filter import_plan."""

    def filters(self) -> dict[str, t.Callable[[object], dict[str, t.Any]]]:
        return {"import_plan": plan}
