# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small fleets for tests of migration plans."""

from __future__ import annotations

from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import Policy
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_input import fleet_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Defaults, Estimates
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Limits
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_travel import Travel

GIB = 2**30
MIB = 2**20
GIGABIT = 125e6


def host(name, **values):
    return {"name": name, "vcpus": 16, "memory": 16 * GIB, "bandwidth": GIGABIT} | values


def server(name, on, **values):
    return {"name": name, "host": on, "vcpus": 1, "memory": GIB} | values


def fleet(hosts, servers, groups=(), links=()):
    """``hosts`` as a number is that many, called cmp1 and so on."""
    if isinstance(hosts, int):
        hosts = [host(f"cmp{number}") for number in range(1, hosts + 1)]
    return fleet_of(hosts, servers, groups, links)


def travel(of, limits=None, policy=None, estimates=None):
    return Travel(of, limits or Limits(), policy or Policy(), estimates or Estimates(defaults=Defaults(0.2, 1.0, 10.0)))


def tools(of, **options):
    return Matrix(of), travel(of, **options)
