# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Ceph cluster that answers as a recorded one did, and keeps what it is told as its monitors would.

fixtures/ceph/cluster.json has the answers of Ceph 18.2.7 by command, from one monitor, one manager and three OSDs on
three hosts. Only the key in it is made up.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import json
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _ceph_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

RECORDED = json.loads((Path(__file__).parent / "fixtures" / "ceph" / "cluster.json").read_text(encoding="utf-8"))
Answer = tuple[int, bytes, str]
Json = dict[str, t.Any]


def refusal(number: int, message: str) -> Answer:
    return -number, b"", message


class RecordedCluster:
    """A MonitorConnection. ``changes`` are the commands that changed something, ``failures`` answers by command."""

    def __init__(self) -> None:
        self.answers: Json = copy.deepcopy(RECORDED)
        self.leader_settings: dict[str, str] = dict(self.answers["leader settings"])
        self.changes: list[Json] = []
        self.failures: dict[str, Answer] = {}

    @property
    def ceph(self) -> Ceph:
        return Ceph(self, 30)

    def pool(self, name: str) -> Json:
        return next(pool for pool in self.answers["osd pool ls"] if pool["pool_name"] == name)

    def mon_command(self, cmd: str, inbuf: bytes, timeout: int = 0, target: str | None = None) -> Answer:
        command = json.loads(cmd)
        prefix = command.pop("prefix")
        assert command.pop("format") == "json"
        if prefix in self.failures:
            return self.failures[prefix]
        name = prefix.replace(" ", "_").replace("-", "_")
        reading = getattr(self, f"read_{name}", None)
        if reading:
            return t.cast("Answer", reading(target, **command))
        if prefix in self.answers:
            return self._said(self.answers[prefix])
        changing = getattr(self, f"do_{name}", None)
        if not changing:
            return refusal(errno.EINVAL, "command not known")
        self.changes.append({"prefix": prefix, **command})
        return changing(**command) or (0, b"", "done")

    @staticmethod
    def _said(answer: object) -> Answer:
        return 0, json.dumps(answer).encode(), ""

    def read_config_get(self, target: str | None, var: str) -> Answer:
        assert target == self.answers["quorum_status"]["quorum_leader_name"]
        return self._said({var: self.leader_settings[var]})

    def read_config_help(self, target: str | None, key: str) -> Answer:
        described = self.answers["options"].get(key)
        return self._said(described) if described else refusal(errno.ENOENT, f"configuration option '{key}' not found")

    def read_auth_get(self, target: str | None, entity: str) -> Answer:
        found = [each for each in self.answers["entities"] if each["entity"] == entity]
        return self._said(found) if found else refusal(errno.ENOENT, f"failed to find {entity} in keyring")

    def do_osd_pool_create(self, pool: str, size: int, rule: str, **options: t.Any) -> None:
        template = self.answers["osd pool ls"][0]
        rules = {each["rule_name"]: each["rule_id"] for each in self.answers["osd crush rule dump"]}
        pg_num = options.get("pg_num", 32)
        made = {
            "pool_id": 1 + max(each["pool_id"] for each in self.answers["osd pool ls"]),
            "pool_name": pool,
            "size": size,
            "min_size": self._default_min_size(size),
            "pg_num": pg_num,
            "pg_num_target": pg_num,
            "pg_autoscale_mode": options.get("autoscale_mode", "on"),
            "crush_rule": rules[rule],
            "application_metadata": {},
        }
        self.answers["osd pool ls"].append({**copy.deepcopy(template), **made})

    def do_osd_pool_set(self, pool: str, var: str, val: str, **options: t.Any) -> None:
        shown = self.pool(pool)
        if var == "crush_rule":
            rules = {each["rule_name"]: each["rule_id"] for each in self.answers["osd crush rule dump"]}
            shown[var] = rules[val]
        elif var == "pg_autoscale_mode":
            shown[var] = val
        else:
            shown[{"pg_num": "pg_num_target"}.get(var, var)] = int(val)
        if var == "size":
            shown["min_size"] = self._default_min_size(int(val))

    def do_osd_pool_set_quota(self, pool: str, field: str, val: str) -> None:
        self.pool(pool)[f"quota_{field}"] = int(val)

    def do_osd_pool_application_enable(self, pool: str, app: str, yes_i_really_mean_it: bool = False) -> Answer | None:
        applications = self.pool(pool)["application_metadata"]
        if applications and not yes_i_really_mean_it:
            return refusal(errno.EPERM, "Are you SURE?")
        applications[app] = {}
        return None

    def do_osd_pool_rm(self, pool: str, pool2: str, yes_i_really_really_mean_it: bool) -> None:
        assert pool == pool2 and yes_i_really_really_mean_it
        self.answers["osd pool ls"].remove(self.pool(pool))

    def do_config_set(self, who: str, name: str, value: str) -> None:
        self.do_config_rm(who, name)
        section, _slash, mask = who.partition("/")
        row = {"section": section, "name": name, "value": value, "mask": mask, "can_update_at_runtime": True}
        self.answers["config dump"].append(row)

    def do_config_rm(self, who: str, name: str) -> None:
        rows = self.answers["config dump"]
        rows[:] = [row for row in rows if (f"{row['section']}/{row['mask']}".rstrip("/"), row["name"]) != (who, name)]

    def do_osd_set(self, key: str) -> None:
        flags = set(self.answers["osd dump"]["flags"].split(",")) | self._kept(key)
        self.answers["osd dump"]["flags"] = ",".join(sorted(flags))

    def do_osd_unset(self, key: str) -> None:
        flags = set(self.answers["osd dump"]["flags"].split(",")) - self._kept(key)
        self.answers["osd dump"]["flags"] = ",".join(sorted(flags))

    def do_auth_get_or_create(self, entity: str, caps: list[str]) -> None:
        pairs = dict(zip(caps[::2], caps[1::2], strict=True))
        key = "AQAmade0bythemonitors" + "A" * 17 + "=="
        self.answers["entities"].append({"entity": entity, "key": key, "caps": pairs})

    def do_auth_caps(self, entity: str, caps: list[str]) -> None:
        (found,) = [each for each in self.answers["entities"] if each["entity"] == entity]
        found["caps"] = dict(zip(caps[::2], caps[1::2], strict=True))

    def do_auth_rm(self, entity: str) -> None:
        self.answers["entities"] = [each for each in self.answers["entities"] if each["entity"] != entity]

    @staticmethod
    def _kept(key: str) -> set[str]:
        return {"pauserd", "pausewr"} if key == "pause" else {key}

    def _default_min_size(self, size: int) -> int:
        default = int(self.leader_settings["osd_pool_default_min_size"])
        return min(default, size) if default else size - size // 2


Run = Callable[..., Json]


def runner(monkeypatch: pytest.MonkeyPatch, main: Callable[[], None], connection: object) -> Run:
    """The module with ``connection`` in the place of librados."""
    monkeypatch.setattr(_ceph_client, "RADOS_IMPORT_ERROR", None)
    monkeypatch.setattr(_ceph_client, "connected", lambda access: contextlib.nullcontext(connection))
    return lambda check=False, **options: run_module(main, check, **options)
