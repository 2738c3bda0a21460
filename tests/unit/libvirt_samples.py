# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypervisors and domains as libvirt describes them."""

from __future__ import annotations

from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Described
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import FakeHypervisor

# Shortened from libvirt 11.3 with QEMU 10.0.
CAPABILITIES = """
<capabilities>
  <host>
    <uuid>11111111-2222-4333-8444-555555555555</uuid>
    <cpu><arch>x86_64</arch><model>EPYC</model><vendor>AMD</vendor><feature name='umip'/><feature name='pku'/></cpu>
    <migration_features>
      <live/>
      <uri_transports><uri_transport>tcp</uri_transport><uri_transport>rdma</uri_transport></uri_transports>
    </migration_features>
    <topology>
      <cells num='2'>
        <cell id='0'><memory unit='KiB'>2048</memory><cpus num='2'><cpu id='0'/><cpu id='1'/></cpus></cell>
        <cell id='1'><memory unit='KiB'>4096</memory><cpus num='1'><cpu id='2'/></cpus></cell>
      </cells>
    </topology>
  </host>
  <guest>
    <os_type>hvm</os_type>
    <arch name='i686'><domain type='qemu'/><machine>isapc</machine></arch>
  </guest>
  <guest>
    <os_type>hvm</os_type>
    <arch name='x86_64'>
      <machine maxCpus='255'>pc-i440fx-10.0</machine>
      <machine canonical='pc-q35-10.0' maxCpus='4096'>q35</machine>
      <machine maxCpus='4096'>pc-q35-10.0</machine>
      <machine maxCpus='255' deprecated='yes'>pc-q35-5.2</machine>
      <domain type='qemu'/>
      <domain type='kvm'><machine>microvm</machine></domain>
    </arch>
  </guest>
</capabilities>"""
DOMAIN_CAPABILITIES = """
<domainCapabilities>
  <cpu>
    <mode name='host-passthrough' supported='yes'/>
    <mode name='host-model' supported='yes'>
      <model fallback='forbid'>EPYC</model>
      <vendor>AMD</vendor>
      <feature policy='require' name='umip'/>
      <feature policy='disable' name='svm'/>
    </mode>
    <mode name='custom' supported='yes'>
      <model usable='yes' vendor='unknown'>qemu64</model>
      <model usable='no' vendor='Intel'>Skylake-Server</model>
      <model usable='unknown' vendor='AMD'>EPYC</model>
    </mode>
  </cpu>
</domainCapabilities>"""


def hypervisor(**parts):
    return FakeHypervisor(
        **{
            "uri": "qemu+tls://compute1/system",
            "capabilities_xml": CAPABILITIES,
            "domain_capabilities_xml": DOMAIN_CAPABILITIES,
            **parts,
        }
    )


def pool(name, kind, path, source="", free=50 * 2**30):
    """A storage pool of 100 GiB that is started; ``source`` is what a host called nas gives it."""
    given = f"<source><host name='nas'/>{source}</source>" if source else "<source></source>"
    sizes = f"<capacity unit='bytes'>{100 * 2**30}</capacity><available unit='bytes'>{free}</available>"
    return Described(
        f"<pool type='{kind}'><name>{name}</name>{sizes}{given}<target><path>{path}</path></target></pool>", True
    )


def network(name, active=True):
    """A network of libvirt's own."""
    return Described(f"<network><name>{name}</name><bridge name='virbr0' stp='on' delay='0'/></network>", active)
