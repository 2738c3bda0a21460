# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guest image makes of metadata and of #cloud-config."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

GUEST = Path(__file__).resolve().parents[2] / "roles/guest_image/files/guest"
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


def calls(text: str) -> list[list[str]]:
    """The calls that cloud_config.awk writes."""
    written = subprocess.run(
        ["awk", "-f", GUEST / "cloud_config.awk"], input=text, capture_output=True, text=True, check=True, timeout=10
    ).stdout
    lexer = shlex.shlex(written, posix=True, punctuation_chars="\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " ", True, ""
    found: list[list[str]] = [[]]
    for token in lexer:
        if set(token) == {"\n"}:
            found.append([])
        else:
            found[-1].append(token)
    return [call for call in found if call]


def value(text: str, wanted: str) -> str:
    """What json.awk prints."""
    return subprocess.run(
        ["awk", "-v", f"wanted={wanted}", "-f", GUEST / "json.awk"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    ).stdout


WHOLE = """\
#cloud-config
runcmd:
  - echo hello > /tmp/a   # said
  - [sh, -c, "echo 'x, y'"]
  - - touch
    - /tmp/b c
  - 'echo "it''s": x'
hostname: web1
ssh_authorized_keys:
- ssh-ed25519 AAAA me
users:
  - default
  - name: anna
    ssh_authorized_keys:
      - "ssh-rsa BBBB anna's"
write_files:
- path: /var/www/index.html
  permissions: '0640'
  content: |
    <h1>Team 3</h1>

      <p>It's: fine # yes</p>

- content: "a\\nb\\\\\\n"
  path: /etc/y
  owner: anna:anna
"""


def test_all_that_is_understood_in_the_order_of_its_use() -> None:
    assert calls(WHOLE) == [
        ["set_hostname", "web1"],
        ["authorize", "guest", "ssh-ed25519 AAAA me"],
        ["add_user", "guest"],
        ["add_user", "anna"],
        ["authorize", "anna", "ssh-rsa BBBB anna's"],
        ["write_file", "/var/www/index.html", "0640", "root:root", "<h1>Team 3</h1>\n\n  <p>It's: fine # yes</p>\n"],
        ["write_file", "/etc/y", "0644", "anna:anna", "a\nb\\\n"],
        ["run", "echo hello > /tmp/a"],
        ["run", "sh", "-c", "echo 'x, y'"],
        ["run", "touch", "/tmp/b c"],
        ["run", 'echo "it\'s": x'],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("packages: [nginx]", "line 1: packages 1 is ignored: this guest has no packages"),
        ("fqdn: a.example", "line 1: fqdn is ignored"),
        ("users:\n- name: a\n  sudo: true", "line 3: users 1 sudo is ignored"),
        ("hostname: &x web", "line 1 is not understood: hostname: &x web"),
        ("write_files:\n- {path: /a}", "line 2 is not understood: - {path: /a}"),
        ("runcmd:\n- echo a: b", "line 2 is not understood: - echo a: b"),
        ("runcmd:\n- ls\n  -l", "line 3 is not understood:   -l"),
        ("runcmd:\n- [ls, [a]]", "line 2 is not understood: - [ls, [a]]"),
        ("a: >\n  b\n  c", "line 1 is not understood: folded text (>)"),
        ("hostname: 'a' b", "line 1 is not understood: hostname: 'a' b"),
        ("\thostname: a", "line 1 is not understood: \thostname: a"),
        (
            "write_files:\n- path: /a\n  encoding: b64\n  content: AA",
            "file /a is not written: encoding is not understood",
        ),
        ("write_files:\n- content: AA", "file 1 of write_files has no path"),
        ("users:\n- ssh_authorized_keys: [a]", "user 1 of users has no name"),
    ],
)
def test_what_is_not_understood_is_told(text: str, said: str) -> None:
    assert ["note", said] in calls(text)
    assert not [call for call in calls(text) if call[0] in ("write_file", "set_hostname", "run")]


def test_a_line_that_is_not_understood_spoils_no_other() -> None:
    assert calls("runcmd:\n- {a: b}\n- ls\nhostname: web") == [
        ["note", "line 2 is not understood: - {a: b}"],
        ["set_hostname", "web"],
        ["run", "ls"],
    ]
    quoted = calls('hostname: web\nfoo: "x\n  y"\nruncmd: [ls]')
    assert [call for call in quoted if call[0] != "note"] == [["set_hostname", "web"], ["run", "ls"]]
    assert [call[1][:7] for call in quoted if call[0] == "note"] == ["line 2 ", "line 3 "]
    assert calls("runcmd:\n- ls\n  -l\n  -a\n- id")[-1] == ["run", "id"]


@settings(max_examples=40)
@given(st.lists(TEXT, max_size=5), TEXT)
def test_content_of_files_is_kept_to_the_letter(lines: list[str], quoted: str) -> None:
    lines = ["first", *lines, "last"]
    block = "".join(f"    {line}\n" for line in lines)
    escaped = quoted.replace("'", "''")
    text = f"write_files:\n- path: /a\n  content: |\n{block}runcmd:\n- '{escaped}'\n"
    assert calls(text) == [["write_file", "/a", "0644", "root:root", "\n".join(lines) + "\n"], ["run", quoted]]


@settings(max_examples=40)
@given(st.dictionaries(TEXT, TEXT, max_size=3), TEXT)
def test_metadata_is_read_like_json(keys: dict[str, str], uuid: str) -> None:
    document = json.dumps({"keys": [{"uuid": "other"}, None, []], "public_keys": keys, "n": {}, "uuid": uuid, "x": 1.5})
    assert value(document, "uuid") == f"{uuid}\n"
    assert value(document, "public_keys.*") == "".join(f"{key}\n" for key in keys.values())
