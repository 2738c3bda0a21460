# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formulas of the limits: against the pilots' figures, and against simulated protocols."""

from __future__ import annotations

import copy
import dataclasses
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _limits as limits
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import Component
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._limit_scene import Interval, Scene, Settings
from hypothesis import given
from hypothesis import strategies as st

BACKEND = {
    "inter_s": 0.2,
    "fastinter_s": 0.05,
    "fall": 2,
    "check_timeout_s": 0.1,
    "connect_timeout_s": 0.2,
    "on_error_mark_down": True,
}
HOST: dict[str, t.Any] = {
    "vrrp": {
        "advert_int_s": 0.1,
        "priority": 100,
        "version": 3,
        "down_timer_adverts": 3,
        "script_interval_s": 0.1,
        "script_fall": 2,
        "script_timeout_s": 0.1,
    },
    "load_balancer": {"backends": {"identity": BACKEND, "database": BACKEND}},
    "database": {"suspect_timeout_s": 1, "join_retrans_period_s": 0.1, "inactive_check_period_s": 0.1},
    "message_queue": {"aten_poll_interval_s": 0.5},
    "identity": {"memcache_socket_timeout_s": 0.4},
}


def scene(
    changes: dict[str, dict[str, t.Any]] | None = None,
    victims: tuple[str, ...] = ("ctl1",),
    component: Component | None = None,
) -> Scene:
    """Three controllers, ctl1 holding the VIP; ``changes`` are settings of all of them by section."""
    hosts = {name: copy.deepcopy(HOST) for name in ("ctl1", "ctl2", "ctl3")}
    for host in hosts.values():
        for section, values in (changes or {}).items():
            host[section].update(values)
    survivors = tuple(name for name in hosts if name not in victims)
    return Scene(Settings(hosts), victims, survivors, "ctl1", component, hold_s=6, within_s=30)


def assert_interval(found: Interval, minimum: float, maximum: float) -> None:
    assert (found.minimum, found.maximum) == (pytest.approx(minimum), pytest.approx(maximum))


@pytest.mark.parametrize(
    ("vrrp", "minimum", "maximum"),
    [
        ({"advert_int_s": 1, "version": 3, "priority": 100}, 2.609375, 3.609375),
        ({"advert_int_s": 1, "version": 2, "priority": 100}, 2.609375, 3.609375),
        ({"advert_int_s": 0.1, "priority": 100}, 0.2609375, 0.3609375),
        ({"advert_int_s": 0.1, "priority": 253}, 0.201171875, 0.301171875),
        ({"advert_int_s": 0.02, "priority": 253}, 0.040234, 0.060234),
        # The skew of VRRPv2 is in seconds, whatever the interval.
        ({"advert_int_s": 2, "version": 2, "priority": 192}, 4.25, 6.25),
    ],
)
def test_vrrp_silence_is_as_the_pilots_predicted(vrrp: dict[str, t.Any], minimum: float, maximum: float) -> None:
    found = limits.vrrp_silence(scene({"vrrp": vrrp}))
    assert found.minimum == pytest.approx(minimum, abs=1e-5)
    assert found.maximum == pytest.approx(maximum, abs=1e-5)


@given(
    interval=st.floats(0.01, 5),
    priority=st.integers(1, 254),
    adverts=st.integers(2, 5),
    phase=st.floats(0, 1, exclude_max=True),
)
def test_a_simulated_backup_takes_over_inside_the_interval(
    interval: float, priority: int, adverts: int, phase: float
) -> None:
    """The holder dies ``phase`` of an interval after its last advertisement, which started the backup's timer."""
    found = limits.vrrp_silence(
        scene({"vrrp": {"advert_int_s": interval, "priority": priority, "down_timer_adverts": adverts}})
    )
    outage = adverts * interval + (256 - priority) * interval / 256 - phase * interval
    assert found.minimum - 1e-9 <= outage <= found.maximum + 1e-9


def test_the_skew_is_that_of_the_best_host_that_stays() -> None:
    one = scene()
    hosts = {name: copy.deepcopy(HOST) for name in ("ctl1", "ctl2", "ctl3")}
    for name, priority in (("ctl1", 250), ("ctl2", 150), ("ctl3", 200)):
        hosts[name]["vrrp"]["priority"] = priority
    one = dataclasses.replace(one, settings=Settings(hosts))
    assert one.successor == "ctl3"
    assert limits.vrrp_silence(one).minimum == pytest.approx(0.2 + 56 / 256 * 0.1)


def test_a_graceful_stop_costs_the_skew_only() -> None:
    found = limits.vrrp_graceful(scene({"vrrp": {"advert_int_s": 1, "priority": 253}}))
    assert_interval(found, 0, 0.01171875 + limits.TAKEOVER_S)


def test_a_killed_keepalived_may_cost_nothing_and_at_most_what_silence_costs() -> None:
    assert_interval(limits.vrrp_process_killed(scene()), 0, 0.3609375)


def test_a_killed_load_balancer_costs_the_track_script_and_the_skew() -> None:
    assert_interval(limits.load_balancer_killed(scene()), 0.1 + 0.0609375, 0.2 + 0.1 + 0.0609375 + limits.TAKEOVER_S)


def test_a_hung_backend_costs_what_the_pilot_predicted() -> None:
    assert_interval(limits.backend_hung(scene(victims=("ctl3",), component=Component.IDENTITY)), 0, 0.45)


def test_a_killed_backend_is_found_by_traffic_or_else_by_the_checks() -> None:
    one = scene(victims=("ctl3",), component=Component.IDENTITY)
    assert_interval(limits.backend_killed(one), 0, 0.25)
    backends = {"identity": {**BACKEND, "inter_s": 2, "fastinter_s": 2, "fall": 3, "on_error_mark_down": False}}
    default = scene({"load_balancer": {"backends": backends}}, victims=("ctl3",), component=Component.IDENTITY)
    assert_interval(limits.backend_killed(default), 0, 6)


