# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Documentation of what plans of migrations rest on, with PLANNING_OPTIONS of module_utils."""

from __future__ import annotations


class ModuleDocFragment:
    """C(lifeboat.cloud._planning): what is known, assumed and allowed."""

    DOCUMENTATION = r"""
options:
  shared_storage:
    description:
      - The storage that all hosts of the cloud share for disks of servers, such as the name of a Ceph cluster. Without
        it hosts share what Placement's sharing providers give. Only for a fleet that OpenStack tells of.
    type: str
  assumed:
    description: What is assumed where nothing else is said or learned.
    type: dict
    suboptions:
      bandwidth:
        description: Of a host, in bytes per second. Required for a fleet that OpenStack tells of.
        type: float
      dirty_rate:
        description: Of a server, in bytes per second; nothing is taken for 0.
        type: float
      switch_s:
        description: Seconds that a server stands still whatever its size.
        type: float
        default: 0.2
      setup_s:
        description: Seconds of a migration before and after its copy.
        type: float
        default: 10.0
      reboot_s:
        description: Seconds that a server takes to shut down and start.
        type: float
        default: 15.0
  links:
    description:
      - The links that hosts share, such as the uplinks of racks, each with C(name) and C(bandwidth) each way, in bytes
        per second. Moves between hosts at the same link do not pass it.
      - Nova does not know who is at which; O(host_links) says it.
    type: list
    elements: dict
  host_links:
    description:
      - Of hosts that share one of O(links) its name, by the names that Nova has for the hosts. Hosts that are not named
        share none. Only for a fleet that OpenStack tells of.
    type: dict
  limits:
    description: How many migrations there may be at the same time.
    type: dict
    suboptions:
      outgoing:
        description: From one host. More than 1 helps only where much of a migration is not copying.
        type: int
        default: 1
      incoming:
        description: To one host.
        type: int
        default: 1
      link:
        description: On each of O(links), each way.
        type: int
        default: 4
      total:
        description: In all.
        type: int
        default: 50
  policy:
    description: What is allowed to a migration.
    type: dict
    suboptions:
      downtime_s:
        description: Seconds that what is left may take to send at last. Switching over comes on top of them.
        type: float
        default: 0.5
      total_s:
        description: Seconds that a live migration may take.
        type: float
        default: 600.0
      auto_converge:
        description: Whether a guest that writes too fast may be slowed down.
        type: bool
        default: true
      post_copy:
        description: Whether a guest may run before its memory has arrived. It is lost when a host is lost then.
        type: bool
        default: false
      cold:
        description: Whether servers that run may be stopped for it.
        type: bool
        default: false
  history:
    description:
      - What came of earlier steps, oldest first. Each is one of RV(lifeboat.cloud.migration_plan#module:steps) with
        C(measured) added, a dictionary of C(total_s) and, where they were measured, C(transferred) bytes, the
        disk's C(disk) of them, C(copy_s), C(downtime_s) and C(dirty_rate).
      - Bandwidths, times and dirty rates are corrected by the median of the last nine of a pair of hosts or a server.
    type: list
    elements: dict
    default: []
  history_directory:
    description:
      - The directory of the receipts that the playbooks which move servers leave. The newest 200 receipts are taken
        into O(history), before what is given there. What a receipt does not tell teaches nothing.
      - A file that cannot be read is left out with a warning. A directory that does not exist is empty.
    type: path
"""
