# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that finds no disk on virtio is brought into the cloud, where it has one: virt-v2v converts it on the way.

All of it happens without KVM, on a host that imports, which for that needs a kernel, as servers have one.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from foreign_guest import build, lacking
from importing import address_of, packing, prepared_project, receipt, remove, run
from openstack.connection import Connection
from standing_lab import connected, module, shell

HOST = "ctl1"
PLACE = "/var/tmp/import-converted-test"
ARCHIVE = f"{PLACE}/import-web-foreign.ova"
NAME = "import-web-foreign"
FLAVOR = "import-web-flavor"
MEMORY_MIB = 512
# virt-v2v takes twenty minutes without KVM.
WITHIN_S = 3600
GIVEN = {
    "machine_import_networks": {"VM Network": "import-net"},
    "machine_import_flavor": FLAVOR,
    "machine_import_convert": True,
    "machine_import_convert_slow": True,
}
LACKING = lacking(["qemu-img"])


@pytest.fixture(scope="module", autouse=True)
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    assert not LACKING, f"this machine has no {', no '.join(LACKING)}; scripts/test convert installs what is needed"
    directory = tmp_path_factory.mktemp("guest")
    disk = build(directory).rename(directory / "boot.raw")
    disks = {"boot": disk.stat().st_size // 2**20}
    pack = packing("web.ova", NAME, disks, memory_mib=MEMORY_MIB, interface="E1000")
    subprocess.run(["sh", "-c", pack], cwd=directory, check=True, timeout=600)
    disk.unlink()
    try:
        # A run that failed keeps what it has converted, for one that goes on with the same machine.
        module(HOST, "ansible.builtin.file", path=f"/var/lib/lifeboat/imports/converted/{NAME}", state="absent")
        module(HOST, "ansible.builtin.file", path=PLACE, state="directory")
        module(HOST, "ansible.builtin.copy", src=str(directory / "web.ova"), dest=ARCHIVE)
        module(HOST, "ansible.builtin.apt", name="linux-image-cloud-amd64", install_recommends=False, update_cache=True)
        yield
    finally:
        module(HOST, "ansible.builtin.file", path=PLACE, state="absent")


@pytest.fixture(scope="module")
def project() -> Iterator[Connection]:
    with connected("admin") as admin:
        flavor = admin.create_flavor(FLAVOR, ram=MEMORY_MIB, vcpus=1, disk=1)
        try:
            with prepared_project() as connection:
                yield connection
        finally:
            admin.delete_flavor(flavor.id)


def test_it_is_converted_and_answers_from_virtio(tmp_path: Path, project: Connection) -> None:
    remove(project)
    before = shell(HOST, f"sha256sum {ARCHIVE}")
    run(ARCHIVE, tmp_path, timeout_s=WITHIN_S, **GIVEN)
    told = receipt(tmp_path)
    assert told["answered"] and told["converted"]
    image = project.get_image(NAME)
    assert (image["hw_disk_bus"], image["hw_vif_model"]) == ("virtio", "virtio")
    with urllib.request.urlopen(f"http://{address_of(project, NAME)}/state", timeout=10) as answer:
        assert json.load(answer) == {"driver": "virtio_net"}
    assert shell(HOST, f"sha256sum {ARCHIVE}") == before
    assert not shell(HOST, "find /var/lib/lifeboat/imports -mindepth 1 ! -name converted ! -name '*.log'")

    assert not run(ARCHIVE, tmp_path, **GIVEN).changes
