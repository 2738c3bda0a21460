# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypervisors in memory with domains, and the fleet of what the modules for libvirt return of them."""

from __future__ import annotations

from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_libvirt import fleet_of_libvirt
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_samples import CAPABILITIES, hypervisor, network, pool
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB

KEY = "1e2d3c4b-5a69-4788-8796-a5b4c3d2e1f0"
WEB = "97a39d8b-e245-4420-bffb-88b87168e39c"
OWN = "<disk type='file'><source file='/images/web.qcow2'/><target dev='vda'/></disk>"
ON_NFS = "<disk type='file'><source file='/srv/nfs/web.qcow2'/><target dev='vda'/></disk>"
IN_CEPH = (
    f"<disk type='network'><auth username='nova'><secret type='ceph' uuid='{KEY}'/></auth>"
    "<source protocol='rbd' name='vms/web'/><target dev='vda'/></disk>"
)
ON_BRIDGE = "<interface type='bridge'><source bridge='br0'/></interface>"
ON_NETWORK = "<interface type='network'><source network='default'/></interface>"
ON_DEVICE = "<interface type='direct'><source dev='eth1'/></interface>"
RICH_CPU = "<cpu mode='custom'><model>EPYC</model><feature policy='require' name='umip'/>"
RICH_CPU += "<feature policy='disable' name='svm'/></cpu>"
SIZES = {"block.count": 1, "block.0.name": "vda", "block.0.capacity": 10 * GIB, "block.0.physical": 2 * GIB}


def kvm(number, **parts):
    """A hypervisor with 8 GiB and 3 processors, that has all that the domains of these tests need."""
    capabilities = CAPABILITIES.replace("11111111", str(number) * 8).replace(">2048<", f">{8 * 2**20}<")
    has = {
        "capabilities_xml": capabilities.replace(">4096<", ">0<"),
        "host": f"kvm{number}",
        "pools_found": [pool("images", "dir", "/images"), pool("nfs", "netfs", "/srv/nfs", "<dir path='/export'/>")],
        "networks_found": [network("default")],
        "interfaces_found": ["br0", "eth0", "eth1"],
        "secrets_found": [KEY],
    }
    return hypervisor(**{**has, **parts})


def run(fake, name="web", devices="", cpu="", identity=WEB, machine="pc-q35-10.0", kind="kvm", memory=1024, start=True):
    """Define a domain on a hypervisor, and start it."""
    fake.define(
        f"<domain type='{kind}'><name>{name}</name><uuid>{identity}</uuid><memory unit='MiB'>{memory}</memory>"
        f"<os><type arch='x86_64' machine='{machine}'>hvm</type></os>{cpu}<devices>{devices}</devices></domain>",
        validate=True,
    )
    if start:
        fake.known[name].start()
    fake.counted = {identity: SIZES}
    return fake


def fleet(entries):
    return fleet_of_libvirt(entries, assumed={"bandwidth": 1.25e8, "dirty_rate": 1e6})


def against(entries):
    of = fleet(entries)
    return [(each.subject, each.reason) for each in Matrix(of).against(of.servers[WEB], "kvm2", Layout(of))]
