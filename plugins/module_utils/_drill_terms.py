# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The words a drill file is written in."""

from __future__ import annotations

import enum


class Component(enum.StrEnum):
    """A part of the control plane; ``vip`` is Keepalived."""

    VIP = "vip"
    LOAD_BALANCER = "load_balancer"
    DATABASE = "database"
    MESSAGE_QUEUE = "message_queue"
    CACHE = "cache"
    IDENTITY = "identity"


class Form(enum.StrEnum):
    """How something fails. The last four befall a whole host, the others one component."""

    CRASH = "crash"
    HANG = "hang"
    SILENCE = "silence"
    STOP = "stop"
    PARTITION = "partition"
    SLOW_DISK = "slow_disk"
    CLOCK_STEP = "clock_step"
    POWER_OFF = "power_off"
    HOST_FREEZE = "host_freeze"
    NETWORK_CUT = "network_cut"


class Pick(enum.StrEnum):
    """Which of the members is hit."""

    VIP_HOLDER = "vip_holder"
    NOT_VIP_HOLDER = "not_vip_holder"
    ACTIVE_WRITER = "active_writer"
    NOT_ACTIVE_WRITER = "not_active_writer"
    QUEUE_LEADER = "queue_leader"
    NOT_QUEUE_LEADER = "not_queue_leader"
    MOVE_SOURCE = "move_source"
    MOVE_DESTINATION = "move_destination"
    ANY = "any"
    ALL = "all"


class MoveKind(enum.StrEnum):
    """Whether servers are moved while they run."""

    LIVE = "live"
    COLD = "cold"


class Destination(enum.StrEnum):
    """Who chooses where a server goes: the drill, or Nova."""

    NAMED = "named"
    AUTOMATIC = "automatic"


class MovedBy(enum.StrEnum):
    """What moves the servers: the module server_migration or the playbook that empties their host."""

    MODULE = "module"
    PLAYBOOK = "playbook"


class MoveEnd(enum.StrEnum):
    """What must have become of the servers. A lost one is on neither host, or does not run."""

    MOVED = "moved"
    STAYED = "stayed"
    LOST = "lost"


class MovePhase(enum.StrEnum):
    """When a live migration is disturbed: while memory is copied, or while the server runs on without all of it."""

    COPYING = "copying"
    POST_COPY = "post_copy"


class MoveStorage(enum.StrEnum):
    """What becomes of the disks in a live migration: both hosts have them, they are copied, or Nova finds out."""

    AUTO = "auto"
    SHARED = "shared"
    BLOCK = "block"


class AfterCold(enum.StrEnum):
    """What becomes of a cold migration that has arrived."""

    CONFIRM = "confirm"
    REVERT = "revert"


class OnTimeout(enum.StrEnum):
    """What becomes of a live migration that takes too long."""

    ABORT = "abort"
    FORCE = "force"


class Healing(enum.StrEnum):
    """What brings the cloud back: taking the fault away, or the recovery playbook."""

    HEAL = "heal"
    RECOVER_PLAYBOOK = "recover_playbook"


class AuditName(enum.StrEnum):
    """What must be true after a drill."""

    ONE_VIP_HOLDER = "one_vip_holder"
    BACKENDS_UP = "backends_up"
    GALERA_POSITION_EQUAL = "galera_position_equal"
    QUEUE_REPLICAS_COMPLETE = "queue_replicas_complete"
    NO_CORE_DUMP = "no_core_dump"


# What a power driver does to a host.
HOST_FORMS = frozenset({Form.POWER_OFF, Form.HOST_FREEZE, Form.NETWORK_CUT})
WITHOUT_COMPONENT = HOST_FORMS | {Form.CLOCK_STEP}
# What takes a component's service away; a slow disk need not.
SERVICE_FORMS = frozenset(Form) - WITHOUT_COMPONENT - {Form.SLOW_DISK}
QUORUM_COMPONENTS = frozenset({Component.DATABASE, Component.MESSAGE_QUEUE})

ACTIVE_PICKS = frozenset({Pick.VIP_HOLDER, Pick.ACTIVE_WRITER, Pick.QUEUE_LEADER})
# Hosts of the servers that the drill moves; they are no members of the control plane.
MOVE_PICKS = frozenset({Pick.MOVE_SOURCE, Pick.MOVE_DESTINATION})
STANDBY_PICKS = frozenset({Pick.NOT_VIP_HOLDER, Pick.NOT_ACTIVE_WRITER, Pick.NOT_QUEUE_LEADER})
