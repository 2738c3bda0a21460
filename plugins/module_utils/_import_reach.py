# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Whether what asks an imported server can reach it: what the server's security groups let in."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Json = t.Mapping[str, t.Any]
# Neutron keeps a protocol as it was given, by its name or its number; none is any.
_TCP = frozenset({None, "any", "0", "tcp", "6"})


def not_let_in(groups: Sequence[Json], names: Sequence[str], port: int, has_floating_ip: bool) -> Iterator[Finding]:
    """Groups of ``names`` that are not there, or why none of them lets a TCP connection to the port in.

    ``groups`` have their rules in Neutron's words. Whose address a rule is for is not judged, since who asks may come
    over a router; only members of a group are not who asks. A floating IP is one of IPv4.
    """
    wanted = list(dict.fromkeys(names)) or ["default"]
    known = {each["name"] for each in groups}
    missing = [each for each in wanted if each not in known]
    for name in missing:
        offered = ", ".join(sorted(known)) or "a group"
        yield Finding(f"security group {name}", "none", f"one of {offered}", "Correct machine_import_security_groups.")
    rules = [rule for each in groups if each["name"] in wanted for rule in each["rules"]]
    if not missing and not any(_lets_in(each, port, has_floating_ip) for each in rules):
        remedy = "Name a group that does in machine_import_security_groups, or another port in machine_import_answer."
        found = f"no rule that lets in TCP port {port}, at which the guest must answer"
        yield Finding(f"security groups {', '.join(wanted)}", found, "one", remedy)


def _lets_in(rule: Json, port: int, has_floating_ip: bool) -> bool:
    least, most = rule["port_range_min"], rule["port_range_max"]
    return (
        rule["direction"] == "ingress"
        and (rule["ethertype"] == "IPv4" or not has_floating_ip)
        and rule["protocol"] in _TCP
        and rule["remote_group_id"] is None
        and (least is None or least <= port)
        and (most is None or port <= most)
    )
