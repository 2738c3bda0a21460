# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts of made-up migrations, as the role migration writes them."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

MIB = 2**20
GIB = 2**30
RUN = "2026-11-22T13-42-05Z"
START = datetime(2026, 11, 22, 13, 42, 5, tzinfo=UTC).timestamp()
_LIVE = (
    # Nova's name of the step, where it is done, and when it begins and ends: seconds after the request, or the end of
    # copying where the number is not positive.
    ("live_migrate_instance", "ctl1", 0, 1),
    ("check_can_live_migrate_destination", "cmp2", 1, 2),
    ("pre_live_migration", "cmp2", 2, 4),
    ("live_migration", "cmp1", 4, 4),
    ("post_live_migration_at_destination", "cmp2", -1, 1),
)


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def step(server: str = "web-1", **values):
    """A step of a plan: 1 GiB at 128 MiB/s, 5 s before and after, 0.2 s of switching over."""
    copying = values.pop("transferred", GIB) / (128 * MIB)
    planned = {
        "server": f"id-{server}",
        "name": server,
        "source": "cmp1",
        "destination": "cmp2",
        "mode": "pre-copy",
        "alone": False,
        "stops_server": False,
        "start_s": 0.0,
        "end_s": copying + 5.2,
        "downtime_s": 0.2,
        "transferred": round(copying * 128 * MIB),
        "slowdown": 0.0,
        "assumed": {
            "bandwidth": 128.0 * MIB,
            "carried_share": 1.0,
            "memory": copying * 128 * MIB,
            "dirty_rate": 0.0,
            "switch_s": 0.2,
            "downtime_s": 0.2,
            "total_s": copying + 5.2,
        },
    }
    planned |= values
    planned["assumed"] |= {"total_s": planned["end_s"] - planned["start_s"], "downtime_s": planned["downtime_s"]}
    return planned


def receipt(server: str = "web-1", at: float = 0.0, seconds: float = 14.0, planned=None, **values):
    """Of a live migration that went well, begun so many seconds after the run."""
    planned = planned or step(server)
    copied = seconds - 3.0
    whole = planned["transferred"] or 0
    phases = [
        {
            "name": name,
            "host": host,
            "began": iso(START + at + int(begin if begin >= 0 else copied)),
            "seconds": float(end - begin if begin >= 0 else end),
            "result": "Success",
            "details": "",
        }
        for name, host, begin, end in _LIVE
    ]
    states = [(0.1, "queued", "MIGRATING", "migrating"), (4.2, "running", "MIGRATING", "migrating")]
    states.append((seconds, "completed", "ACTIVE", None))
    made = {
        "server": planned["server"],
        "name": planned["name"],
        "kind": "live",
        "planned": planned,
        "moved": True,
        "found": "",
        "source": planned["source"],
        "destination": planned["destination"],
        "began": iso(START + at),
        "seconds": seconds,
        "transferred": {"memory_total": whole, "memory_processed": whole, "memory_remaining": 0},
        "timeline": [dict(zip(("at_s", "record", "server", "task"), state, strict=True)) for state in states],
        "phases": phases,
        "warnings": [],
    }
    return made | values


def ended(status: str, record: str = "completed", before: str | None = None):
    """The states of a server that ends with this status; without ``before`` it was under way when it was seen first."""
    states = [(0.1, "queued", "MIGRATING", "migrating"), (9.0, record, status, None)]
    states = [(0.0, "", before, None), *states] if before else states
    return [dict(zip(("at_s", "record", "server", "task"), state, strict=True)) for state in states]


def cold(server: str, at: float, seconds: float = 32.0, **values):
    """Of a cold migration of a server that ran."""
    planned = step(server, mode="cold", stops_server=True, transferred=0, end_s=35.0, downtime_s=30.0)
    names = (("prep_resize", 1, 3), ("resize_instance", 4, 12), ("finish_resize", 16, 8), ("confirm_resize", 28, 2))
    phases = [
        {"name": name, "host": "cmp2", "began": iso(START + at + begin), "seconds": float(took), "result": "Success"}
        for name, begin, took in names
    ]
    made = {"kind": "cold", "transferred": {}, "phases": phases, "timeline": ended("ACTIVE", "confirmed")}
    return receipt(server, at, seconds, planned, **made | values)


