# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of imports share: the playbook, its receipts, the project and its network, and what is left in it.

All that they make is named import-*, the machines import-web*.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import typing as t
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ansible_collections.lifeboat.cloud.tests.unit.ovf_samples import SampleDisk, item, ovf
from openstack.connection import Connection
from standing_lab import PLAY_TIMEOUT_S, ROOT, Play, connected, play

NETWORK = ("-e", "first_server_count=0", "-e", "first_server_name=import-net")
NETWORK += ("-e", json.dumps({"first_server_network": {"name": "import-net", "cidr": "192.168.79.0/24", "dns": []}}))
# At the last one nobody answers.
NETWORK += ("-e", json.dumps({"first_server_open_ports": [22, 80, 81]}))
REHEARSAL = "import-web-rehearsal"


def descriptor(name: str, disks: Mapping[str, int], memory_mib: int = 128, interface: str = "virtio") -> str:
    """The OVF of a machine with disks at a SATA controller: their names, of which the files are NAME.vmdk, and MiB."""
    return ovf(
        [SampleDisk(f"{disk}.vmdk", capacity=str(mib), id=disk) for disk, mib in disks.items()],
        name=name,
        processor=item(3, InstanceID=1, VirtualQuantity=1),
        memory=item(4, InstanceID=2, VirtualQuantity=memory_mib, AllocationUnits="byte * 2^20"),
        controller=item(20, InstanceID=3, ResourceSubType="AHCI"),
        nic=item(10, InstanceID=9, ElementName="nic", ResourceSubType=interface, Connection="VM Network"),
    )


def packing(archive: str, name: str, disks: Mapping[str, int], **hardware: t.Any) -> str:
    """Shell commands that make an OVA with its manifest, in a directory with the raw disks, DISK.raw each.

    Its parts are left beside them: web.ovf, web.mf and DISK.vmdk. ``disks`` and ``hardware`` are the descriptor's.
    """
    files = " ".join(f"{disk}.vmdk" for disk in disks)
    return "\n".join(
        [
            "set -e",
            *(f"qemu-img convert -f raw -O vmdk -o subformat=streamOptimized {disk}.raw {disk}.vmdk" for disk in disks),
            f"cat >web.ovf <<'END'\n{descriptor(name, disks, **hardware)}END",
            f"""sha256sum web.ovf {files} | awk '{{print "SHA256(" $2 ")= " $1}}' >web.mf""",
            f"tar -c --format=ustar -f {archive} web.ovf web.mf {files}",
        ]
    )


@contextlib.contextmanager
def prepared_project() -> Iterator[Connection]:
    """While the block runs the project has a network for the machines."""
    play("first_server", *NETWORK)
    try:
        with connected("demo") as connection:
            yield connection
            remove(connection)
    finally:
        play("first_server", *NETWORK, "-e", "first_server_state=absent")


def remove(project: Connection) -> None:
    """All that is named like the machines, and the place of a rehearsal that was kept."""
    for server in [each for each in project.compute.servers() if each.name.startswith("import-web")]:
        project.delete_server(server.id, wait=True, delete_ips=True)
    for volume in [each for each in project.block_storage.volumes() if each.name.startswith("import-web")]:
        project.delete_volume(volume.id, wait=True)
    for image in [each for each in project.image.images() if each.name.startswith("import-web")]:
        project.delete_image(image.id, wait=True)
    for router in list(project.network.routers(name=REHEARSAL)):
        for port in list(project.network.ports(device_id=router.id, device_owner="network:router_interface")):
            project.network.remove_interface_from_router(router, port_id=port.id)
        project.network.delete_router(router)
    for network in list(project.network.networks(name=REHEARSAL)):
        project.network.delete_network(network)
    for group in list(project.network.security_groups(name=REHEARSAL)):
        project.network.delete_security_group(group)


def made(project: Connection) -> set[str]:
    """What is in the project of the machines, and its floating IPs."""
    kinds = {
        "image": project.image.images(),
        "volume": project.block_storage.volumes(),
        "server": project.compute.servers(),
        "network": project.network.networks(),
        "router": project.network.routers(),
        "security group": project.network.security_groups(),
    }
    return {
        f"{kind} {each.name}" for kind, all_ in kinds.items() for each in all_ if each.name.startswith("import-web")
    }


def floating_ips(project: Connection) -> set[str]:
    return {each.floating_ip_address for each in project.network.ips()}


def run(
    source: str,
    directory: Path,
    *arguments: str,
    check: bool = True,
    timeout_s: float = PLAY_TIMEOUT_S,
    **given: object,
) -> Play:
    """The playbook, with the receipts in the directory."""
    return play("import", *arguments, "-e", variables(source, directory, given), check=check, timeout_s=timeout_s)


def kill(source: str, directory: Path, once: Callable[[], bool], **given: object) -> None:
    """Begin the playbook, and kill it with all that it has started on this machine once something is seen.

    Its modules are in sessions of their own and would live on; they are known by their environment.
    """
    command = ["ansible-playbook", "lifeboat.cloud.import", "-e", variables(source, directory, given)]
    log = directory.with_suffix(".log")
    mark = f"LIFEBOAT_KILLED={uuid.uuid4()}"
    with log.open("w", encoding="utf-8") as output:
        environment = {**os.environ, **dict([mark.split("=")])}
        begun = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        end = time.monotonic() + PLAY_TIMEOUT_S
        try:
            while not once():
                assert begun.poll() is None and time.monotonic() < end, log.read_text(encoding="utf-8")[-4000:]
                time.sleep(0.05)
        finally:
            # First the one that would begin others.
            begun.kill()
            begun.wait(timeout=60)
            while left := list(_marked(mark)):
                for each in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(each, signal.SIGKILL)


def _marked(mark: str) -> Iterator[int]:
    """The processes with this in their environment."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)


def variables(source: str, directory: Path, given: Mapping[str, object]) -> str:
    """What the playbook is told, as JSON."""
    told = {
        "machine_import_source": source,
        "machine_import_security_groups": ["import-net"],
        "machine_import_external_network": "public",
        "machine_import_answer": {"port": 80, "path": "/state"},
        "machine_import_report_directory": str(directory),
        **given,
    }
    return json.dumps(told)


def receipts(directory: Path) -> list[dict[str, t.Any]]:
    """What the runs have written, in their order."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.json"))]
    for each in read:
        print(json.dumps(each["steps"]), json.dumps(each["warm"]))
    return read


def receipt(directory: Path) -> dict[str, t.Any]:
    [read] = receipts(directory)
    return read


def server_of(project: Connection, name: str) -> t.Any:
    [server] = [each for each in project.compute.servers() if each.name == name]
    return server


def address_of(project: Connection, name: str) -> str:
    """The floating IP of a server."""
    addresses = [each for of_network in server_of(project, name).addresses.values() for each in of_network]
    [address] = [each["addr"] for each in addresses if each["OS-EXT-IPS:type"] == "floating"]
    return str(address)


def state_of(project: Connection, name: str) -> dict[str, t.Any]:
    """What the guest of a server tells of itself."""
    with urllib.request.urlopen(f"http://{address_of(project, name)}/state", timeout=10) as answer:
        told: dict[str, t.Any] = json.load(answer)
    return told
