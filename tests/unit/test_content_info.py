# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cloud offers, from answers in the shapes of the services' own API samples."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._content_info import read_content, read_files
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError
from ansible_collections.lifeboat.cloud.plugins.modules import content_info
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

VCPU = {"total": 2, "reserved": 0, "allocation_ratio": 4.0, "min_unit": 1, "max_unit": 2, "step_size": 1}
MEMORY = {"total": 2048, "reserved": 512, "allocation_ratio": 1.0, "min_unit": 1, "max_unit": 2048, "step_size": 1}


@dataclass
class Answer:
    """A response of requests, as far as it is looked at."""

    status_code: int
    body: t.Any
    url: str = "url"
    request: t.Any = field(default_factory=lambda: SimpleNamespace(method="GET"))
    reason: str = "refused"
    text: str = ""

    def json(self) -> t.Any:
        return self.body


class Service:
    """Answers by path; a list of answers is given page by page, and what is unknown is 404."""

    def __init__(self, **answers: t.Any) -> None:
        self.answers = {f"/{path.replace('__', '/')}": answer for path, answer in answers.items()}
        self.asked: list[tuple[str, dict[str, str]]] = []

    def get(self, url: str, **options: t.Any) -> Answer:
        self.asked.append((url, options["params"]))
        known = self.answers.get(url.replace("-", "_").replace(".json", ""))
        if known is None:
            return Answer(404, {"itemNotFound": {"code": 404, "message": "no such thing"}})
        return Answer(200, known.pop(0) if isinstance(known, list) else known)


def image(number: int, **values: t.Any) -> dict[str, t.Any]:
    own = {"id": str(number), "name": "guest", "disk_format": "raw", "visibility": "public", "status": "active"}
    return own | {"size": 3, "protected": False, "os_hash_algo": "sha512", "os_hash_value": "ab", "tags": []} | values


@pytest.fixture
def cloud() -> t.Any:
    project = {"id": "p1", "name": "demo", "domain_id": "default", "description": "d", "enabled": True, "tags": []}
    hypervisor = {
        "id": "h1",
        "hypervisor_version": 10000000,
        "hypervisor_hostname": "cmp1.example.org",
        "hypervisor_type": "QEMU",
        "state": "up",
        "status": "enabled",
        "service": {"host": "cmp1", "id": "s1", "disabled_reason": None},
    }
    assignments = [
        {"role": {"name": "member"}, "user": {"id": "u1"}, "scope": {"project": {"id": "p1", "name": "demo"}}},
        {"role": {"name": "admin"}, "user": {"id": "u1"}, "scope": {"system": {"all": True}}},
        {"role": {"name": "admin"}, "group": {"id": "g1"}, "scope": {"project": {"id": "p1", "name": "demo"}}},
    ]
    flavor = {"name": "small", "vcpus": 1, "ram": 128, "disk": 1, "os-flavor-access:is_public": True, "extra_specs": {}}
    aggregate = {
        "name": "rack1",
        "availability_zone": "east",
        "hosts": ["cmp2", "cmp1"],
        "metadata": {"availability_zone": "east", "ssd": "1"},
    }
    subnet = {
        "name": "s",
        "network_id": "n1",
        "cidr": "192.0.2.0/24",
        "gateway_ip": "192.0.2.1",
        "allocation_pools": [{"start": "192.0.2.2", "end": "192.0.2.9"}],
        "enable_dhcp": True,
        "dns_nameservers": [],
    }
    network = {"id": "n1", "name": "n", "shared": False, "router:external": True, "provider:network_type": "flat"}
    pages = [{"images": [image(1)], "next": "/v2/images?marker=1&limit=1"}, {"images": [image(2, os_distro="x")]}]
    kind = {"name": "ceph", "is_public": True, "description": None, "extra_specs": {"volume_backend_name": "ceph"}}
    return SimpleNamespace(
        has_service=lambda _name: True,
        identity=Service(
            projects={"projects": [project]},
            users={"users": [{"id": "u1", "name": "demo", "enabled": True}]},
            roles={"roles": [{"name": "member"}, {"name": "admin"}]},
            role_assignments={"role_assignments": assignments},
        ),
        compute=Service(
            flavors__detail={"flavors": [flavor]},
            os_aggregates={"aggregates": [aggregate]},
            os_hypervisors__detail={"hypervisors": [hypervisor]},
            servers={"servers": []},
            os_quota_sets__p1__detail={"quota_set": {"id": "p1", "cores": {"limit": 20, "in_use": 6, "reserved": 0}}},
        ),
        network=Service(
            networks={"networks": [network]},
            subnets={"subnets": [subnet]},
            quotas__p1__details={"quota": {"floatingip": {"limit": 50, "used": 1, "reserved": 0}}},
        ),
        image=Service(images=pages),
        block_storage=Service(
            types={"volume_types": [kind]},
            os_quota_sets__p1={"quota_set": {"id": "p1", "volumes": {"limit": 10, "in_use": 2, "reserved": 0}}},
        ),
        placement=Service(
            resource_providers={"resource_providers": [{"uuid": "h1", "name": "cmp1.example.org"}]},
            resource_providers__h1__inventories={"inventories": {"VCPU": VCPU, "MEMORY_MB": MEMORY}},
            resource_providers__h1__usages={"usages": {"VCPU": 2}},
            resource_providers__h1__aggregates={"aggregates": []},
        ),
    )


