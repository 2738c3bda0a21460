# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a volume of Cinder, over HTTP as Cinder takes it."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _volume_migration
from ansible_collections.lifeboat.cloud.plugins.modules import volume_migration
from ansible_collections.lifeboat.cloud.tests.unit import moving_cinder, moving_nova
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import service
from ansible_collections.lifeboat.cloud.tests.unit.moving_cinder import Moving, MovingCinder, pool, volume_service
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

UUID = "16fe8c23-1858-4770-93fa-b6cc82d2ec84"
OTHER = "26fe8c23-1858-4770-93fa-b6cc82d2ec84"
SERVER = "36fe8c23-1858-4770-93fa-b6cc82d2ec84"
HERE, THERE = "lifeboat@ceph#ceph", "lifeboat@fast#fast"


@pytest.fixture
def cinder(cloud, monkeypatch):
    """The volume data on the back end ceph, another back end fast, and waits in steps of 1 ms."""
    monkeypatch.setattr(_volume_migration, "_PAUSE_S", 0.001)
    monkeypatch.setattr(_volume_migration, "_TIDY_S", 0.3)
    monkeypatch.setattr(_volume_migration, "_GRACE_S", 0.5)
    cloud.register("block-storage", f"{cloud.url}/volume/v3")
    cloud.cinder = MovingCinder(Moving(UUID, "data"), Moving(OTHER, "twin"))
    cloud.moving = moving_nova.MovingNova(moving_nova.Moving(SERVER, "web-1", "cmp1"))
    cloud.services.append(service("cmp1"))
    return cloud


@pytest.fixture
def data(cinder):
    return cinder.cinder.volumes[UUID]


def run(cinder, check=False, **options):
    cinder.calls.clear()
    return run_module(volume_migration.main, check, **{**cinder.options, "volume": "data", **options})


def warned(cinder, capsys, **options):
    # Where other tests have loaded Ansible's controller, it takes the warnings out of the result and prints them.
    return str(run(cinder, **options).get("warnings")) + capsys.readouterr().err


def requests(cinder):
    return [call.body for call in cinder.calls if call.method == "POST"]


@pytest.mark.parametrize(
    ("options", "script", "body", "action"),
    [
        (
            {"host": THERE},
            moving_cinder.MIGRATE,
            {"os-migrate_volume": {"cluster": THERE, "lock_volume": True}},
            f"migrate volume data to {THERE} from {HERE}",
        ),
        (
            {"host": THERE, "volume": UUID},
            moving_cinder.DRIVER,
            {"os-migrate_volume": {"cluster": THERE, "lock_volume": True}},
            f"migrate volume data to {THERE} from {HERE}",
        ),
        (
            {"type": "fast"},
            moving_cinder.MIGRATE,
            {"os-retype": {"new_type": "type-2", "migration_policy": "on-demand"}},
            f"retype volume data to fast on {THERE} from ceph on {HERE}",
        ),
    ],
    ids=["to a back end", "by the driver", "to a type"],
)
def test_it_is_foretold_asked_for_once_and_watched_to_its_end(cinder, options, script, body, action):
    cinder.cinder.script = script
    would = run(cinder, check=True, **options)
    assert requests(cinder) == []
    did = run(cinder, **options)
    assert requests(cinder) == [body]
    assert would["actions"] == did["actions"] == [action] and would["changed"] and did["changed"]
    assert (would["destination"], would["diff"]) == (did["destination"], did["diff"])
    assert (did["source"], did["destination"], did["volume"]["place"]) == (HERE, THERE, THERE)
    assert did["volume"]["type"] == options.get("type", "ceph")
    assert run(cinder, **options)["changed"] is False and requests(cinder) == []


def test_a_back_end_of_no_cluster_is_asked_for_as_a_host(cinder):
    cinder.cinder.pools[2]["capabilities"]["free_capacity_gb"] = 50.0
    assert run(cinder, host="stor1@lvm#lvm")["volume"]["place"] == "stor1@lvm#lvm"
    assert requests(cinder) == [{"os-migrate_volume": {"host": "stor1@lvm#lvm", "lock_volume": True}}]


def test_all_states_are_noted_and_the_last_word_is_awaited(cinder):
    did = run(cinder, host=THERE)
    seen = [(state["status"], state["migration"], state["copy"]) for state in did["timeline"]]
    assert seen[1:] == [
        ("maintenance", "migrating", THERE),
        ("maintenance", "completing", THERE),
        ("available", None, None),
        ("available", "success", None),
    ]
    times = [state["at_s"] for state in did["timeline"]]
    assert times == sorted(times) and did["seconds"] >= times[-1]


