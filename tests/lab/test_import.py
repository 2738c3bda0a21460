# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of VMware's form comes into the cloud: refused when it was changed, rehearsed, imported, and taken back.

The archive is made on a controller from the guest image, which has drivers for SATA and for virtio's interfaces. All
that the tests make is named import-*.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from openstack.connection import Connection
from standing_lab import ROOT, Play, connected, play

HOST = "10.98.0.11"
PLACE = "/var/tmp/import-test"
ARCHIVE = f"{PLACE}/import-web.ova"
SSH_OPTIONS = ("-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")
OVF = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:id="f0" ovf:href="boot.vmdk"/><File ovf:id="f1" ovf:href="data.vmdk"/></References>
  <DiskSection>
    <Disk ovf:diskId="boot" ovf:fileRef="f0" ovf:capacity="64" ovf:capacityAllocationUnits="byte * 2^20"/>
    <Disk ovf:diskId="data" ovf:fileRef="f1" ovf:capacity="16" ovf:capacityAllocationUnits="byte * 2^20"/>
  </DiskSection>
  <VirtualSystem ovf:id="vm">
    <Name>import-web</Name>
    <VirtualHardwareSection>
      <Item><InstanceID>1</InstanceID><ResourceType>3</ResourceType><VirtualQuantity>1</VirtualQuantity></Item>
      <Item><InstanceID>2</InstanceID><ResourceType>4</ResourceType><VirtualQuantity>128</VirtualQuantity>
        <AllocationUnits>byte * 2^20</AllocationUnits></Item>
      <Item><InstanceID>3</InstanceID><ResourceType>20</ResourceType><ResourceSubType>AHCI</ResourceSubType></Item>
      <Item><InstanceID>4</InstanceID><ResourceType>17</ResourceType><ElementName>boot</ElementName>
        <HostResource>ovf:/disk/boot</HostResource><Parent>3</Parent></Item>
      <Item><InstanceID>5</InstanceID><ResourceType>17</ResourceType><ElementName>data</ElementName>
        <HostResource>ovf:/disk/data</HostResource><Parent>3</Parent></Item>
      <Item><InstanceID>6</InstanceID><ResourceType>10</ResourceType><ElementName>nic</ElementName>
        <ResourceSubType>virtio</ResourceSubType><Connection>VM Network</Connection></Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""
# The disk of the tampered archive differs in one byte, in its middle.
MAKE = f"""
set -e
cd {PLACE}
qemu-img convert -f raw -O vmdk -o subformat=streamOptimized guest.raw boot.vmdk
truncate -s 16M data.raw
printf imported | dd of=data.raw bs=1 seek=1048576 conv=notrunc status=none
qemu-img convert -f raw -O vmdk -o subformat=streamOptimized data.raw data.vmdk
sha256sum web.ovf boot.vmdk data.vmdk | awk '{{print "SHA256(" $2 ")= " $1}}' >web.mf
tar -c --format=ustar -f import-web.ova web.ovf web.mf boot.vmdk data.vmdk
printf '\\377\\376' | dd of=boot.vmdk bs=1 seek=$(($(stat -c %s boot.vmdk) / 2)) conv=notrunc status=none
tar -c --format=ustar -f import-tampered.ova web.ovf web.mf boot.vmdk data.vmdk
rm -f ./*.vmdk ./*.raw
"""
NETWORK = ("-e", "first_server_count=0", "-e", "first_server_name=import-net")
NETWORK += ("-e", json.dumps({"first_server_network": {"name": "import-net", "cidr": "192.168.79.0/24", "dns": []}}))


def on_host(command: str, given: bytes = b"") -> str:
    login = ["ssh", *SSH_OPTIONS, "-i", str(ROOT / ".lab/ssh/id_ed25519"), f"root@{HOST}", command]
    done = subprocess.run(login, input=given, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout!r} {done.stderr!r}"
    return done.stdout.decode()


@pytest.fixture(scope="module", autouse=True)
def archive() -> Iterator[None]:
    on_host(f"mkdir -p {PLACE}; cat >{PLACE}/guest.raw", (ROOT / ".lab/guest.raw").read_bytes())
    on_host(f"cat >{PLACE}/web.ovf", OVF.encode())
    on_host(MAKE)
    play("first_server", *NETWORK)
    yield
    play("first_server", *NETWORK, "-e", "first_server_state=absent")
    on_host(f"rm -rf {PLACE}")


@pytest.fixture(scope="module")
def project() -> Iterator[Connection]:
    with connected("demo") as connection:
        yield connection
        remove(connection)