@pytest.mark.parametrize(
    ("suspect", "retransmission", "check", "measured"),
    [(5, 1, 0.5, (6.05, 6.29)), (1, 1, 0.1, (2.01, 2.08)), (1, 0.1, 0.1, (1.11, 1.20)), (0.3, 0.1, 0.1, (0.40, 0.49))],
)
def test_galera_member_loss_contains_the_pilots(
    suspect: float, retransmission: float, check: float, measured: tuple[float, float]
) -> None:
    found = limits.galera_member_loss(
        scene(
            {
                "database": {
                    "suspect_timeout_s": suspect,
                    "join_retrans_period_s": retransmission,
                    "inactive_check_period_s": check,
                }
            }
        )
    )
    assert found.minimum <= measured[0]
    assert measured[1] <= found.maximum + 1e-9
    assert_interval(found, suspect, suspect + retransmission + check)


def test_through_the_proxy_the_slower_of_group_and_checks_counts() -> None:
    assert_interval(limits.galera_member_loss_via_proxy(scene(component=Component.DATABASE)), 1, 1.2 + 0.2)
    slow = {"database": {**BACKEND, "inter_s": 2, "fastinter_s": 1, "check_timeout_s": 1}}
    found = limits.galera_member_loss_via_proxy(scene({"load_balancer": {"backends": slow}}))
    assert_interval(found, 1, 2 + 1 + 2 + 0.2)


def test_queue_formulas_contain_the_pilots() -> None:
    killed, silent = limits.queue_leader_killed(scene()), limits.queue_leader_silence(scene())
    assert killed.minimum <= 0.14 and killed.maximum >= 0.47
    assert_interval(killed, 0, 0.6)
    assert silent.minimum <= 0.84 and silent.maximum >= 1.54
    assert_interval(silent, 0.15, 1.6)


def test_an_absent_service_is_out_as_long_as_the_fault() -> None:
    for formula in (limits.service_absent, limits.galera_total_outage, limits.galera_minority):
        assert_interval(formula(scene(victims=("ctl1", "ctl2", "ctl3"))), 5.4, 36)


def test_a_hung_cache_costs_a_socket_timeout_in_each_region() -> None:
    assert_interval(limits.cache_hung(scene(victims=("ctl3",))), 0, 1.6)


@given(suspect=st.floats(0.1, 10), poll=st.floats(0.1, 10), advert=st.floats(0.05, 5))
def test_a_lost_controller_costs_the_longest_part(suspect: float, poll: float, advert: float) -> None:
    one = scene(
        {
            "database": {"suspect_timeout_s": suspect},
            "message_queue": {"aten_poll_interval_s": poll},
            "vrrp": {"advert_int_s": advert},
        }
    )
    parts = [limits.galera_member_loss_via_proxy(one), limits.queue_leader_silence(one), limits.vrrp_silence(one)]
    found = limits.controller_lost(one)
    assert found.minimum == parts[0].minimum
    assert found.maximum == pytest.approx(max(0.45, *(part.maximum for part in parts)))


def test_a_lost_controller_without_the_vip_does_not_wait_for_it() -> None:
    one = scene({"vrrp": {"advert_int_s": 5}}, victims=("ctl3",))
    assert limits.controller_lost(one).maximum == pytest.approx(1.6)


def test_a_missing_setting_is_named_with_its_host() -> None:
    one = scene({"database": {"suspect_timeout_s": None}})
    with pytest.raises(LifeboatError, match=r"setting database\.suspect_timeout_s of host ctl2: found .*join_retrans"):
        limits.galera_member_loss(one)


@pytest.mark.parametrize("value", ["1s", True])
def test_a_setting_that_is_no_number_is_named(value: object) -> None:
    with pytest.raises(LifeboatError, match=rf"setting vrrp\.advert_int_s of host ctl2: found {value!r}"):
        limits.vrrp_silence(scene({"vrrp": {"advert_int_s": value}}))


def test_a_missing_backend_names_those_that_were_read() -> None:
    one = scene({"load_balancer": {"backends": {"database": BACKEND}}}, ("ctl3",), Component.IDENTITY)
    with pytest.raises(LifeboatError, match=r"load_balancer\.backends\.identity of host ctl1: found database"):
        limits.backend_hung(one)


def test_settings_of_nobody_left_are_an_error() -> None:
    with pytest.raises(LifeboatError, match="settings vrrp of the hosts"):
        limits.vrrp_silence(scene(victims=("ctl1", "ctl2", "ctl3")))


def test_every_interval_is_an_interval() -> None:
    for name, formula in limits.FORMULAS.items():
        found = formula.interval(scene(component=Component.IDENTITY))
        assert 0 <= found.minimum <= found.maximum, name


@pytest.mark.parametrize(("victim", "maximum"), [("ctl1", 0.45), ("ctl3", 1.35)])
def test_the_checks_that_count_are_those_of_the_load_balancer_that_serves_afterwards(
    victim: str, maximum: float
) -> None:
    """ctl1 holds the VIP and checks slowly; ctl2 takes over when it is lost."""
    hosts = {name: copy.deepcopy(HOST) for name in ("ctl1", "ctl2", "ctl3")}
    hosts["ctl1"]["load_balancer"]["backends"]["identity"]["inter_s"] = 1.1
    hosts["ctl2"]["vrrp"]["priority"] = 200
    survivors = tuple(name for name in hosts if name != victim)
    one = Scene(Settings(hosts), (victim,), survivors, "ctl1", Component.IDENTITY, hold_s=6, within_s=30)
    assert_interval(limits.backend_hung(one), 0, maximum)
