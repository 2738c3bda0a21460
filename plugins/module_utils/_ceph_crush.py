# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Where a CRUSH rule may put replicas: how many separate places there are, counted in the cluster's tree of OSDs."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Json

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Places:
    """The buckets of one kind (host, rack ...), or the OSDs, of which each takes one replica at most."""

    rule: str
    kind: str
    names: tuple[str, ...]

    @property
    def evidence(self) -> str:
        """Such as '2 of the kind host with OSDs that are in (c1, c2)'."""
        count = len(self.names)
        named = f" ({', '.join(self.names)})" if count else ""
        return f"{count} of the kind {self.kind} with OSDs that are in{named}"


def places_of(rule: Json, nodes: Sequence[Json]) -> Places:
    """The places for the rule, a member of ``osd crush rule dump``, among the nodes of ``osd tree``.

    OSDs count that are in, with a weight, and of the rule's device class; one that is down is expected back. A rule
    that chooses in several steps is not calculated: its OSDs are counted, so that the answer is never too low.
    """
    by_name = {node["name"]: node for node in nodes}
    by_id = {node["id"]: node for node in nodes}
    takes = [step["item_name"] for step in rule["steps"] if step["op"] == "take"]
    kinds = [step["type"] for step in rule["steps"] if step["op"].startswith("choose")]
    kind = kinds[0] if len(takes) == 1 and len(kinds) == 1 else "osd"
    names = []
    for take in takes:
        root, _tilde, device_class = take.partition("~")
        if root in by_name:
            names += [
                node["name"]
                for node in _below(by_name[root], by_id)
                if node["type"] == kind and any(_usable(osd, device_class) for osd in _below(node, by_id))
            ]
    return Places(rule["rule_name"], kind, tuple(sorted(set(names))))


def _below(node: Json, by_id: dict[int, Json]) -> Iterator[Json]:
    """The node and everything below it."""
    yield node
    for child in node.get("children", ()):
        if child in by_id:
            yield from _below(by_id[child], by_id)


def _usable(node: Json, device_class: str) -> bool:
    return (
        node["type"] == "osd"
        and bool(node.get("exists", 1))
        and node.get("reweight", 0) > 0
        and node.get("crush_weight", 0) > 0
        and device_class in ("", node.get("device_class", ""))
    )
