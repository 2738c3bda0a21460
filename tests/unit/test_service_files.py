# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a service: shared sections in the first one, overrides over everything, uWSGI on one address."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.service_files import service_files

SERVICE: dict[str, t.Any] = {
    "name": "glance",
    "user": "glance",
    "group_of_files": "glance",
    "config": {
        "/etc/glance/glance-api.conf": {"DEFAULT": {"workers": 1}, "database": {"max_retries": 7}},
        "/etc/glance/glance-cache.conf": {"DEFAULT": {"log_dir": "/var/log/glance"}},
    },
    "files": {"/etc/glance/policy.yaml": "{}\n"},
}
SHARED = {"database": {"connection": "mysql://", "max_retries": -1}}


def contents(**options: t.Any) -> dict[str, str]:
    return {file["path"]: file["content"] for file in service_files(SERVICE, address="10.0.0.11", **options)}


def test_the_first_file_has_the_shared_sections_under_the_services_own() -> None:
    files = contents(shared=SHARED)
    expected = "[DEFAULT]\nworkers = 1\n\n[database]\nconnection = mysql://\nmax_retries = 7\n"
    assert files["/etc/glance/glance-api.conf"] == expected
    assert files["/etc/glance/glance-cache.conf"] == "[DEFAULT]\nlog_dir = /var/log/glance\n"
    assert files["/etc/glance/policy.yaml"] == "{}\n"


def test_an_override_wins_and_null_takes_away() -> None:
    overrides = {"glance-api.conf": {"DEFAULT": {"workers": None, "debug": True}, "new": {"a": 1}}}
    file = contents(shared=SHARED, overrides=overrides)["/etc/glance/glance-api.conf"]
    assert file.startswith("[DEFAULT]\ndebug = true\n")
    assert file.endswith("[new]\na = 1\n")


def test_an_override_of_no_file_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match=r"glance_config_overrides: found the file DEFAULT; expected one of"):
        contents(overrides={"DEFAULT": {"debug": True}})


def test_files_are_private_to_the_service() -> None:
    files = service_files(SERVICE, address="10.0.0.11")
    assert {(file["group"], file["mode"]) for file in files} == {("glance", "0640")}


def test_uwsgi_binds_one_address() -> None:
    api = {"script": "glance-api", "port": 9292, "program": "/usr/bin/glance-wsgi-api", "options": {"threads": 2}}
    ini, default = service_files(
        {**SERVICE, "config": {}, "files": {}, "uwsgi": [api]},
        address="10.0.0.11",
        uwsgi={"threads": 4, "master": True},
    )
    assert default["path"] == "/etc/default/glance-api"
    assert default["content"] == f'DAEMON_ARGS="--ini {ini["path"]}"\n'
    assert "threads = 2\n" in ini["content"]
    assert "http-socket = 10.0.0.11:9292\n" in ini["content"]
