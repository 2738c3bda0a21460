# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""How long the protocols let an outage last, computed from the settings read on the targets.

Every interval is ``[minimum, maximum]`` in seconds: the minimum is what a fault that really hit cannot beat, the
maximum the worst that the protocol allows. The censoring of a probe (up to a period at each end) is part of the
measurement's uncertainty, not of the limit. Sources: RFC 9568, HAProxy's configuration manual, Galera's EVS
parameters, rabbitmq/ra and rabbitmq/aten; each was compared with pilots on real daemons.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import (
    HOST_FORMS,
    SERVICE_FORMS,
    Component,
    Form,
    Pick,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._limit_scene import Interval, Scene

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TAKEOVER_S = 0.02
"""Adding the address and announcing it; at most 9 ms in the pilots, doubled for a busy host."""

RECONNECT_S = 0.2
"""A client that lost its connection connects, logs in and sends its first write again."""

ELECTION_S = (0.1, 0.6)
"""Election timeout of a quorum queue: broadcast time 100 ms, drawn up to five times more (ra_server_proc)."""

SUSPICION_S = 0.05
"""aten beats every 100 ms and suspects after 1.5 beats, so half a beat after the fault at the earliest."""


def _skew(scene: Scene) -> float:
    """Skew time of the next holder, RFC 9568 section 6.1 (VRRPv3) and RFC 3768 (VRRPv2)."""
    host = scene.successor
    interval = scene.settings.number(host, "vrrp", "advert_int_s") if _version(scene, host) == 3 else 1.0
    return (256 - scene.settings.number(host, "vrrp", "priority")) / 256 * interval


def _version(scene: Scene, host: str) -> int:
    return int(scene.settings.number(host, "vrrp", "version"))


def vrrp_silence(scene: Scene) -> Interval:
    """The holder falls silent: [(k-1)A + S, kA + S], k = down_timer_adverts, A = advert_int, S = skew.

    Pilots: 33 of 36 trials with A >= 0.1 s inside, the others by a probe that was late itself.
    """
    host, skew = scene.successor, _skew(scene)
    interval = scene.settings.number(host, "vrrp", "advert_int_s")
    adverts = scene.settings.number(host, "vrrp", "down_timer_adverts")
    return Interval((adverts - 1) * interval + skew, adverts * interval + skew)


def vrrp_graceful(scene: Scene) -> Interval:
    """The holder resigns by an advertisement of priority 0: the next one waits its skew only."""
    return Interval(0.0, _skew(scene) + TAKEOVER_S)


def vrrp_process_killed(scene: Scene) -> Interval:
    """Keepalived is killed: the next holder waits as for silence.

    The address goes away only when systemd runs ExecStopPost, and answers until then: no outage is too short.
    """
    return Interval(0.0, vrrp_silence(scene).maximum)


def load_balancer_killed(scene: Scene) -> Interval:
    """The track script must fail ``fall`` times, then the holder resigns: [(F-1)i, Fi + timeout] + S."""
    holder = scene.victims[0]
    interval, fall, timeout = (
        scene.settings.number(holder, "vrrp", key) for key in ("script_interval_s", "script_fall", "script_timeout_s")
    )
    return Interval((fall - 1) * interval + _skew(scene), fall * interval + timeout + vrrp_graceful(scene).maximum)


def _detection(scene: Scene, backend: str) -> float:
    """Longest time until a backend that hangs is down: inter + (fall-1) fastinter + fall x check timeout."""
    return _refusal(scene, backend) + _check(scene, backend, "fall") * _check(scene, backend, "check_timeout_s")


def _refusal(scene: Scene, backend: str) -> float:
    """Longest time until a backend that refuses connections is down: inter + (fall-1) fastinter."""
    return _check(scene, backend, "inter_s") + (_check(scene, backend, "fall") - 1) * _check(
        scene, backend, "fastinter_s"
    )


def _check(scene: Scene, backend: str, key: str) -> float:
    return scene.settings.number(scene.balancer, "load_balancer", "backends", backend, key)


def _backend(scene: Scene) -> str:
    """The load balancer's backends bear the components' names."""
    return str(scene.component or Component.IDENTITY)


def backend_killed(scene: Scene) -> Interval:
    """Connections are refused at once, so one request finds it out when live traffic is observed, else the checks.

    A retry on the same server waits min(connect timeout, 1 s) first; pilots: 1 of 900 requests, window <= 20 ms.
    """
    backend, settings = _backend(scene), scene.settings
    by_checks = _refusal(scene, backend)
    place = (scene.balancer, "load_balancer", "backends", backend)
    if not settings.flag(*place, "on_error_mark_down"):
        return Interval(0.0, by_checks)
    by_traffic = min(_check(scene, backend, "connect_timeout_s"), 1.0) + _check(scene, backend, "fastinter_s")
    return Interval(0.0, min(by_checks, by_traffic))


def backend_hung(scene: Scene) -> Interval:
    """Requests wait until the checks find the backend down; pilots: worst 0.44 s of 0.45 s."""
    return Interval(0.0, _detection(scene, _backend(scene)))


def service_absent(scene: Scene) -> Interval:
    """Nobody is left to serve, so the outage lasts as long as the fault, and the start of the service more."""
    return Interval(scene.hold_s * 0.9, scene.hold_s + scene.within_s)


def galera_member_loss(scene: Scene) -> Interval:
    """Writes stall until the survivors form a group without the lost member.

    [suspect_timeout, suspect_timeout + join_retrans_period + inactive_check_period]. The last message of the victim
    is never younger than the fault, so keepalive_period adds nothing; pilots: 25 of 25 inside, whatever the form.
    """
    hosts = scene.having("database")

    def settings(key: str) -> list[float]:
        return [scene.settings.number(host, "database", key) for host in hosts]

    suspicion = settings("suspect_timeout_s")
    longest = max(suspicion) + max(settings("join_retrans_period_s")) + max(settings("inactive_check_period_s"))
    return Interval(min(suspicion), longest)


def galera_member_loss_via_proxy(scene: Scene) -> Interval:
    """As at a member, or until the load balancer leaves the victim if that takes longer, and a new connection."""
    group = galera_member_loss(scene)
    return Interval(group.minimum, max(group.maximum, _detection(scene, Component.DATABASE)) + RECONNECT_S)


def galera_total_outage(scene: Scene) -> Interval:
    """No member is left, so no write until the cluster is bootstrapped again."""
    return service_absent(scene)


def galera_minority(scene: Scene) -> Interval:
    """For a client of the minority: no write from the partition to the rejoin, or there were two clusters."""
    return service_absent(scene)


def queue_leader_killed(scene: Scene) -> Interval:
    """The closed connection tells the followers at once; then an election, 0.1 to 0.6 s; pilots: 0.14-0.47 s."""
    scene.having("message_queue")
    return Interval(0.0, ELECTION_S[1])


def queue_leader_silence(scene: Scene) -> Interval:
    """The failure detector polls, at worst twice before it is sure, then an election.

    Pilots with a poll of 0.5 s: 0.84-1.54 s. A poll may come right when the suspicion is ripe, hence the minimum.
    """
    hosts = scene.having("message_queue")
    poll = max(scene.settings.number(host, "message_queue", "aten_poll_interval_s") for host in hosts)
    return Interval(SUSPICION_S + ELECTION_S[0], 2 * poll + ELECTION_S[1])


def cache_hung(scene: Scene) -> Interval:
    """A request for a token waits once in each cache region it asks; each has clients of its own.

    Keystone 27 asks four of them: shared default, invalidation, computed assignments, computed catalog.
    After its first wait a client leaves the server alone for memcache_dead_retry.
    """
    timeouts = [
        scene.settings.number(host, "identity", "memcache_socket_timeout_s") for host in scene.having("identity")
    ]
    return Interval(0.0, _CACHE_REGIONS * max(timeouts))


def controller_lost(scene: Scene) -> Interval:
    """Everything on the host is lost at once and comes back side by side: the longest part, not the sum.

    For a probe that writes to the database: the minimum is the database's.
    """
    database = galera_member_loss_via_proxy(scene)
    others = [queue_leader_silence(scene), backend_hung(scene)]
    if scene.holder in scene.victims:
        others.append(vrrp_silence(scene))
    return Interval(database.minimum, max(part.maximum for part in (database, *others)))


@dataclasses.dataclass(frozen=True, slots=True)
class Formula:
    """A formula, the faults it holds for, and its reason in words for people."""

    interval: Callable[[Scene], Interval]
    forms: frozenset[Form]
    components: frozenset[Component]
    picks: frozenset[Pick]
    because: str

    def holds_for(self, form: Form, component: Component | None, pick: Pick) -> bool:
        """Whether the formula speaks of this fault; ``component`` is None when a whole host is hit."""
        fits = component is None or component in self.components
        return fits and form in self.forms and pick in self.picks


_CACHE_REGIONS = 4
_HOLDER = frozenset({Pick.VIP_HOLDER})
_ONE = frozenset(Pick) - {Pick.ALL}
_SUDDEN = frozenset({Form.CRASH, Form.STOP})
_MUTE = frozenset({Form.HANG, Form.SILENCE})
_MEMBER_LOSS = HOST_FORMS | _MUTE | {Form.CRASH, Form.PARTITION}


def _only(component: Component) -> frozenset[Component]:
    return frozenset({component})


FORMULAS: t.Final[Mapping[str, Formula]] = {
    formula.interval.__name__: formula
    for formula in (
        Formula(
            vrrp_silence,
            HOST_FORMS,
            frozenset(),
            _HOLDER,
            "the next holder misses the advertisements and waits its skew",
        ),
        Formula(
            vrrp_graceful,
            frozenset({Form.STOP}),
            _only(Component.VIP),
            _HOLDER,
            "the holder resigns and the next one waits its skew only",
        ),
        Formula(
            vrrp_process_killed,
            frozenset({Form.CRASH}),
            _only(Component.VIP),
            _HOLDER,
            "the address is removed by systemd, the next holder misses the advertisements",
        ),
        Formula(
            load_balancer_killed,
            _SUDDEN,
            _only(Component.LOAD_BALANCER),
            _HOLDER,
            "the track script fails, then the holder resigns",
        ),
        Formula(
            backend_killed, _SUDDEN, _only(Component.IDENTITY), _ONE, "a refused connection goes to another backend"
        ),
        Formula(
            backend_hung,
            _MUTE,
            _only(Component.IDENTITY),
            _ONE,
            "the health checks time out, then requests go elsewhere",
        ),
        Formula(
            service_absent,
            SERVICE_FORMS - {Form.PARTITION},
            frozenset(Component),
            frozenset({Pick.ALL}),
            "nobody is left to serve until the fault is healed",
        ),
        Formula(
            galera_member_loss,
            _MEMBER_LOSS,
            _only(Component.DATABASE),
            _ONE,
            "the survivors suspect the member and form a new group",
        ),
        Formula(
            galera_member_loss_via_proxy,
            _MEMBER_LOSS,
            _only(Component.DATABASE),
            _ONE,
            "the survivors form a new group while the load balancer leaves the member",
        ),
        Formula(
            galera_total_outage,
            SERVICE_FORMS - {Form.PARTITION},
            _only(Component.DATABASE),
            frozenset({Pick.ALL}),
            "no member is left until the cluster is bootstrapped again",
        ),
        Formula(
            galera_minority,
            frozenset({Form.PARTITION}),
            _only(Component.DATABASE),
            _ONE,
            "a minority refuses writes until it rejoins",
        ),
        Formula(
            queue_leader_killed,
            _SUDDEN,
            _only(Component.MESSAGE_QUEUE),
            frozenset({Pick.QUEUE_LEADER}),
            "the followers see the connection close and elect a leader",
        ),
        Formula(
            queue_leader_silence,
            HOST_FORMS | _MUTE | {Form.PARTITION},
            _only(Component.MESSAGE_QUEUE),
            frozenset({Pick.QUEUE_LEADER}),
            "the failure detector polls twice at most, then the followers elect a leader",
        ),
        Formula(
            cache_hung, _MUTE, _only(Component.CACHE), frozenset(Pick), "requests wait for the cache's socket timeout"
        ),
        Formula(
            controller_lost,
            HOST_FORMS,
            frozenset(),
            _ONE,
            "the longest of address, database, message queue and backend",
        ),
    )
}