def test_a_type_that_the_back_end_offers_too_moves_nothing(cinder, data):
    cinder.cinder.pools[0]["types"].append("fast")
    cinder.cinder.script, data.snapshots = moving_cinder.IN_PLACE, 2
    did = run(cinder, type="fast")
    assert did["actions"] == [f"give volume data the type fast where it is, from ceph on {HERE}"]
    assert (did["volume"]["place"], did["volume"]["type"], did["destination"]) == (HERE, "fast", HERE)


def test_among_several_back_ends_cinder_chooses(cinder):
    cinder.cinder.pools[2]["types"].append("fast")
    cinder.cinder.pools.append(pool("stor2@lvm#lvm", ["fast"]))
    cinder.cinder.services.append(volume_service("stor2@lvm"))
    did = run(cinder, check=True, type="fast")
    assert did["actions"] == [f"retype volume data to fast on one of {THERE}, stor2@lvm#lvm from ceph on {HERE}"]
    assert did["destination"] is None


def attach(data, *servers):
    data.status, data.servers = "in-use", servers


def test_an_attached_volume_is_moved_under_its_running_server(cinder, data):
    attach(data, SERVER)
    cinder.cinder.script = moving_cinder.RETYPE
    did = run(cinder, type="fast")
    assert did["volume"]["status"] == "in-use" and did["volume"]["place"] == THERE
    statuses = [state["status"] for state in did["timeline"]]
    assert statuses == ["retyping", "retyping", "available", "in-use"]


@pytest.mark.parametrize("options", [{"host": THERE}, {"type": "ceph", "volume": UUID}])
def test_a_migration_that_is_under_way_is_watched_and_not_begun_again(cinder, data, options):
    data.migration, data.copy, data.steps = "migrating", "new", list(moving_cinder.MIGRATE[1:])
    data.status, data.type = "maintenance", "fast"
    would = run(cinder, check=True, **options)
    did = run(cinder, **options)
    assert requests(cinder) == [] and did["volume"]["place"] == THERE
    assert did["actions"] == would["actions"] == [f"go on with the migration of volume data from {HERE}"]


def test_a_migration_under_way_to_elsewhere_is_refused(cinder, data):
    data.migration, data.copy = "migrating", "new"
    done = run(cinder, type="fast")
    assert done["failed"] and f"a migration under way to {THERE}, type ceph" in done["found"]
    assert requests(cinder) == []


def test_an_answer_that_cinder_cannot_give_is_asked_for_again(cinder):
    cinder.cinder.hiccups = 3
    assert run(cinder, host=THERE)["volume"]["place"] == THERE


def test_a_migration_that_takes_too_long_is_left_to_cinder_and_found_again(cinder, data):
    cinder.cinder.script = moving_cinder.STUCK
    done = run(cinder, host=THERE, migration_timeout=1)
    assert done["failed"] and "migration migrating after" in done["found"] and "next run" in done["remedy"]
    data.steps = list(moving_cinder.MIGRATE[2:])
    assert run(cinder, host=THERE)["actions"] == [f"go on with the migration of volume data from {HERE}"]
    assert requests(cinder) == []


@pytest.mark.parametrize(
    ("options", "script", "words"),
    [
        ({"host": THERE}, "FAILS", "migration error. Cinder says: it burns; the disk is full"),
        ({"type": "fast"}, "SCHEDULER_FAILS", "migration None. Cinder says: it burns"),
    ],
)
def test_a_failure_says_where_the_volume_is_and_what_cinder_tells(cinder, options, script, words):
    cinder.cinder.script = getattr(moving_cinder, script)
    cinder.cinder.messages = {UUID: ["of yesterday"]}
    cinder.cinder.said = {UUID: ["of yesterday", "it burns"], f"copy-of-{UUID}": ["the disk is full"]}
    done = run(cinder, **options)
    assert done["failed"] and f"still on its source {HERE}, type ceph, status available" in done["found"]
    assert words in done["found"] and "yesterday" not in done["found"] and " is left" not in done["remedy"]


def test_a_copy_that_cinder_leaves_is_named(cinder):
    cinder.cinder.script = moving_cinder.LEAVES_COPY
    done = run(cinder, host=THERE)
    assert done["failed"] and f"Its copy copy-of-{UUID} on {THERE} is left, error_deleting." in done["remedy"]
    assert "gives no reason" in done["found"]


