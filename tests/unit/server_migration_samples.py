# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running server_migration on the server web-1, and what it asked of Nova."""

from __future__ import annotations

from ansible_collections.lifeboat.cloud.plugins.modules import server_migration
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


def run(nova, check=False, **options):
    nova.calls.clear()
    return run_module(server_migration.main, check, **{**nova.options, "server": "web-1", **options})


def ends(nova):
    """What was asked of Nova to end a migration."""
    return [call.method for call in nova.calls if call.method in ("POST", "DELETE")]
