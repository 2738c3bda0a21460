# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of plans from libvirt ask for."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.modules import libvirt_domain_info, libvirt_host_info
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


@pytest.fixture
def told(monkeypatch):
    """What the two modules return of hypervisors, as a playbook hands it on."""
    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", None)

    def tell(*fakes, **more):
        entries = []
        for fake in fakes:
            for module in (libvirt_host_info, libvirt_domain_info):
                monkeypatch.setattr(module, "connected", lambda *_args, fake=fake, **_: contextlib.nullcontext(fake))
            results = {"host": run_module(libvirt_host_info.main), "domains": run_module(libvirt_domain_info.main)}
            entries.append({"name": fake.host, **results, **more})
        return entries

    return tell