def test_a_volume_that_cinder_leaves_locked_is_told_and_not_waited_for(cinder, data):
    cinder.cinder.script = moving_cinder.LEAVES_LOCKED
    done = run(cinder, host=THERE, migration_timeout=5)
    assert done["failed"] and "status maintenance, migration error" in done["found"]
    assert f"volume set --state available {UUID}" in done["remedy"]
    again = run(cinder, host=THERE)
    assert again["found"] == "status maintenance" and requests(cinder) == []
    assert f"volume set --state available {UUID}" in again["remedy"]
    data.status, cinder.cinder.script = "available", moving_cinder.MIGRATE
    assert run(cinder, host=THERE)["volume"]["place"] == THERE


def test_a_former_copy_that_stays_is_warned_of(cinder, capsys):
    cinder.cinder.script = moving_cinder.MIGRATE[:-1]
    warnings = warned(cinder, capsys, host=THERE)
    assert f"The former copy of volume data on {HERE} is still deleting" in warnings


def test_a_copy_is_not_taken_for_its_volume(cinder, data):
    data.migration, data.copy, data.steps = "migrating", "new", list(moving_cinder.MIGRATE[1:])
    assert run(cinder, host=THERE)["volume"]["id"] == UUID
    data.migration = f"target:{OTHER}"
    done = run(cinder, host=THERE, volume=UUID)
    assert done["failed"] and f"unfinished copy of volume {OTHER}" in done["found"] and OTHER in done["remedy"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": THERE, "volume": "nobody"}, "no volume of that name"),
        ({"host": THERE, "volume": SERVER}, "no volume of that UUID"),
        ({"type": "slow"}, "no such type; there are: ceph, fast, secret"),
        ({"host": "lifeboat@fast#slow"}, f"no such pool; there are: {HERE}, {THERE}, stor1@lvm#lvm"),
        ({"host": "ctl9@fast#fast"}, "no cinder-volume that serves it, but: ctl1@ceph, ctl1@fast, ctl2@fast"),
        ({"host": "stor1@lvm#lvm"}, "room for 5.0 GiB on stor1@lvm#lvm; expected 10 GiB for volume data"),
        ({"type": "secret"}, "not encrypted, while type secret is encrypted"),
    ],
)
def test_what_is_asked_for_in_vain_is_refused(cinder, options, words):
    done = run(cinder, **options)
    assert done["failed"] and words in done["msg"] and requests(cinder) == []


def test_a_name_of_several_is_refused(cinder):
    cinder.cinder.volumes[OTHER].name = "data"
    assert f"2 volumes of that name: {UUID}, {OTHER}" in run(cinder, host=THERE)["found"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"status": "error"}, "status error; expected available or in-use"),
        ({"status": "backing-up"}, "status backing-up; expected available or in-use"),
        ({"snapshots": 2}, "2 snapshots; expected none"),
        ({"more": {"group_id": "g"}}, "group g; expected a volume of no group"),
        ({"more": {"replication_status": "enabled"}}, "replication enabled"),
        ({"more": {"os-vol-host-attr:host": None}}, "no back end"),
        ({"status": "in-use", "servers": (SERVER, OTHER)}, "2 attachments"),
        ({"status": "in-use", "servers": (None,)}, "an attachment to a host"),
        ({"status": "in-use", "servers": (SERVER,), "more": {"encrypted": True}}, "an encrypted volume attached"),
    ],
)
def test_a_volume_that_cinder_or_nova_would_not_move_is_refused(cinder, data, found, words):
    for name, value in found.items():
        setattr(data, name, value)
    done = run(cinder, host=THERE)
    assert done["failed"] and words in done["msg"] and requests(cinder) == []


@pytest.mark.parametrize(
    ("status", "task", "words"),
    [("SHUTOFF", None, "status SHUTOFF"), ("ACTIVE", "rebooting", "status ACTIVE and Nova busy with rebooting")],
)
def test_a_server_under_which_nova_would_not_exchange_it_is_refused(cinder, data, status, task, words):
    attach(data, SERVER)
    server = cinder.moving.servers[SERVER]
    server.status, server.task = status, task
    done = run(cinder, host=THERE)
    assert done["failed"] and words in done["found"] and done["thing"] == "server web-1 with volume data"
    assert requests(cinder) == []


