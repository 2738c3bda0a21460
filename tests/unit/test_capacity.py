# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of Placement's inventories, and of how many servers fit."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._capacity import (
    Flavor,
    Room,
    fits_in_all,
    fits_on,
    pool_sizes,
    room_on,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._placement import Amounts, Inventory, summed
from hypothesis import example, given
from hypothesis import strategies as st


def inventory(total, used=0, reserved=0, ratio=1.0, min_unit=1, max_unit=10**6, step_size=1):
    return Inventory(total, reserved, ratio, min_unit, max_unit, step_size, used)


INVENTORIES = st.builds(
    inventory,
    total=st.integers(1, 300),
    used=st.integers(0, 300),
    reserved=st.integers(0, 300),
    ratio=st.sampled_from([0.5, 0.9, 1.0, 1.1, 1.15, 1.5, 4.0, 16.0]),
    min_unit=st.integers(1, 3),
    max_unit=st.integers(1, 40),
    step_size=st.integers(1, 3),
)


def accepts(inventory, used, amount):
    """_check_capacity_exceeded of placement/objects/allocation.py, for one allocation."""
    if amount < inventory.min_unit or amount > inventory.max_unit or amount % inventory.step_size != 0:
        return False
    capacity = (inventory.total - inventory.reserved) * inventory.allocation_ratio
    return not capacity < (used + amount)


@given(inventory=INVENTORIES, amount=st.integers(1, 40))
@example(inventory=inventory(100, ratio=1.15), amount=1)
@example(inventory=inventory(10, ratio=1.1), amount=11)
def test_as_many_fit_as_placement_accepts_one_after_the_other(inventory, amount):
    count = 0
    while accepts(inventory, inventory.used + count * amount, amount):
        count += 1
    assert inventory.fits(amount) == count


@pytest.mark.parametrize(
    ("total", "reserved", "ratio", "used", "capacity", "free"),
    [
        (5825, 512, 1.5, 512, 7969, 7457),  # the memory of Placement's own sample: 7969.5, rounded down
        (4, 0, 16.0, 1, 64, 63),
        (100, 0, 1.15, 0, 114, 114),  # 114.99999999999999 in floating point, and so in Placement
        (100, 100, 4.0, 0, 0, 0),
        (100, 0, 1.0, 130, 100, -30),
    ],
)
def test_reserved_is_taken_off_before_the_ratio(total, reserved, ratio, used, capacity, free):
    one = inventory(total, used, reserved, ratio)
    assert (one.capacity, one.free) == (capacity, free)


def test_sums_are_by_resource_class():
    hosts = [{"VCPU": inventory(4, 1, ratio=16.0), "DISK_GB": inventory(100, 30, 10)}, {"VCPU": inventory(8, 9)}]
    assert summed(hosts) == {"VCPU": Amounts(12, 0, 72, 10, 62), "DISK_GB": Amounts(100, 10, 90, 30, 60)}


SMALL = Flavor(vcpus=2, ram=1024, disk=10)
OWN = {"VCPU": inventory(4, ratio=4.0), "MEMORY_MB": inventory(16384), "DISK_GB": inventory(55)}


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ({}, 5),
        ({"DISK_GB": inventory(1000)}, 8),
        ({"VCPU": inventory(8, used=2)}, 3),
        ({"MEMORY_MB": inventory(4096, reserved=512)}, 3),
        ({"MEMORY_MB": inventory(16384, max_unit=512)}, 0),
        ({"DISK_GB": inventory(55, used=100)}, 0),
    ],
)
def test_the_scarcest_resource_decides_on_a_host(change, count):
    assert fits_on(room_on(OWN | change, [], SMALL), {}) == count


@pytest.mark.parametrize("missing", ["VCPU", "MEMORY_MB", "DISK_GB"])
def test_what_a_host_has_not_it_cannot_give(missing):
    host = {name: each for name, each in OWN.items() if name != missing}
    assert fits_on(room_on(host, [], SMALL), {}) == 0


def test_a_server_without_a_disk_needs_none():
    host = {name: each for name, each in OWN.items() if name != "DISK_GB"}
    volume_backed = Flavor(vcpus=2, ram=1024)
    room = room_on(host, ["nfs"], volume_backed)
    sizes = pool_sizes({"nfs": {"DISK_GB": inventory(0)}}, volume_backed)
    assert (fits_on(room, sizes), fits_in_all([room, room], sizes)) == (8, 16)


def test_shared_storage_is_given_once():
    host = {name: each for name, each in OWN.items() if name != "DISK_GB"}
    sizes = pool_sizes({"nfs": {"DISK_GB": inventory(100)}, "other": {"IPV4_ADDRESS": inventory(9)}}, SMALL)
    rooms = [room_on(host, ["nfs", "other"], SMALL)] * 3
    assert [fits_on(room, sizes) for room in rooms] == [8, 8, 8]
    assert fits_in_all(rooms, sizes) == 10


def test_a_host_that_can_go_elsewhere_leaves_a_pool_to_one_that_cannot():
    both, only_a = Room(10, 0, frozenset("ab")), Room(10, 0, frozenset("a"))
    assert fits_in_all([both, only_a], {"a": 10, "b": 10}) == 20
    assert fits_in_all([only_a, both], {"a": 10, "b": 10}) == 20
    chain_of_three = [Room(5, 0, frozenset("ab")), Room(5, 0, frozenset("bc")), Room(5, 0, frozenset("a"))]
    assert fits_in_all(chain_of_three, {"a": 5, "b": 5, "c": 5}) == 15


POOLS = st.frozensets(st.sampled_from("abcd"), max_size=3)
ROOMS = st.lists(st.builds(Room, slots=st.integers(0, 12), own=st.integers(0, 6), pools=POOLS), max_size=6)
SIZES = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 15))


def narrowest_cut(rooms, sizes):
    """The most that fits, by the theorem of the minimum cut: over every set of pools that is taken to be empty."""
    pools = sorted(sizes)
    return min(
        sum(sizes[pool] for pool in used_up)
        + sum(min(room.slots, room.own) if room.pools & set(sizes) <= set(used_up) else room.slots for room in rooms)
        for used_up in chain.from_iterable(combinations(pools, size) for size in range(len(pools) + 1))
    )


@given(rooms=ROOMS, sizes=SIZES)
def test_on_all_hosts_as_many_fit_as_the_narrowest_cut_lets_through(rooms, sizes):
    assert fits_in_all(rooms, sizes) == narrowest_cut(rooms, sizes)


@given(rooms=ROOMS, sizes=SIZES)
def test_on_all_hosts_no_more_fit_than_on_each_alone_in_sum_and_no_fewer_than_on_the_best(rooms, sizes):
    alone = [fits_on(room, sizes) for room in rooms]
    assert max(alone, default=0) <= fits_in_all(rooms, sizes) <= sum(alone)


@given(rooms=ROOMS)
def test_without_shared_storage_it_is_the_sum(rooms):
    assert fits_in_all(rooms, {}) == sum(fits_on(room, {}) for room in rooms)


@pytest.mark.parametrize("values", [{"vcpus": 0}, {"ram": 0}, {"disk": -1}])
def test_a_flavor_that_takes_nothing_is_refused(values):
    with pytest.raises(LifeboatError, match="at least 1 VCPU"):
        Flavor(**{"vcpus": 1, "ram": 512, "disk": 0} | values)
