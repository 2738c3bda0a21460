# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import refuses before anything is made, and how it asks the guest in the end."""

from __future__ import annotations

import datetime
import ipaddress
import socketserver
import ssl
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml
from ansible_collections.lifeboat.cloud.tests.unit.import_role import Ran, run
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUTH = {"auth_url": "https://192.0.2.1:5000/v3", "username": "shop", "password": "secret", "project_name": "shop"}


def accounts(tmp_path: Path, auth_url: str = AUTH["auth_url"]) -> str:
    """A clouds.yaml of somebody's own."""
    told = {
        "clouds": {"shop": {"auth": AUTH | {"auth_url": auth_url}}, "token": {"auth": {"auth_url": "x", "token": "y"}}}
    }
    path = tmp_path / "accounts.yml"
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    return str(path)


def asked(tmp_path: Path, domains: list[dict[str, t.Any]] | None = None, **given: object) -> Ran:
    """Judge what the operator asks for."""
    return run(
        tmp_path,
        "asked",
        finds="{'answer': _machine_import_answer, 'account': _machine_import_account}",
        **{
            "machine_import_cloud": "shop",
            "machine_import_clouds_file": accounts(tmp_path),
            "_machine_import_read": {"machine": {"name": "web1"}},
            "_machine_import_domain": {"domains": domains or []},
            **given,
        },
    )


def test_an_answer_may_be_told_in_part_and_the_account_is_one_of_the_file(tmp_path: Path) -> None:
    ran = asked(tmp_path, [{"name": "web1", "persistent": True}], machine_import_answer={"path": "/"})
    assert ran.failure == ""
    assert ran.found == {"answer": {"port": 22, "path": "/"}, "account": {"region_name": "RegionOne", "auth": AUTH}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"machine_import_answer": {"port": 0}}, "found machine_import_answer with port 0 and path"),
        ({"machine_import_answer": {"path": "state"}}, 'with port 22 and path "state"'),
        ({"machine_import_cloud": "token"}, "found auth with auth_url, token, expected auth_url, username"),
        ({"machine_import_cloud": "absent"}, "accounts.yml: found auth with nothing, expected"),
        ({"domains": [{"name": "web1", "persistent": False}]}, "found a domain that libvirt has no definition of"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, given: dict[str, t.Any], words: str) -> None:
    assert words in asked(tmp_path, **given).failure


def test_check_mode_says_what_it_cannot_read_without(tmp_path: Path) -> None:
    ran = run(
        tmp_path,
        "plan",
        "--check",
        facts={"cloud_host": {"packages": {"util-linux": "2.41"}}},
        machine_import_source="/srv/import/web1.ova",
        _machine_import_converted="",
    )
    assert ran.failure.startswith("host web-host: found no qemu-utils, expected what reads the machine. Install it")


def test_a_machine_that_is_converted_is_judged_by_what_it_becomes(tmp_path: Path) -> None:
    source = tmp_path / "101.conf"
    source.write_text("name: web1\nscsi0: local-lvm:vm-101-disk-0,size=1G\n", encoding="utf-8")
    ran = run(
        tmp_path,
        "plan",
        # The cloud is asked afterwards, and there is none.
        files={"asked": []},
        finds="_machine_import_read",
        machine_import_source=str(source),
        machine_import_convert=True,
        _machine_import_converted="",
    )
    assert ran.found["needs"]["properties"]["hw_disk_bus"] == "virtio"
    assert not [each for each in ran.found["findings"] if "ahci" in each["says"]]


class Mute(socketserver.StreamRequestHandler):
    """Takes a connection, and never says anything."""

    def handle(self) -> None:
        t.cast("Counting", self.server).requests += self.rfile.readline() != b""
        self.rfile.read()


class Counting(socketserver.ThreadingTCPServer):
    daemon_threads, requests = True, 0


def test_port_and_page_have_one_time_together(tmp_path: Path) -> None:
    with Counting(("127.0.0.1", 0), Mute) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ran = run(
            tmp_path,
            "answer",
            _machine_import_server={"address": "127.0.0.1"},
            _machine_import_plan={"server": "web1"},
            _machine_import_steps=[],
            machine_import_answer={"port": server.server_address[1], "path": "/"},
            machine_import_answer_timeout=3,
        )
        server.shutdown()
    # The first one alone takes longer than that.
    assert server.requests == 1
    assert "server web1: found" in ran.failure and "within 3 s; expected the page" in ran.failure


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path in ("/v3", "/healthcheck") else 404)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None: ...


@pytest.fixture
def api(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of an API with a certificate of its own, and that certificate."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    kept, both = tmp_path / "ca.crt", tmp_path / "both.pem"
    kept.write_bytes(certificate.public_bytes(pem))
    form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    both.write_bytes(key.private_bytes(pem, form, secret) + kept.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    server = HTTPServer(("127.0.0.1", 0), Healthy)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}", kept
        server.shutdown()


@pytest.mark.parametrize("trusted", [True, False])
def test_the_upload_is_tried_from_the_importing_host_before_it_is_due(
    tmp_path: Path, api: tuple[str, Path], trusted: bool
) -> None:
    url, certificate = api
    ran = run(
        tmp_path,
        "reach",
        "--check",
        cloud_tls_directory=str(certificate.parent if trusted else tmp_path / "absent"),
        machine_import_cloud="shop",
        machine_import_clouds_file=accounts(tmp_path, f"{url}/v3"),
        cloud_vip="127.0.0.1",
        glance_port=url.rpartition(":")[2],
    )
    assert (ran.failure == "") == trusted
    if not trusted:
        assert ran.failure.startswith("host web-host: found ") and f"from {url}/healthcheck; expected" in ran.failure
        assert "machine_import_host" in ran.failure
