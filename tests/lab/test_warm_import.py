# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain of plain libvirt is copied while it runs and writes, shut down, and goes on as a server with all it wrote.

Where the server cannot be made, the domain runs again. Of the answers it gave, the last one's counter must be below
that of the first answer after it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from importing import floating_ips, kill, made, prepared_project, receipt, receipts, run, state_of
from openstack.connection import Connection
from own_guest import ADDRESS, CONFIG, NAME, PLACE, Moving, moving, prepared
from standing_lab import Play, connected, module, shell

HOST, SOURCE, ANSWERS = "cmp1", f"{PLACE}/{NAME}.xml", f"{PLACE}/answers"
NOWHERE = "import-nowhere"
PARTS = ["shut down", "copy", "upload", "server", "answer"]
WARM: dict[str, object] = {
    "machine_import_host": HOST,
    "machine_import_name": "import-web-warm",
    "machine_import_flavor": "small",
    "machine_import_networks": {"br-tenant": "import-net"},
    "machine_import_warm": True,
    "machine_import_warm_rounds": 3,
    "machine_import_warm_rest": 0,
    "machine_import_source_uri": "qemu:///system",
}


@pytest.fixture(scope="module")
def project() -> Iterator[Connection]:
    with prepared(), prepared_project() as connection:
        yield connection


@pytest.fixture
def guest(project: Connection) -> Iterator[Moving]:
    with moving("own") as domain:
        describe()
        yield domain


@pytest.fixture
def nowhere() -> Iterator[None]:
    """A flavor for which no host has what it asks for."""
    with connected("admin") as admin:
        flavor = admin.compute.create_flavor(name=NOWHERE, ram=128, vcpus=1, disk=1)
        try:
            admin.compute.create_flavor_extra_specs(flavor, {"trait:STORAGE_DISK_SSD": "required"})
            yield
        finally:
            admin.compute.delete_flavor(flavor)


def describe() -> None:
    """Write the domain's description, without the disk that has told it its address: its server is told another."""
    domain = ElementTree.fromstring(shell(HOST, f"virsh dumpxml --inactive {NAME}"))
    [devices] = domain.findall("devices")
    [told_by] = [each for each in devices.findall("disk") if each.find("target[@dev='vdb']") is not None]
    devices.remove(told_by)
    module(HOST, "ansible.builtin.copy", content=ElementTree.tostring(domain, encoding="unicode"), dest=SOURCE)


def tell_it_to_be_another() -> None:
    """As another instance it does anew at its next boot what user data says, which gives it its address."""
    told = json.dumps({"uuid": f"{NAME}-again", "hostname": "moving"})
    shell(
        HOST,
        f"cd {PLACE} && cp {CONFIG} again.img && echo '{told}' >again.json && "
        f"mcopy -o -i again.img again.json ::openstack/latest/meta_data.json && mv again.img {CONFIG}",
    )


def warm(directory: Path, check: bool = True, **given: object) -> Play:
    return run(SOURCE, directory, check=check, **{**WARM, **given})


@contextlib.contextmanager
def asked_all_the_time() -> Iterator[None]:
    """Each answer of the guest is one more number on its disk."""
    ask = f"while :; do curl -s -m 2 -w '\\n' http://{ADDRESS}/state >>{ANSWERS}; sleep 0.2; done"
    asking = shell(HOST, f'rm -f {ANSWERS}; setsid timeout 1200 sh -c "{ask}" >/dev/null 2>&1 & echo $!').strip()
    try:
        yield
    finally:
        shell(HOST, f"kill {asking} || true")


def last_answer() -> dict[str, object]:
    answer: dict[str, object] = json.loads(shell(HOST, f"grep '^{{.*}}$' {ANSWERS} | tail -n 1"))
    return answer