def remove(project: Connection) -> None:
    """All that is named like the archive's machine."""
    for server in [each for each in project.compute.servers() if each.name.startswith("import-web")]:
        project.delete_server(server.id, wait=True, delete_ips=True)
    for volume in [each for each in project.block_storage.volumes() if each.name.startswith("import-web")]:
        project.delete_volume(volume.id, wait=True)
    for image in [each for each in project.image.images() if each.name.startswith("import-web")]:
        project.delete_image(image.id, wait=True)


def made(project: Connection) -> set[str]:
    """What is in the project of the archive's machine."""
    kinds = {
        "image": project.image.images(),
        "volume": project.block_storage.volumes(),
        "server": project.compute.servers(),
        "network": project.network.networks(),
    }
    return {
        f"{kind} {each.name}" for kind, all_ in kinds.items() for each in all_ if each.name.startswith("import-web")
    }


def run(directory: Path, *arguments: str, check: bool = True, **given: object) -> Play:
    """The playbook, with the receipts in the directory."""
    variables = {
        "machine_import_source": ARCHIVE,
        "machine_import_networks": {"VM Network": "import-net"},
        "machine_import_security_groups": ["import-net"],
        "machine_import_external_network": "public",
        "machine_import_answer": {"port": 80, "path": "/state"},
        "machine_import_report_directory": str(directory),
        **given,
    }
    return play("import", *arguments, "-e", json.dumps(variables), check=check)


def receipt(directory: Path) -> dict[str, object]:
    [path] = directory.glob("*.json")
    read: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    print(json.dumps(read["steps"]))
    return read


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"machine_import_source": f"{PLACE}/import-tampered.ova"}, ("boot.vmdk", "SHA256")),
        ({"machine_import_networks": {}}, ("network VM Network", "found no network for it")),
        ({"machine_import_flavor": "import-none"}, ("flavor import-none: found none", "small")),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, project: Connection, given: dict[str, object], words: tuple[str, ...]
) -> None:
    done = run(tmp_path, check=False, **given)
    assert done.returncode != 0
    assert all(word.lower() in done.text.lower() for word in words), done.text[-2000:]
    assert not made(project)


def test_it_is_rehearsed_then_imported_and_a_second_run_changes_nothing(tmp_path: Path, project: Connection) -> None:
    before = on_host(f"sha256sum {ARCHIVE}")
    would = run(tmp_path, "--check")
    assert all(f"image {name}: make from disk" in would.text for name in ("import-web", "import-web-data"))
    assert not made(project)

    rehearsed = run(tmp_path / "rehearsal", machine_import_rehearsal=True)
    assert "import-web-rehearsal answered" in rehearsed.text
    assert made(project) == {"image import-web", "image import-web-data"}
    copies = receipt(tmp_path / "rehearsal")["copies"]
    assert isinstance(copies, dict)
    assert all(copy["source_digest"] == copy["destination_digest"] for copy in copies.values())

    run(tmp_path / "import")
    told = receipt(tmp_path / "import")
    assert told["answered"] is True
    assert told["copies"] == {}
    [server] = [each for each in project.compute.servers() if each.name == "import-web"]
    addresses = [each["addr"] for each in server.addresses["import-net"] if each["OS-EXT-IPS:type"] == "floating"]
    with urllib.request.urlopen(f"http://{addresses[0]}/state", timeout=10) as answer:
        assert json.load(answer)["hostname"] == "import-web"
    image = project.get_image("import-web")
    assert (image["hw_disk_bus"], image["hw_vif_model"]) == ("sata", "virtio")
    [attached] = project.compute.volume_attachments(server.id)
    assert project.get_volume("import-web-data").id == attached.volume_id

    assert not run(tmp_path / "import").changes
    assert not run(tmp_path / "import", "--check").changes

    # As a run leaves it that was killed when the server was just begun.
    project.delete_floating_ip(next(project.network.ips(floating_ip_address=addresses[0])).id)
    for path in (tmp_path / "import").glob("*.json"):
        path.unlink()
    assert "give it a floating IP" in run(tmp_path / "import", "--check", "--diff").text
    run(tmp_path / "import")
    assert receipt(tmp_path / "import")["answered"] is True
    assert not run(tmp_path / "import").changes
    assert on_host(f"sha256sum {ARCHIVE}") == before
    assert on_host("ls -A /var/lib/lifeboat/imports") == ""


def test_what_does_not_answer_goes_again(tmp_path: Path, project: Connection) -> None:
    remove(project)
    done = run(tmp_path, check=False, machine_import_answer={"port": 81, "path": ""}, machine_import_answer_timeout=10)
    assert done.returncode != 0
    assert "found no answer at" in done.text
    assert not made(project)
    assert receipt(tmp_path)["answered"] is False
