# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that decide how long an outage lasts, read from a controller's files, and the module for it."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._ha_settings import (
    Places,
    ha_settings,
    identity_settings,
)
from ansible_collections.lifeboat.cloud.plugins.modules import ha_settings_info
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

FIXTURES = Path(__file__).parent / "fixtures" / "steady"


def places(tmp_path: Path) -> Places:
    return Places(
        vip="10.98.0.10",
        keepalived=tmp_path / "keepalived.conf",
        haproxy=(tmp_path / "haproxy.cfg", tmp_path / "conf.d"),
        database_server=tmp_path / "mariadbd",
        database_socket=str(tmp_path / "socket"),
        rabbitmq=tmp_path / "rabbitmq",
        keystone=tmp_path / "keystone.conf",
        timeout_s=0.5,
    )


def test_what_is_not_installed_is_left_out(tmp_path: Path) -> None:
    components = ["vrrp", "load_balancer", "database", "message_queue", "identity"]
    assert ha_settings(places(tmp_path), components) == {}


@pytest.fixture
def controller(tmp_path: Path) -> Path:
    """The directory of a controller's configuration files."""
    for directory in ("conf.d", "rabbitmq"):
        (tmp_path / directory).mkdir()
    copies = {
        "keepalived.conf": "keepalived.conf",
        "haproxy.cfg": "haproxy.cfg",
        "haproxy-services.cfg": "conf.d/services.cfg",
        "advanced.config": "rabbitmq/advanced.config",
        "rabbitmq.conf": "rabbitmq/rabbitmq.conf",
    }
    for name, path in copies.items():
        (tmp_path / path).write_text((FIXTURES / name).read_text())
    (tmp_path / "keystone.conf").write_text("[cache]\nenabled = true\nmemcache_socket_timeout = 0.5\n")
    return tmp_path


def test_the_files_of_a_controller(controller: Path) -> None:
    found = ha_settings(places(controller), ["vrrp", "load_balancer", "message_queue", "identity"])
    assert found["vrrp"]["priority"] == 170
    assert found["load_balancer"]["backends"]["identity"]["connect_timeout_s"] == 0.3
    assert found["message_queue"] == {"aten_poll_interval_s": 0.5, "net_ticktime_s": 10.0, "heartbeat_s": 15.0}
    assert found["identity"] == {"memcache_socket_timeout_s": 0.5, "memcache_dead_retry_s": 300.0}


def test_an_installed_database_must_answer(tmp_path: Path) -> None:
    (tmp_path / "mariadbd").touch()
    with pytest.raises(LifeboatError, match="Start MariaDB"):
        ha_settings(places(tmp_path), ["database"])


def test_keystones_own_settings_and_nonsense() -> None:
    assert identity_settings("[DEFAULT]\nx = 1\n[DEFAULT]\nx = 2\n").memcache_socket_timeout_s == 1.0
    with pytest.raises(LifeboatError, match=r"keystone\.conf"):
        identity_settings("[cache]\nmemcache_dead_retry = soon\n")


def asked(directory: Path, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    files = {
        "keepalived_config": str(directory / "keepalived.conf"),
        "load_balancer_config": [str(directory / "haproxy.cfg"), str(directory / "conf.d")],
        "rabbitmq_config_directory": str(directory / "rabbitmq"),
        "identity_config": str(directory / "keystone.conf"),
        "vip": "10.98.0.10",
        "components": ["vrrp", "load_balancer", "message_queue", "identity"],
    }
    return run_module(ha_settings_info.main, check, **{**files, **options})


@pytest.mark.parametrize("check", [False, True])
def test_the_module_reads_the_files_it_was_given(controller: Path, check: bool) -> None:
    result = asked(controller, check)
    assert result["changed"] is False
    settings = result["settings"]
    assert settings["vrrp"]["priority"] == 170
    assert settings["load_balancer"]["backends"]["identity"]["retry_on"] == ["conn-failure", "empty-response"]
    assert settings["message_queue"]["heartbeat_s"] == 15
    assert settings["identity"]["memcache_socket_timeout_s"] == 0.5


def test_the_module_reads_what_was_asked_for_and_is_installed(controller: Path) -> None:
    assert list(asked(controller, components=["identity"])["settings"]) == ["identity"]
    assert list(asked(controller, identity_config=str(controller / "none"))["settings"]) == [
        "vrrp",
        "load_balancer",
        "message_queue",
    ]


def test_the_module_says_which_file_is_wrong_and_what_to_do(controller: Path) -> None:
    failed = asked(controller, vip="10.98.0.1")
    assert failed["failed"] and "10.98.0.1" in failed["found"] and failed["remedy"] in failed["msg"]
    (controller / "keystone.conf").write_text("[cache]\nmemcache_dead_retry = soon\n")
    failed = asked(controller)
    assert (failed["thing"], failed["remedy"]) == ("keystone.conf", "Correct [cache] in the file.")
