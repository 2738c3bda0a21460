# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of imports share: the playbook, its receipts, the project and its network, and what is left in it.

All that they make is named import-*, the machines import-web*.
"""

from __future__ import annotations

import contextlib
import json
import typing as t
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from openstack.connection import Connection
from standing_lab import PLAY_TIMEOUT_S, Play, connected, play

NETWORK = ("-e", "first_server_count=0", "-e", "first_server_name=import-net")
NETWORK += ("-e", json.dumps({"first_server_network": {"name": "import-net", "cidr": "192.168.79.0/24", "dns": []}}))
REHEARSAL = "import-web-rehearsal"
_OVF = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References>{files}</References>
  <DiskSection>{disks}</DiskSection>
  <VirtualSystem ovf:id="vm">
    <Name>{name}</Name>
    <VirtualHardwareSection>
      <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
      <Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>{memory}</rasd:VirtualQuantity>
        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits></Item>
      <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>20</rasd:ResourceType><rasd:ResourceSubType>AHCI</rasd:ResourceSubType></Item>
      <Item><rasd:InstanceID>4</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType><rasd:ElementName>nic</rasd:ElementName>
        <rasd:ResourceSubType>{interface}</rasd:ResourceSubType><rasd:Connection>VM Network</rasd:Connection></Item>
      {items}
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""


def descriptor(name: str, disks: Mapping[str, int], memory_mib: int = 128, interface: str = "virtio") -> str:
    """The OVF of a machine with disks at a SATA controller: their names, of which the files are NAME.vmdk, and MiB."""
    files = "".join(f'<File ovf:id="{disk}-file" ovf:href="{disk}.vmdk"/>' for disk in disks)
    described = "".join(
        f'<Disk ovf:diskId="{disk}" ovf:fileRef="{disk}-file" ovf:capacity="{mib}" '
        'ovf:capacityAllocationUnits="byte * 2^20"/>'
        for disk, mib in disks.items()
    )
    items = "".join(
        f"<Item><rasd:InstanceID>{number}</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType>"
        f"<rasd:ElementName>{disk}</rasd:ElementName><rasd:HostResource>ovf:/disk/{disk}</rasd:HostResource>"
        "<rasd:Parent>3</rasd:Parent></Item>"
        for number, disk in enumerate(disks, 5)
    )
    return _OVF.format(name=name, files=files, disks=described, items=items, memory=memory_mib, interface=interface)


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
    variables = {
        "machine_import_source": source,
        "machine_import_security_groups": ["import-net"],
        "machine_import_external_network": "public",
        "machine_import_answer": {"port": 80, "path": "/state"},
        "machine_import_report_directory": str(directory),
        **given,
    }
    return play("import", *arguments, "-e", json.dumps(variables), check=check, timeout_s=timeout_s)


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
