# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Documentation of the options that all modules for libvirt have."""

from __future__ import annotations


class ModuleDocFragment:
    """C(lifeboat.cloud._libvirt): the connection."""

    DOCUMENTATION = r"""
requirements:
  - libvirt-python (Debian package C(python3-libvirt)) on the host that runs the module
options:
  uri:
    description:
      - The connection to libvirt, such as V(qemu:///system) on the hypervisor itself, or V(qemu+tls://host/system) from
        elsewhere.
      - With V(qemu+ssh://) nobody is there to answer questions, so give it C(?no_tty=1) and a key.
    type: str
    default: qemu:///system
  timeout:
    description:
      - How many seconds one call of libvirt may last. When it lasts longer the module fails, but libvirt may still do
        what it was asked.
    type: float
    default: 60.0
"""
