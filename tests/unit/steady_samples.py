# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers of a steady controller, for tests."""

from __future__ import annotations

import copy
import typing as t

HOSTS = ["ctl1", "ctl2", "ctl3"]
NODES = [f"rabbit@{host}" for host in HOSTS]
UUID = "6f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e"


def controller(holds: bool) -> dict[str, t.Any]:
    """A steady one, in the shape that the module returns."""
    servers = {
        host: {"status": "UP", "backup": False, "sessions": 0, "check": "L7OK", "downtime_s": 0} for host in HOSTS
    }
    queue = {"type": "quorum", "leader": NODES[1], "members": list(NODES), "online": list(NODES)}
    return {
        "vip": {"running": True, "holds": holds, "addresses": ["10.98.0.11"], "error": None},
        "load_balancer": {
            "running": True,
            "version": "3.0.11",
            "backends": {"identity": servers, "database": copy.deepcopy(servers)},
            "error": None,
        },
        "database": {
            "running": True,
            "status": "Primary",
            "state": "Synced",
            "size": 3,
            "uuid": UUID,
            "last_committed": 4711,
            "ready": True,
            "read_only": False,
            "connected": True,
            "error": None,
        },
        "message_queue": {
            "running": True,
            "nodes": list(NODES),
            "alarms": [],
            "partitions": [],
            "queues": {"ledger": queue},
            "error": None,
        },
        "cache": {"running": True, "answering": True, "error": None},
        "identity": {"running": True, "answering": True, "status": 200, "error": None},
        "core_dumps": [],
    }
