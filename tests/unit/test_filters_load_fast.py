# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible loads all filters of the collection in each process that uses one, so none may import what is slow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FILTERS = [path.stem for path in sorted((Path(__file__).parents[2] / "plugins/filter").glob("[a-z]*.py"))]
SLOW = {"cryptography", "http.client", "keystoneauth1", "openstack", "requests", "rados", "rbd", "libvirt", "urllib3"}


def test_no_filter_imports_what_is_slow() -> None:
    imports = "; ".join(f"import ansible_collections.lifeboat.cloud.plugins.filter.{name}" for name in FILTERS)
    # Not what Ansible itself has imported before it looks for a filter.
    program = f"import ansible.template, sys; before = {{*sys.modules}}; {imports}; print(*{{*sys.modules}} - before)"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert not SLOW & set(done.stdout.split())