def test_it_goes_on_as_a_server_with_all_that_it_has_written(
    tmp_path: Path, project: Connection, guest: Moving
) -> None:
    with asked_all_the_time():
        refused = warm(tmp_path / "refused", check=False, machine_import_offline_limit=1)
        assert refused.returncode != 0 and "expected at most 1 s" in refused.text, refused.text[-2000:]
        guest.check_whole()
        assert not made(project)
        done = warm(tmp_path / "import")
    answer = state_of(project, "import-web-warm")
    assert answer["counter"] > last_answer()["counter"] > guest.counter
    assert answer["boot_id"] != guest.boot_id
    assert shell(HOST, f"virsh domstate {NAME}").strip() == "shut off"
    # It was said before it was stopped.
    assert 0 < done.text.find("It will be away for about") < done.text.find("Have it shut down]")

    told = receipt(tmp_path / "import")
    away = told["warm"]
    # The copies of the run that was refused are gone on with.
    assert all(0 < each["written"] < 64 << 20 for each in away["rounds"])
    assert [each["step"] for each in away["predicted"]["parts"]] == PARTS
    assert away["stopped"]["by"].startswith("libvirt")
    seconds = [each["seconds"] for each in told["steps"]]
    stop = [each["step"] for each in told["steps"]].index("shut down")
    assert away["offline_seconds"] == pytest.approx(sum(seconds[stop:]), abs=1)
    assert away["error"] == pytest.approx(away["predicted"]["seconds"] / away["offline_seconds"] - 1, abs=0.001)
    assert told["copies"]["vda"]["source_digest"] == told["copies"]["vda"]["destination_digest"]

    assert not warm(tmp_path / "import").changes
    assert shell(HOST, "ls -A /var/lib/lifeboat/imports").strip() == ""


def test_it_is_told_when_somebody_else_has_to_stop_it(tmp_path: Path, project: Connection, guest: Moving) -> None:
    by_hand = {"machine_import_source_uri": "", "machine_import_name": "import-web-told"}
    with asked_all_the_time():
        first = warm(tmp_path, **by_hand)
        assert "machine_import_source_is_off=true" in first.text
        guest.check_whole()
        module(HOST, "libvirt_domain", name=NAME, state="shut_off")
    warm(tmp_path, machine_import_source_is_off=True, **by_hand)
    assert state_of(project, "import-web-told")["counter"] > last_answer()["counter"] > guest.counter

    waited, told = receipts(tmp_path)
    assert (waited["answered"], told["answered"]) == (False, True)
    assert waited["warm"]["offline_seconds"] is None and told["warm"]["predicted"] == waited["warm"]["predicted"]
    assert told["warm"]["stopped"]["by"].startswith("the last change of its disks")
    # It was off before the run began.
    assert told["warm"]["offline_seconds"] > sum(each["seconds"] for each in told["steps"])


def test_a_run_that_was_killed_after_the_stop_is_gone_on_with(
    tmp_path: Path, project: Connection, guest: Moving
) -> None:
    name = "import-web-killed"
    with asked_all_the_time():
        kill(SOURCE, tmp_path, lambda: f"image {name}" in made(project), **{**WARM, "machine_import_name": name})
    assert shell(HOST, f"virsh domstate {NAME}").strip() == "shut off"
    assert f"server {name}" not in made(project)
    warm(tmp_path, machine_import_name=name)
    assert state_of(project, name)["counter"] > last_answer()["counter"] > guest.counter
    # The first is from before the stop.
    before, told = receipts(tmp_path)
    assert (before["answered"], told["answered"]) == (False, True)
    assert told["warm"]["predicted"] == before["warm"]["predicted"]


def test_it_runs_again_when_its_server_finds_no_host(
    tmp_path: Path, project: Connection, guest: Moving, nowhere: None
) -> None:
    tell_it_to_be_another()
    # What the test before has made has the same source, but another name.
    there, addresses = made(project), floating_ips(project)
    with asked_all_the_time():
        done = warm(tmp_path, check=False, machine_import_name="import-web-nowhere", machine_import_flavor=NOWHERE)
        boot_id, counter = guest.await_state()
    assert done.returncode != 0
    assert "No valid host was found" in done.text and "The source runs again." in done.text, done.text[-2000:]
    assert boot_id != guest.boot_id and counter > guest.counter
    counters = [json.loads(each)["counter"] for each in shell(HOST, f"grep '^{{.*}}$' {ANSWERS}").splitlines()]
    assert counters == sorted(set(counters))
    assert (made(project), floating_ips(project)) == (there, addresses)
    told = receipt(tmp_path)
    assert told["answered"] is False and "No valid host" in told["failure"]
    assert told["warm"]["offline_seconds"] > 0 and told["warm"]["error"] is None
    assert shell(HOST, "ls -A /var/lib/lifeboat/imports").strip() == ""