def failed(server: str, at: float, found: str, **values):
    """Of a migration that failed: the module tells nothing else then."""
    nothing = {"seconds": None, "transferred": {}, "timeline": [], "phases": [], "moved": False, "found": found}
    return receipt(server, at) | nothing | values


def not_begun(server: str):
    """Of one that waited for room till the end."""
    nothing = {"began": None, "seconds": None, "transferred": {}, "timeline": [], "phases": []}
    return receipt(server) | nothing | {"moved": False, "found": "it was not begun: cmp2: needs 4 GiB of memory"}


def evacuated(server: str, at: float, predicted: float | None = None, seconds: float = 21.0, **values):
    """Of a server of a dead host; of old nothing was predicted."""
    planned = {
        "server": f"id-{server}",
        "name": server,
        "source": "cmp3",
        "destination": None,
        "mode": "evacuation",
        "transferred": None,
    }
    if predicted is not None:
        planned |= {"start_s": 0.0, "end_s": predicted, "learned_from": 1, "assumed": {"rebuild_s": predicted}}
    nothing = {"kind": "evacuation", "transferred": {}, "timeline": [], "phases": [], "destination": "cmp1"}
    return receipt(server, at, seconds, planned, **nothing | values)


def run_of(*receipts, stayed=(), **plan):
    """A file of receipts."""
    summary = {"moves": len(receipts), "bytes": 12.0 * GIB, "total_s": 150.0, "lower_bound_s": 140.0} | plan
    return {"goal": "drain", "began": RUN, "plan": summary, "stayed": list(stayed), "receipts": list(receipts)}


def mixed():
    """Twelve servers that fare differently, and two that stayed."""
    record = "Nova's record of migration 71 says error, yet server db-2 has arrived."
    partly = {"memory_total": GIB, "memory_processed": 700 * MIB, "memory_remaining": 300 * MIB, "downtime_ms": 180}
    return run_of(
        receipt("web-1", 0, 13.4),
        receipt("web-2", 14, 15.2, transferred=partly),
        receipt("db-1", 30, 41.0, warnings=["port 5 is not bound yet"]),
        receipt("db-2", 72, 12.9, warnings=[record]),
        receipt("mail", 86, 14.1, step("mail", source="cmp4", destination="cmp1"), timeline=ended("ERROR")),
        cold("archive", 101),
        cold("billing", 134, timeline=ended("VERIFY_RESIZE", "finished")),
        failed(
            "cache-1", 168, "server cache-1: found a migration that is error: no route to cmp2; expected the server on"
        ),
        receipt("cache-2", 170, 13.0, destination="cmp1"),
        receipt("build-<b>1</b>", 184, 12.2, timeline=ended("SHUTOFF")),
        receipt("dns", 197, 13.1, step("dns", source="cmp4", destination="cmp2", end_s=14.0)),
        receipt("ntp", 211, 12.5, step("ntp", source="cmp4", destination="cmp1")),
        stayed=["gpu-1", "gpu-2"],
    )


def many(count: int):
    """So many servers, one after the other, away from ten hosts."""
    chance, at, receipts = random.Random(1), 0.0, []
    for number in range(count):
        seconds = round(chance.uniform(9, 40), 2)
        planned = step(f"server-{number:04}", source=f"cmp{number % 10}", destination=f"cmp{10 + number % 7}")
        seen = [
            {"at_s": at_s * 1.0, "record": "running", "server": "MIGRATING", "task": "migrating"} for at_s in range(6)
        ]
        receipts.append(receipt("", at, seconds, planned, timeline=seen + ended("ACTIVE")))
        at += seconds + 1
    return run_of(*receipts, total_s=at)


def write(directory, document, run: str = RUN):
    """The file of receipts of a run."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{run}.json"
    file.write_text(json.dumps(document))
    return file
