# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new lab: check mode tells what a deployment would do and does nothing; then the deployment."""

from __future__ import annotations

from standing_lab import CONTROL_PLANE, CONTROLLERS, ROOT, ansible, play

CONFIGURATION = "find /etc /var/lib/mysql /var/lib/rabbitmq -type f -newer /proc/1/comm | sort | xargs -r sha256sum"


def test_check_mode_on_new_hosts_touches_nothing() -> None:
    before = ansible("cloud", "ansible.builtin.shell", CONFIGURATION)
    done = play(*CONTROL_PLANE, "--check", "--diff")
    assert all(done.changed[host] > 0 for host in CONTROLLERS)
    assert sorted(ansible("cloud", "ansible.builtin.shell", CONFIGURATION).split()) == sorted(before.split())
    assert not (ROOT / ".lab/secrets.yml").exists()
    assert not (ROOT / ".lab/pki").exists()


def test_deployment_brings_the_steady_state() -> None:
    play(*CONTROL_PLANE)
    assert "Steady:" in play("verify", "-e", "verify_cloud=false", "-e", "verify_within=30").text
