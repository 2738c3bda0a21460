# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files from dictionaries."""

from __future__ import annotations

import configparser
import sys

import pytest
from ansible.errors import AnsibleFilterError
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.lifeboat.cloud.plugins.filter.to_ini import FilterModule, to_ini
from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import run_playbook
from hypothesis import given
from hypothesis import strategies as st

GLANCE = {
    "database": {"connection": "mysql+pymysql://glance:pw@10.0.0.1/glance?charset=utf8", "max_pool_size": 3},
    "DEFAULT": {
        "debug": False,
        "use_syslog": True,
        "workers": 1,
        "pidfile": None,
        "enabled_backends": ["shared:file", "fast:rbd"],
        "carriage": "a\r\nb\rc",
        "policy": "first\nsecond\n  third\n",
        "empty": "",
        "nothing": [],
        "timeout": 0.5,
    },
    "oslo_policy": {},
    "gone": None,
}
TEXT = """\
[DEFAULT]
debug = false
use_syslog = true
workers = 1
enabled_backends = shared:file
enabled_backends = fast:rbd
carriage = a
    b
    c
policy = first
    second
      third
empty =
timeout = 0.5

[database]
connection = mysql+pymysql://glance:pw@10.0.0.1/glance?charset=utf8
max_pool_size = 3

[oslo_policy]
"""


def test_every_kind_of_value_has_its_form():
    assert to_ini(GLANCE) == TEXT


def test_nothing_is_an_empty_file():
    assert to_ini({}) == "" and to_ini({"a": None}) == ""


@pytest.mark.parametrize(
    ("sections", "names"),
    [
        ("text", "'text'"),
        ([], "a list"),
        ({"a": "b"}, r"'b' as section \[a\]"),
        ({"a": ["b"]}, r"a list as section \[a\]"),
        ({"a]b": {}}, "'a]b'"),
        ({"a\n[b": {}}, "section name"),
        ({"": {}}, "section name ''"),
        ({1: {}}, "section name 1"),
        ({"a": {"b=c": 1}}, r"'b=c' in section \[a\]"),
        ({"a": {"b:c": 1}}, "'b:c'"),
        ({"a": {"b\nc": 1}}, "option name"),
        ({"a": {"b\n": 1}}, "option name"),
        ({"a": {"#b": 1}}, "'#b'"),
        ({"a": {" b": 1}}, "' b'"),
        ({"a": {"": 1}}, "option name ''"),
        ({"a": {None: 1}}, "option name None"),
        ({"a": {"b": {"c": 1}}}, r"a dictionary as the value of b in section \[a\]"),
        ({"a": {"b": [["c"]]}}, r"a list as the value of b in section \[a\]"),
        ({"a": {"b": "c\n\nd"}}, r"an empty line in the value of b in section \[a\]"),
    ],
)
def test_what_has_no_form_is_refused_by_name(sections, names):
    with pytest.raises(AnsibleFilterError, match=names):
        to_ini(sections)


def test_an_error_never_shows_a_scalar_value():
    with pytest.raises(AnsibleFilterError) as refusal:
        to_ini({"database": {"connection": "secret\n\npassword"}})
    assert "secret" not in str(refusal.value) and "password" not in str(refusal.value)


PLAY = """\
- hosts: localhost
  gather_facts: false
  vars:
    vip: 10.0.0.1
    secret: !vault |
      %s
    config:
      DEFAULT: {my_ip: "{{ vip }}", debug: "{{ 1 > 2 }}", bare: "{{ secret }}"}
      nova: {url: "https://nova:{{ secret }}@{{ vip }}", hosts: "{{ ['a', vip] }}"}
  tasks:
    - ansible.builtin.copy:
        content: "{{ config | combine({'nova': {'url': none, 'zone': vip}}, recursive=true) | lifeboat.cloud.to_ini }}"
        dest: %s
        mode: "0600"
    - ansible.builtin.copy:
        content: "{{ config | lifeboat.cloud.to_ini }}"
        dest: %s
        mode: "0600"
"""


def test_a_play_s_templates_vaulted_values_and_overrides_are_rendered(tmp_path):
    vault = VaultLib([("default", VaultSecret(b"key"))])
    encrypted = vault.encrypt("s3cret").decode().strip().replace("\n", "\n      ")
    overridden, whole = tmp_path / "overridden.conf", tmp_path / "whole.conf"
    (tmp_path / "key").write_text("key")
    localhost = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {"all": {"hosts": {"localhost": localhost}}}
    run_playbook(tmp_path, PLAY % (encrypted, overridden, whole), inventory, "--vault-password-file", tmp_path / "key")
    default = "[DEFAULT]\nmy_ip = 10.0.0.1\ndebug = false\nbare = s3cret\n\n[nova]\n"
    hosts = "hosts = a\nhosts = 10.0.0.1\n"
    assert overridden.read_text() == f"{default}{hosts}zone = 10.0.0.1\n"
    assert whole.read_text() == f"{default}url = https://nova:s3cret@10.0.0.1\n{hosts}"


def test_the_filter_has_its_name():
    assert FilterModule().filters() == {"to_ini": to_ini}


NAMES = st.from_regex(r"[a-zA-Z_/][a-zA-Z0-9_./-]{0,11}", fullmatch=True)
LINES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)
TEXTS = st.lists(LINES, min_size=1, max_size=3).map("\n".join)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, TEXTS | st.integers().map(str))))
def test_what_is_written_is_read_back(sections):
    parser = configparser.RawConfigParser(
        default_section="\0", delimiters=("=",), comment_prefixes=None, inline_comment_prefixes=None
    )
    parser.optionxform = str
    parser.read_string(to_ini(sections))
    assert {name: dict(parser[name]) for name in parser.sections()} == sections
    assert list(parser.sections()) == sorted(sections, key=lambda name: name != "DEFAULT")