def test_everything_is_read_in_the_words_of_the_inventory(cloud: t.Any) -> None:
    found = read_content(cloud, ["demo", "gone"])
    assert found["projects"] == {"demo": {"id": "p1", "description": "d", "enabled": True}}
    assert found["users"] == {"demo": {"id": "u1", "email": "", "enabled": True, "roles": {"demo": ["member"]}}}
    assert found["roles"] == ["admin", "member"]
    assert found["flavors"]["small"] == {"vcpus": 1, "ram_mib": 128, "disk_gib": 1, "public": True, "properties": {}}
    assert found["aggregates"] == {"rack1": {"zone": "east", "hosts": ["cmp1", "cmp2"], "metadata": {"ssd": "1"}}}
    assert found["networks"]["n"][0]["subnets"][0]["pools"] == [["192.0.2.2", "192.0.2.9"]]
    assert found["volume_types"]["ceph"]["description"] == ""
    assert found["quotas"] == {
        "demo": {
            "cores": {"limit": 20, "used": 6},
            "floating_ips": {"limit": 50, "used": 1},
            "volumes": {"limit": 10, "used": 2},
        }
    }


def test_images_come_page_by_page_and_may_share_a_name(cloud: t.Any) -> None:
    found = read_content(cloud, [])["images"]["guest"]
    assert [(each["id"], each["properties"]) for each in found] == [("1", {}), ("2", {"os_distro": "x"})]
    assert cloud.image.asked[1] == ("/images", {"marker": "1", "limit": "1"})


def test_the_largest_server_is_that_of_an_empty_hypervisor(cloud: t.Any) -> None:
    largest = {"name": "cmp1.example.org", "vcpus": 2, "ram_mib": 1536, "disk_gib": None}
    assert read_content(cloud, [])["hypervisors"] == [largest]


def test_a_cloud_without_block_storage_has_no_volume_types(cloud: t.Any) -> None:
    cloud.has_service = lambda name: name != "block-storage"
    found = read_content(cloud, ["demo"])
    assert found["volume_types"] is None
    assert "volumes" not in found["quotas"]["demo"]


def test_a_refusal_is_an_error(cloud: t.Any) -> None:
    del cloud.identity.answers["/users"]
    with pytest.raises(RefusalError, match="no such thing"):
        read_content(cloud, [])


def test_files_are_measured_and_a_missing_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"abc")
    sums = {name: hashlib.new(name, b"abc").hexdigest() for name in ("sha256", "sha512")}
    assert read_files([str(path), "/nowhere"]) == {str(path): {"size": 3, **sums}, "/nowhere": None}


def test_the_module_returns_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cloud: t.Any) -> None:
    monkeypatch.setattr(content_info, "opened", lambda _params: contextlib.nullcontext(cloud))
    file = tmp_path / "guest.qcow2"
    file.write_bytes(b"image")
    told = run_module(content_info.main, cloud="admin", files=[str(file), "/absent"])
    assert told["changed"] is False
    assert told["content"]["flavors"]["small"]["vcpus"] == 1
    assert told["files"][str(file)]["sha256"] == hashlib.sha256(b"image").hexdigest()
    assert told["files"]["/absent"] is None
