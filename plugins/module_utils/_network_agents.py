# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The agents of Neutron, and which of them are not alive."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import read_list

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json, Service


@dataclass(frozen=True, slots=True)
class NetworkAgent:
    """An agent. ``chassis`` is OVN's name of the host, None for other agents; times are Neutron's, in UTC."""

    id: str
    type: str
    binary: str
    host: str
    availability_zones: tuple[str, ...]
    chassis: str | None
    alive: bool
    admin_state_up: bool
    last_heartbeat: str | None

    @classmethod
    def parse(cls, body: Json) -> NetworkAgent:
        """From an entry of C(agents)."""
        return cls(
            id=body["id"],
            type=body["agent_type"],
            binary=body["binary"],
            host=body["host"],
            # ML2/OVN joins the zones of a chassis with commas.
            availability_zones=tuple(zone.strip() for zone in (body["availability_zone"] or "").split(",") if zone),
            chassis=(body.get("configurations") or {}).get("chassis_name"),
            alive=body["alive"],
            admin_state_up=body["admin_state_up"],
            last_heartbeat=body["heartbeat_timestamp"],
        )

    def __str__(self) -> str:
        return f"{self.binary} on {self.host}"


@dataclass(frozen=True, slots=True)
class AgentFilter:
    """Which agents are meant; what is empty or None leaves all."""

    hosts: Sequence[str] = ()
    binaries: Sequence[str] = ()
    chassis: Sequence[str] = ()
    availability_zone: str | None = None

    def matches(self, agent: NetworkAgent) -> bool:
        return (
            (not self.hosts or agent.host in self.hosts)
            and (not self.binaries or agent.binary in self.binaries)
            and (not self.chassis or agent.chassis in self.chassis)
            and (self.availability_zone is None or self.availability_zone in agent.availability_zones)
        )


@dataclass(frozen=True, slots=True)
class AgentSummary:
    """How many agents there are and live, which do not, and the hosts asked for that have none."""

    agents: int
    alive: int
    not_alive: list[str]
    hosts_without_agents: list[str]


def read_agents(network: Service, wanted: AgentFilter) -> list[NetworkAgent]:
    """The agents that match, sorted by host and binary.

    All are read and chosen from here, since a mechanism driver may take a filter otherwise than Neutron's own database.
    """
    agents = (NetworkAgent.parse(body) for body in read_list(network, "/agents", "agents"))
    return sorted(filter(wanted.matches, agents), key=lambda agent: (agent.host, agent.binary, agent.id))


def summary_of(agents: Sequence[NetworkAgent], wanted: AgentFilter) -> AgentSummary:
    """The summary of the agents that match."""
    hosts = {agent.host for agent in agents}
    not_alive = [str(agent) for agent in agents if not agent.alive]
    return AgentSummary(
        agents=len(agents),
        alive=len(agents) - len(not_alive),
        not_alive=not_alive,
        hosts_without_agents=[host for host in wanted.hosts if host not in hosts],
    )
