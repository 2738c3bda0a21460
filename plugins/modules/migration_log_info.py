#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read from a log of nova-compute how long the phases of migrations took."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_log_info
short_description: Read from a log of nova-compute how long the phases of migrations took
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads a log of nova-compute on its host and returns the migrations that it tells of, with their phases, the bytes
    that Nova wrote down, and what was warned of meanwhile.
  - For migrations of the past, and for clouds of which only the logs are at hand. While a migration runs, Nova and
    libvirt themselves tell more.
extends_documentation_fragment:
  - lifeboat.cloud._attributes.info
options:
  path:
    description: The log. Older ones that were compressed are read as they are, by their name's ending C(.gz).
    type: path
    default: /var/log/nova/nova-compute.log
  instances:
    description: Only the migrations of these servers, by their UUIDs.
    type: list
    elements: str
    default: []
notes:
  - The source of a migration and its destination each tell a part; read the logs of both.
  - A log that is not empty and has no line as oslo.log writes them to a file by default is refused, such as one in JSON
    or one from a journal with its prefix.
  - A pause is what Nova noticed of it, the time between two lines of the log. A client may have noticed more.
"""

EXAMPLES = r"""
- name: Read how long servers stood still when they left this host
  lifeboat.cloud.migration_log_info:
  register: log

- name: Show the longest pause
  ansible.builtin.debug:
    msg: "{{ log.migrations | map(attribute='phases.pause_s') | select('number') | max }} s"
"""

RETURN = r"""
migrations:
  description: The migrations in the order in which they began.
  returned: success
  type: list
  elements: dict
  contains:
    instance:
      description: The UUID of the server.
      type: str
      sample: 6ae5427f-1e23-4421-bcbb-62e23108745f
    kind:
      description: V(live), or V(cold) when the server was shut down for it.
      type: str
      sample: live
    side:
      description: Whether this host was the V(source) or the V(destination).
      type: str
      sample: source
    source:
      description: The host that the server left; null where the log does not tell it.
      type: str
      sample: compute2
    destination:
      description: The host that the server came to; null where the log does not tell it.
      type: str
      sample: compute1
    outcome:
      description: V(finished), V(failed), or V(unfinished) when the log ends before.
      type: str
      sample: finished
    phases:
      description:
        - Seconds of each phase, null for what this side does not tell. C(shutdown_s) is the shutdown of a cold
          migration, C(preparation_s) the destination's preparation, C(copy_s) from the first progress to the pause,
          C(pause_s) from the pause to the end of the operation, C(resume_s) from the start on the destination until
          the server runs, C(cleanup_s) Nova's work after the operation, C(total_s) from the first progress to the end.
      type: dict
      sample: {copy_s: 2.189, pause_s: 0.564, cleanup_s: 22.385, total_s: 25.139}
    processed_bytes:
      description: Memory that was copied by the time of the last progress; null when there is none.
      type: int
      sample: 0
    total_bytes:
      description: Memory to be copied as of the last progress; null when there is none.
      type: int
      sample: 0
    marks:
      description: The moments of which the phases are made, in the log's own time zone.
      type: dict
      sample: {paused: "2019-08-29 14:00:37.020000"}
    warnings:
      description:
        - What was logged of the server at WARNING or above meanwhile, in full, with C(time), C(level), C(logger),
          C(message) and C(serious), which is false for what is known from migrations that went well.
      type: list
      elements: dict
"""

import dataclasses
import gzip
import itertools
import typing as t
import zlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_log import Migration, entries, migrations
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path", "default": "/var/log/nova/nova-compute.log"},
    "instances": {"type": "list", "elements": "str", "default": []},
}


def read(path: str) -> list[Migration]:
    """The migrations of the log at ``path``, which is read line by line."""
    opened: t.Callable[..., t.TextIO] = gzip.open if path.endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8", errors="replace") as log:
            told = entries(log)
            first = next(told, None)
            if first is None:
                _check_empty(log, path)
                return []
            return migrations(itertools.chain([first], told))
    except (OSError, EOFError, zlib.error) as error:
        thing, remedy = f"log {path}", "Correct path, or run on a host with nova-compute."
        found = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise LifeboatError(thing, found, "a log of nova-compute", remedy) from error


def _check_empty(log: t.TextIO, path: str) -> None:
    log.seek(0)
    if log.read(1):
        remedy = "Give the file that nova-compute itself writes, with oslo.log's default logging_context_format_string."
        raise LifeboatError(f"log {path}", "no line in its format", "a log of nova-compute", remedy)


def shown(migration: Migration) -> dict[str, t.Any]:
    """The migration as it is returned."""
    told = dataclasses.asdict(migration)
    del told["failed_at"], told["shutdown_s"], told["preparation_s"]
    told["marks"] = {name: time.isoformat(sep=" ") for name, time in migration.marks.items()}
    return {**told, "outcome": migration.outcome, "phases": migration.phases()}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    asked = set(module.params["instances"])
    found = read(module.params["path"])
    return {"migrations": [shown(each) for each in found if not asked or each.instance in asked]}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
