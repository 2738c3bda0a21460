# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cloud says of itself, and how it is judged."""

from __future__ import annotations

import contextlib
import copy
import typing as t
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.cloud_findings import FilterModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._cloud_services import CloudService, read_services
from ansible_collections.lifeboat.cloud.plugins.modules import cloud_service_info
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

cloud_findings = FilterModule().filters()["cloud_findings"]

EXPECTED = {"nova-scheduler": ["ctl1", "ctl2"], "cinder-volume": ["ctl1"]}
WARNED = """
+--------------------------------------------+
| Upgrade Check Results                      |
+--------------------------------------------+
| Check: Worker counts configured            |
| Result: Warning                            |
| Details: The default number of workers has |
|   changed.                                 |
+--------------------------------------------+
| Check: Policy File JSON to YAML Migration  |
| Result: Success                            |
| Details: None                              |
+--------------------------------------------+
"""


def service(binary: str, host: str, **values: t.Any) -> dict[str, t.Any]:
    return {"binary": binary, "host": host, "name": host, "up": True, "enabled": True, "reason": "", **values}


SEEN: dict[str, t.Any] = {
    "services": [
        service("nova-scheduler", "ctl1"),
        service("nova-scheduler", "ctl2"),
        service("cinder-volume", "ctl1", name="ctl1@ceph"),
    ],
    "ceph": {
        "health": {"status": "HEALTH_OK", "checks": []},
        "monitors": {"names": ["s1", "s2"], "quorum": ["s1", "s2"]},
    },
    "upgrade_checks": [{"service": "nova", "rc": 0, "stdout": WARNED}],
}


def found(seen: dict[str, t.Any]) -> list[tuple[str, str | None, str]]:
    findings = cloud_findings(seen, EXPECTED)
    assert all(finding["expected"] and finding["remedy"] for finding in findings)
    return [(finding["component"], finding["host"], finding["found"]) for finding in findings]


def test_a_cloud_in_good_order() -> None:
    assert found(SEEN) == []
    assert found({"services": SEEN["services"], "ceph": None}) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda seen: seen["services"].pop(0), ("nova-scheduler", "ctl1", "that it has never reported")),
        (lambda seen: seen["services"][1].update(up=False), ("nova-scheduler", "ctl2", "down")),
        (lambda seen: seen["services"][2].update(up=False), ("cinder-volume", "ctl1", "down (ctl1@ceph)")),
        (
            lambda seen: seen["services"][1].update(enabled=False, reason="disk"),
            ("nova-scheduler", "ctl2", "disabled: disk"),
        ),
        (
            lambda seen: seen["services"].append(service("nova-compute", "gone", up=False)),
            ("nova-compute", "gone", "down"),
        ),
        (
            lambda seen: seen["ceph"]["health"].update(
                status="HEALTH_WARN", checks=[{"code": "OSD_DOWN", "summary": "1 osds down", "muted": False}]
            ),
            ("ceph", None, "HEALTH_WARN (OSD_DOWN: 1 osds down)"),
        ),
        (
            lambda seen: seen["ceph"]["health"].update(checks=[{"code": "OLD", "summary": "old", "muted": True}]),
            ("ceph", None, "muted OLD"),
        ),
        (lambda seen: seen["ceph"]["monitors"]["quorum"].pop(), ("ceph", None, "s2 outside the quorum")),
        (
            lambda seen: seen["upgrade_checks"][0].update(rc=1),
            (
                "nova",
                None,
                "warnings of nova-status upgrade check: Worker counts configured: "
                "The default number of workers has changed.",
            ),
        ),
        (
            lambda seen: seen["upgrade_checks"][0].update(rc=127, stdout=""),
            ("nova", None, "exit code 127 of nova-status upgrade check"),
        ),
    ],
)
def test_each_fault_is_one_finding(
    change: t.Callable[[dict[str, t.Any]], object], said: tuple[str, str | None, str]
) -> None:
    seen = copy.deepcopy(SEEN)
    change(seen)
    assert found(seen) == [said]


def test_facts_of_another_shape_are_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="another shape"):
        cloud_findings({"services": [{"binary": "x"}]}, EXPECTED)


class Answer:
    """One API whose only answer is ``body``, at the one path that it knows."""

    def __init__(self, path: str, body: dict[str, t.Any]) -> None:
        self.path = path
        self.body = body

    def get(self, url: str, **_options: object) -> object:
        assert url == self.path
        return SimpleNamespace(status_code=200, json=lambda: self.body)


def test_services_of_all_apis_have_one_form() -> None:
    compute = {
        "binary": "nova-compute",
        "host": "cmp1",
        "state": "down",
        "status": "disabled",
        "disabled_reason": "disk",
    }
    volume = {"binary": "cinder-volume", "host": "ctl1@ceph", "state": "up", "status": "enabled"}
    agent = {"binary": "ovn-controller", "host": "cmp1", "alive": True, "admin_state_up": True}
    engines = [
        {"binary": "heat-engine", "host": "ctl1", "status": "down"},
        {"binary": "heat-engine", "host": "ctl1", "status": "up"},
        {"binary": "heat-engine", "host": "ctl2", "status": "down"},
    ]
    cloud = SimpleNamespace(
        compute=Answer("/os-services", {"services": [compute]}),
        block_storage=Answer("/os-services", {"services": [volume]}),
        network=Answer("/agents", {"agents": [agent]}),
        orchestration=Answer("/services", {"services": engines}),
    )
    assert read_services(cloud, ["volume", "compute", "network", "orchestration"]) == [
        CloudService("compute", "nova-compute", "cmp1", "cmp1", up=False, enabled=False, reason="disk"),
        CloudService("network", "ovn-controller", "cmp1", "cmp1", up=True, enabled=True, reason=""),
        CloudService("orchestration", "heat-engine", "ctl1", "ctl1", up=True, enabled=True, reason=""),
        CloudService("orchestration", "heat-engine", "ctl2", "ctl2", up=False, enabled=True, reason=""),
        CloudService("volume", "cinder-volume", "ctl1", "ctl1@ceph", up=True, enabled=True, reason=""),
    ]


def test_the_module_asks_only_the_apis_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = {"binary": "ovn-controller", "host": "cmp1", "alive": False, "admin_state_up": True}
    # An API that is not there fails the test when it is asked.
    cloud = SimpleNamespace(network=Answer("/agents", {"agents": [agent]}))
    monkeypatch.setattr(cloud_service_info, "opened", lambda _options: contextlib.nullcontext(cloud))
    done = run_module(cloud_service_info.main, cloud="admin", apis=["network"])
    assert done["services"] == [service("ovn-controller", "cmp1", up=False) | {"api": "network"}]
