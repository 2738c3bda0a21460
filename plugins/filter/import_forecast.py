# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a machine will be away while it is brought in, as a filter."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_forecast import (
    earlier,
    forecast,
    read_receipts,
)

DOCUMENTATION = r"""
name: import_forecast
short_description: Say how long a machine will be away while it is brought into a cloud
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Adds up what is done between the stop of a machine that is copied while it runs and the answer of its server, which
    is the stop, the last copy, the upload, the making of the server and its boot.
  - The last copy takes as long as the last round. The rest is learned from the receipts of earlier imports, of the same
    machine if there are any, and else assumed.
  - Without rounds it is what the last run has told that was about this machine and has not led to a server.
options:
  _input:
    description:
      - A dictionary with C(machine), C(server) and C(source) (these two as P(lifeboat.cloud.import_plan#filter) returns
        them), C(rounds) (a list of dictionaries with C(seconds)), and C(upload_bytes), the size of the images.
    type: dict
    required: true
  directory:
    description: The directory of the receipts. One that is not there has none.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Say how long it will be away
  ansible.builtin.debug:
    msg: "{{ (given | lifeboat.cloud.import_forecast('reports/imports')).predicted.seconds }}"
  vars:
    given:
      machine: web1
      server: web1
      source: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
      rounds: [{seconds: 61.2}, {seconds: 20.9}]
      upload_bytes: 1073741824
"""

RETURN = r"""
_value:
  description:
    - The C(rounds), and what is C(predicted), null without rounds. It has the C(seconds) of all and the C(parts), each
      a C(step) of the receipt with its C(seconds) and how that is C(known).
  type: dict
  sample:
    rounds: [{seconds: 61.2}, {seconds: 20.9}]
    predicted:
      seconds: 78.5
      parts:
        - {step: shut down, seconds: 3.0, known: "assumed, as long as a server that Nova's log tells of"}
        - {step: copy, seconds: 20.9, known: as long as the last round}
        - {step: upload, seconds: 8.6, known: "assumed, as fast as a link of 1 Gbit/s carries"}
        - {step: server, seconds: 29.0, known: the median of 3 earlier of any machine}
        - {step: answer, seconds: 17.0, known: the median of 1 earlier of this machine}
"""

KEYS = ("machine", "server", "source", "rounds", "upload_bytes")


def told(given: object, directory: str) -> dict[str, t.Any]:
    """The rounds and the forecast as a dictionary."""
    if not isinstance(given, Mapping) or set(given) != set(KEYS):
        raise AnsibleFilterError(f"import_forecast: found {given!r}; expected a dictionary with {', '.join(KEYS)}.")
    try:
        receipts = read_receipts(Path(directory))
        if not given["rounds"]:
            return asdict(earlier(receipts, given["server"], given["source"]))
        copy_seconds = float(given["rounds"][-1]["seconds"])
        predicted = forecast(receipts, given["machine"], copy_seconds, int(given["upload_bytes"]))
        # Ansible's own lists cannot be copied by asdict.
        return {"rounds": given["rounds"], "predicted": asdict(predicted)}
    except (KeyError, TypeError, ValueError) as error:
        found = f"{type(error).__name__}: {error}"
        raise AnsibleFilterError(f"import_forecast: {found}; correct what is given.") from error
    except OSError as error:
        raise AnsibleFilterError(f"import_forecast: {error}; expected readable files in {directory}.") from error


class FilterModule:
    """The filter import_forecast."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"import_forecast": told}
