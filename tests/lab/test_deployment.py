# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployed cloud stays as it is: the second run and check mode change nothing and restart nothing."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from pathlib import Path

import pytest
import testinfra
from standing_lab import CONTROL_PLANE, CONTROLLERS, ROOT, ansible, play

UNITS = ("haproxy", "keepalived", "mariadb", "galera-health", "rabbitmq-server", "memcached", "keystone")


def processes() -> str:
    """Main process and start of every unit on every controller."""
    show = "systemctl show --property=MainPID,ActiveEnterTimestamp " + " ".join(UNITS)
    return "\n".join(sorted(ansible("controllers", "ansible.builtin.command", show).splitlines()))


@pytest.mark.parametrize("mode", [(), ("--check", "--diff")], ids=["second run", "check mode"])
def test_nothing_changes_and_nothing_restarts(mode: tuple[str, ...]) -> None:
    before = processes()
    assert before.count("MainPID=") == len(UNITS) * len(CONTROLLERS)
    assert not re.search(r"MainPID=0$", before, re.MULTILINE)
    done = play(*CONTROL_PLANE, *mode)
    assert not done.changes
    assert processes() == before


def test_limit_leaves_the_others_alone() -> None:
    done = play("site", "--limit", "ctl2", "--tags", "cache")
    assert set(done.changed) <= {"ctl2", "localhost"}
    assert not done.changes


def test_a_change_restarts_only_what_it_concerns() -> None:
    before = processes()
    done = play("site", "--tags", "cache", "-e", "cache_memory_mib=65")
    assert all(done.changed[host] > 0 for host in CONTROLLERS)
    after = processes()
    assert after != before
    assert len(set(after.splitlines()) - set(before.splitlines())) <= 2 * len(CONTROLLERS)
    play("site", "--tags", "cache")


def test_secrets_are_private_and_never_printed() -> None:
    secrets = ROOT / ".lab/secrets.yml"
    for path in [secrets, *(ROOT / ".lab/pki").iterdir(), ROOT / ".lab/ssh/id_ed25519"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    values = re.findall(r": ['\"]?([^'\"\s]{16,})", secrets.read_text(encoding="utf-8"))
    assert len(values) >= 7
    printed = play("site", "--check", "--diff", "-vvv", "--tags", "keystone,message_queue,database").text
    commands = ansible("controllers", "ansible.builtin.command", "ps -eo args")
    for value in values:
        assert value not in printed
        assert value not in commands


def test_secrets_may_be_encrypted(tmp_path: Path) -> None:
    secrets, password = ROOT / ".lab/secrets.yml", tmp_path / "password"
    password.write_text("of the vault\n", encoding="utf-8")
    vault = ("--vault-password-file", str(password))
    subprocess.run(["ansible-vault", "encrypt", *vault, secrets], check=True, timeout=60)
    try:
        assert secrets.read_text(encoding="utf-8").startswith("$ANSIBLE_VAULT")
        assert not play("site", "--tags", "message_queue", *vault).changes
    finally:
        subprocess.run(["ansible-vault", "decrypt", *vault, secrets], check=True, timeout=60)


# As two workers of Nova do: the first reads a record, the other writes it, then the first writes it, too.
CONFLICT = """
import pymysql
local = {"unix_socket": "/run/mysqld/mysqld.sock", "user": "root"}
one, other = (pymysql.connect(autocommit=each, **local) for each in (False, True))
with one.cursor() as first, other.cursor() as second:
    second.execute("CREATE DATABASE lifeboat_trial")
    try:
        second.execute("CREATE TABLE lifeboat_trial.record (id INT PRIMARY KEY, value INT)")
        second.execute("INSERT INTO lifeboat_trial.record VALUES (1, 0)")
        first.execute("SELECT * FROM lifeboat_trial.record")
        second.execute("UPDATE lifeboat_trial.record SET value = 1")
        first.execute("UPDATE lifeboat_trial.record SET value = 2")
        one.commit()
    finally:
        one.rollback()
        second.execute("DROP DATABASE lifeboat_trial")
"""


def test_a_record_can_be_written_that_was_changed_meanwhile() -> None:
    ansible("database[0]", "ansible.builtin.command", json.dumps({"argv": ["python3", "-c", CONFLICT]}))


def test_load_balancers_are_configured_alike() -> None:
    files = "/etc/haproxy/haproxy.cfg /etc/haproxy/conf.d/*"
    sums = ansible("controllers", "ansible.builtin.shell", f"cat {files} | sha256sum")
    assert len(set(re.findall(r"[0-9a-f]{64}", sums))) == 1


@pytest.mark.parametrize("host", CONTROLLERS)
def test_services_listen_only_where_they_should(host: str) -> None:
    controller = testinfra.get_host(
        f"ssh://root@10.98.0.{11 + CONTROLLERS.index(host)}",
        ssh_identity_file=str(ROOT / ".lab/ssh/id_ed25519"),
        ssh_extra_args=f"-o UserKnownHostsFile={ROOT}/.lab/ssh/known_hosts",
    )
    for unit in UNITS:
        assert controller.service(unit).is_running
        assert controller.service(unit).is_enabled
    own = f"10.98.0.{11 + CONTROLLERS.index(host)}"
    for port in (3306, 5000, 5671, 9200, 11211):
        assert controller.socket(f"tcp://{own}:{port}").is_listening
    assert not controller.socket("tcp://0.0.0.0:5000").is_listening
    assert not controller.socket("tcp://0.0.0.0:11211").is_listening
