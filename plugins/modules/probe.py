#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, hold, stop and remove the probes of a drill."""

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Measure from a client's place how long services are away
version_added: "0.1.0"
description:
  - Runs a program on the host of an observer that sends requests at a fixed rate, whatever became of the earlier
    ones (open loop), and measures outages as intervals with a lower and an upper bound.
  - A success later than O(probes[].slo) after the moment at which it was due counts as outage, as an error does.
  - Ledgers write numbered rows or messages and read them back at the end, so that what was acknowledged and is lost
    is counted.
extends_documentation_fragment: [lifeboat.cloud._attributes]
author: lifeboat.cloud contributors (@lifeboat-cloud)
options:
  run:
    description: Id of the run; letters, digits, C(_), C(.) and C(-).
    type: str
    required: true
  state:
    description:
      - V(started) starts the program and waits until every probe has warmed up; a run that is under way is left alone.
      - V(held) waits while the probes go on.
      - V(stopped) ends the program and returns the results.
      - V(absent) ends the program and removes everything of the run.
    type: str
    choices: [started, held, stopped, absent]
    default: started
  directory:
    description: Where runs are kept, each in a directory of its own that only its owner can read.
    type: path
    default: /var/lib/lifeboat/probes
  probes:
    description: The probes. Required for O(state=started).
    type: list
    elements: dict
    suboptions:
      name:
        description: Unique name of the probe. A message ledger also reports under its name with C(_consume).
        type: str
        required: true
      kind:
        description:
          - V(tcp) connects to O(probes[].host) and O(probes[].port); V(icmp) sends an echo request to O(probes[].host).
          - V(http) sends O(probes[].method) to O(probes[].url) and judges the status.
          - V(identity_token) has the Keystone at O(probes[].url) issue a token.
          - V(database_ledger) commits rows, V(message_ledger) publishes and consumes messages.
          - V(guest_ledger) asks a guest of the role C(guest_image) for the counter on its disk, and sees whether that
            goes back or the guest boots anew. V(session) has messages echoed in one session that stays open.
        type: str
        required: true
        choices: [tcp, http, icmp, identity_token, database_ledger, message_ledger, guest_ledger, session]
      rate:
        description: Requests a second.
        type: float
        default: 20
      slo:
        description: Seconds within which a request must have succeeded, from the moment at which it was due.
        type: float
        default: 0.5
      timeout:
        description: Seconds after which a request is given up.
        type: float
        default: 5
      host:
        description: Host of V(tcp), V(icmp), V(database_ledger), V(guest_ledger) and V(session).
        type: str
      port:
        description:
          - Port of V(tcp), V(database_ledger) (default 3306), V(message_ledger) (default 5672), V(guest_ledger)
            (default 80) and V(session) (default 7).
        type: int
      url:
        description: URL of V(http); for V(identity_token) that of Keystone with its version, as in C(https://VIP:5000/v3).
        type: str
      method:
        description: Method of V(http), GET if not given.
        type: str
      status:
        description: The statuses that V(http) takes for success, 200 if not given.
        type: list
        elements: int
      headers:
        description: Additional headers of V(http).
        type: dict
      ca_file:
        description: Certificates to trust, a file on the observer. Ledgers use TLS only when it is given.
        type: str
      user:
        description: User of V(identity_token) and of ledgers.
        type: str
      password:
        description: Password of the user.
        type: str
      project:
        description: Project that the token of V(identity_token) is for.
        type: str
      domain:
        description: Domain of the user and the project of V(identity_token), Default if not given.
        type: str
      database:
        description: Database of V(database_ledger), which must exist.
        type: str
      table:
        description: Table of V(database_ledger), made if absent; ledger if not given.
        type: str
      connections:
        description: Largest number of connections of V(database_ledger), 64 if not given.
        type: int
      hosts:
        description: Hosts of V(message_ledger), tried in order.
        type: list
        elements: str
      vhost:
        description: Virtual host of V(message_ledger), C(/) if not given.
        type: str
      queue:
        description: Queue of V(message_ledger), a quorum queue that is declared if absent.
        type: str
      stall_reconnect:
        description: Seconds without confirmation or delivery after which V(message_ledger) turns to the next host.
        type: float
  warm_up:
    description: Successes of each probe before O(state=started) returns.
    type: int
    default: 20
  warm_up_timeout:
    description: Seconds that the warm-up may take; after that the run is removed and the module fails.
    type: float
    default: 30
  max_seconds:
    description: Seconds after which the program ends by itself.
    type: float
    default: 900
  since:
    description: Moment in seconds since 1970 from which O(duration) counts; the present one if not given.
    type: float
  duration:
    description: Seconds to wait. Required for O(state=held).
    type: float
  abort_after:
    description: Seconds of present outage of a probe after which O(state=held) returns early, by name of the probe.
    type: dict
    default: {}
  timeout:
    description: Seconds that O(state=stopped) waits for the results.
    type: float
    default: 90
"""

EXAMPLES = r"""
- name: Watch the dashboard fifty times a second
  lifeboat.cloud.probe:
    run: vip-holder-crash
    probes:
      - name: dashboard
        kind: http
        url: https://cloud.example.org/
        ca_file: /etc/lifeboat/ca.pem
        rate: 50
        slo: 0.2

- name: Wait for twenty seconds, at most five of them without the dashboard
  lifeboat.cloud.probe:
    run: vip-holder-crash
    state: held
    duration: 20
    abort_after:
      dashboard: 5

- name: Stop and read the results
  lifeboat.cloud.probe:
    run: vip-holder-crash
    state: stopped
  register: measured
"""

RETURN = r"""
run:
  description: Id of the run.
  returned: always
  type: str
previous_state:
  description: What the run was before - absent, running, finished, or ended without results.
  returned: always
  type: str
  sample: running
probes:
  description: Progress of each probe by name, with requests, successes, last_success, last_error and current_outage_s.
  returned: when I(state) is started or held and the run is under way
  type: dict
aborted:
  description: Whether the wait ended early because an outage lasted too long.
  returned: when I(state=held)
  type: bool
aborted_by:
  description: The probe whose outage lasted too long.
  returned: when I(state=held) and it was aborted
  type: str
results:
  description:
    - One entry for each probe. The keys that end in C(_s) are seconds, in C(_ms) milliseconds; moments are seconds
      since 1970. C(longest_outage_s) and C(total_outage_s) are upper bounds.
  returned: when I(state=stopped), not in check mode while the run is under way
  type: list
  elements: dict
runner:
  description: What the program used, C(cpu_s) and C(max_rss_mib).
  returned: with I(results)
  type: dict
"""

import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import KINDS, parse_run, parse_run_id
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.control import ProbeRun, RunState

Result = dict[str, t.Any]

_PROBE_SPEC: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "kind": {
        "type": "str",
        "required": True,
        "choices": list(KINDS),
    },
    "rate": {"type": "float", "default": 20},
    "slo": {"type": "float", "default": 0.5},
    "timeout": {"type": "float", "default": 5},
    "status": {"type": "list", "elements": "int"},
    "hosts": {"type": "list", "elements": "str"},
    "headers": {"type": "dict", "no_log": True},
    "password": {"type": "str", "no_log": True},
    **{key: {"type": "int"} for key in ("port", "connections")},
    **{
        key: {"type": "str"}
        for key in ("host", "url", "method", "ca_file", "user", "project", "domain", "database", "table", "vhost")
    },
    "queue": {"type": "str"},
    "stall_reconnect": {"type": "float"},
}

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "run": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["started", "held", "stopped", "absent"], "default": "started"},
    "directory": {"type": "path", "default": "/var/lib/lifeboat/probes"},
    # Not no_log as a whole: that would blot out every name and number of it in results and errors.
    "probes": {"type": "list", "elements": "dict", "options": _PROBE_SPEC},
    "warm_up": {"type": "int", "default": 20},
    "warm_up_timeout": {"type": "float", "default": 30},
    "max_seconds": {"type": "float", "default": 900},
    "since": {"type": "float"},
    "duration": {"type": "float"},
    "abort_after": {"type": "dict", "default": {}},
    "timeout": {"type": "float", "default": 90},
}


def started(module: AnsibleModule, run: ProbeRun) -> Result:
    """Start the program unless it runs; on a failed warm-up nothing is left behind."""
    params = module.params
    config = {key: params[key] for key in ("run", "probes", "max_seconds")}
    parse_run(config)
    state = run.state()
    if state is RunState.RUNNING:
        return {"changed": False, "probes": run.status()["probes"]}
    if state is not RunState.ABSENT:
        raise LifeboatError(
            f"probe run {run.run}", state.value, "a new run", "Use another id, or remove the run with state=absent."
        )
    if module.check_mode:
        return {"changed": True}
    try:
        run.start(config)
        return {"changed": True, "probes": run.warm_up(params["warm_up"], params["warm_up_timeout"])["probes"]}
    except LifeboatError:
        run.remove()
        raise


def held(module: AnsibleModule, run: ProbeRun) -> Result:
    """Wait while the probes go on."""
    params = module.params
    status = run.status()
    if module.check_mode:
        return {"changed": False, "probes": status["probes"], "aborted": False}
    since = time.time() if params["since"] is None else params["since"]
    limits = {name: _seconds(name, value) for name, value in params["abort_after"].items()}
    aborted_by, status = run.hold(since + params["duration"] - time.time(), limits)
    result = {"changed": False, "probes": status["probes"], "aborted": aborted_by is not None}
    return result if aborted_by is None else {**result, "aborted_by": aborted_by}


def stopped(module: AnsibleModule, run: ProbeRun) -> Result:
    """End the program and return its results."""
    state = run.state()
    if state is RunState.ABSENT:
        raise LifeboatError(f"probe run {run.run}", "no such run", f"it in {run.path.parent}", "Start it first.")
    if module.check_mode and state is RunState.RUNNING:
        return {"changed": True}
    results, use = run.stop(module.params["timeout"])
    return {"changed": state is RunState.RUNNING, "results": results, "runner": use}


def absent(module: AnsibleModule, run: ProbeRun) -> Result:
    """End the program and remove the directory of the run."""
    if run.state() is RunState.ABSENT:
        return {"changed": False}
    if not module.check_mode:
        run.remove()
    return {"changed": True}


def _seconds(name: str, value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise LifeboatError(f"abort_after {name}", repr(value), "a number of seconds", "Correct it.") from None


def work(module: AnsibleModule) -> Result:
    """Bring the run into its state; the difference is that of its life."""
    wanted = module.params["state"]
    run = ProbeRun(Path(module.params["directory"]), parse_run_id(module.params["run"]))
    before = run.state().value
    verbs = {"started": started, "held": held, "stopped": stopped, "absent": absent}
    result = verbs[wanted](module, run)
    after = {"started": "running", "stopped": "finished", "absent": "absent"}.get(wanted, before)
    difference = {"before": {"state": before}, "after": {"state": after if result["changed"] else before}}
    return {"run": run.run, "previous_state": before, "diff": difference, **result}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        required_if=[("state", "started", ["probes"]), ("state", "held", ["duration"])],
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