@pytest.mark.parametrize("options", [{"host": THERE}, {"type": "fast"}])
def test_a_server_whose_compute_service_is_down_is_refused(cinder, data, options):
    attach(data, SERVER)
    cinder.services[0] |= {"state": "down"}
    for check in (True, False):
        done = run(cinder, check=check, **options)
        assert done["failed"] and (done["thing"], done["found"]) == ("nova-compute on cmp1", "state down")
    assert requests(cinder) == []


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        ({"provisioning:min_vol_size": "11"}, "10 GiB; expected at least 11 GiB"),
        ({"provisioning:max_vol_size": "9"}, "10 GiB; expected at most 9 GiB"),
        ({"provisioning:min_vol_size": "10", "provisioning:max_vol_size": "10"}, None),
    ],
)
def test_a_type_for_other_sizes_is_refused(cinder, specs, words):
    cinder.cinder.specs["fast"] = specs
    done = run(cinder, check=True, type="fast")
    assert words in done["msg"] if words else done["changed"]


@pytest.mark.parametrize("to_it", [True, False])
def test_a_volume_in_use_keeps_how_many_attachments_it_can_have(cinder, data, to_it):
    data.more = {"multiattach": not to_it}
    cinder.cinder.specs["fast"] = {"multiattach": "<is> True"} if to_it else {}
    assert run(cinder, check=True, type="fast")["changed"]
    attach(data, SERVER)
    done = run(cinder, check=True, type="fast")
    assert done["failed"] and "attachment" in done["found"] and "Detach" in done["remedy"]


@pytest.mark.parametrize(
    ("qos", "consumers", "refused"),
    [
        ({"fast": "q1"}, {"q1": "front-end"}, True),
        ({"ceph": "q1"}, {"q1": "both"}, True),
        ({"ceph": "q1", "fast": "q2"}, {"q1": "back-end", "q2": "both"}, True),
        ({"ceph": "q1", "fast": "q2"}, {"q1": "back-end", "q2": "back-end"}, False),
        ({"ceph": "q1", "fast": "q1"}, {"q1": "both"}, False),
    ],
)
def test_a_volume_in_use_keeps_what_its_hypervisor_limits(cinder, data, qos, consumers, refused):
    cinder.cinder.qos, cinder.cinder.consumers = qos, consumers
    assert run(cinder, check=True, type="fast")["changed"]
    attach(data, SERVER)
    done = run(cinder, check=True, type="fast")
    assert "QoS" in done["found"] if refused else done["changed"]


@pytest.mark.parametrize("options", [{"host": THERE}, {"type": "fast"}])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"state": "down"}, "cinder-volume ctl1@fast enabled and down"),
        ({"status": "disabled"}, "cinder-volume ctl2@fast disabled and up"),
    ],
)
def test_a_back_end_that_does_not_work_is_refused(cinder, options, values, words):
    for each in cinder.cinder.services[1:3]:
        each.update(values)
    done = run(cinder, **options)
    assert done["failed"] and words in done["found"] and requests(cinder) == []


@pytest.mark.parametrize("options", [{"host": THERE}, {"type": "fast"}])
def test_a_back_end_whose_storage_is_down_is_refused(cinder, options):
    cinder.cinder.pools[1]["capabilities"]["backend_state"] = "down"
    done = run(cinder, **options)
    assert done["failed"] and f"{THERE}: its storage is down" in done["found"] and requests(cinder) == []


def test_one_member_at_work_is_enough(cinder):
    cinder.cinder.services[1] |= {"state": "down"}
    assert run(cinder, host=THERE)["changed"]


def test_a_source_that_does_not_work_is_refused(cinder):
    cinder.cinder.services[0] |= {"state": "down"}
    done = run(cinder, host=THERE)
    assert done["thing"] == "back end lifeboat@ceph" and requests(cinder) == []


def test_a_back_end_to_which_its_type_does_not_lead_is_refused(cinder):
    cinder.cinder.pools[1]["types"].remove("ceph")
    done = run(cinder, host=THERE)
    assert done["failed"] and f"type ceph, offered by {HERE}, stor1@lvm#lvm" in done["found"]
    assert requests(cinder) == [] and "Give type instead" in done["remedy"]


def test_a_volume_without_a_type_may_go_anywhere(cinder, data):
    data.type = None
    assert run(cinder, host=THERE)["volume"]["place"] == THERE


def test_a_type_that_nobody_offers_is_refused(cinder):
    cinder.cinder.pools.pop(1)
    assert "no pool that offers it" in run(cinder, type="fast")["found"]


def test_what_the_scheduler_lends_twice_is_warned_of(cinder, capsys):
    cinder.cinder.pools[1] = pool(THERE, ["ceph"], free_capacity_gb=3.0)
    warnings = warned(cinder, capsys, check=True, host=THERE)
    assert f"{THERE} has 3.0 GiB really free, and volume data may come to need 10." in warnings
