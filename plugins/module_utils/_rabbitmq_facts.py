# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a RabbitMQ cluster looks like, for those that judge it without asking it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue; node names as ``rabbit@HOST``. ``type`` is None for a queue that was asked for and does not exist."""

    type: str | None
    leader: str | None = None
    members: tuple[str, ...] = ()
    online: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A node as the asked one sees it."""

    name: str
    running: bool
    alarms: tuple[str, ...]
    partitions: tuple[str, ...]
