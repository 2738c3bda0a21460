# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""How every module that talks to OpenStack authenticates, and reads and writes over the APIs of its services.

keystoneauth, the session layer of openstacksdk, is imported at once; openstacksdk itself, which takes three times as
long, only where its configuration files or its discovery of endpoints are needed.
"""

from __future__ import annotations

import contextlib
import sys
import time
import typing as t
from importlib.util import find_spec
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

with contextlib.suppress(ImportError):  # explained_errors says so
    from keystoneauth1 import exceptions as keystone_exceptions
    from keystoneauth1 import session
    from keystoneauth1.identity import v3

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

OPENSTACK_OPTIONS: dict[str, dict[str, t.Any]] = {
    "cloud": {"type": "str"},
    "auth": {
        "type": "dict",
        "options": {
            "auth_url": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "project_name": {"type": "str", "required": True},
            "user_domain_name": {"type": "str", "default": "Default"},
            "project_domain_name": {"type": "str", "default": "Default"},
        },
    },
    "region_name": {"type": "str"},
    "interface": {"type": "str", "choices": ["public", "internal", "admin"]},
    "validate_certs": {"type": "bool"},
    "ca_cert": {"type": "path", "aliases": ["ca_file"]},
    "timeout": {"type": "float", "default": 30.0},
}
OPENSTACK_RULES: dict[str, t.Any] = {"mutually_exclusive": [("cloud", "auth")], "required_one_of": [("cloud", "auth")]}
# 503 is a load balancer without a backend, so nothing was done, and whatever is written here may be written twice.
_RETRIES = {"connect_retries": 2, "status_code_retries": 4, "retriable_status_codes": [503]}

Json = dict[str, t.Any]
Answer = t.TypeVar("Answer")


class Service(t.Protocol):
    """The API of one service, as openstacksdk's proxies offer it."""

    def get(self, url: str, **options: t.Any) -> t.Any:
        """The response to a GET; ``options`` are keystoneauth's."""

    def put(self, url: str, **options: t.Any) -> t.Any:
        """The response to a PUT."""

    def post(self, url: str, **options: t.Any) -> t.Any:
        """The response to a POST."""

    def delete(self, url: str, **options: t.Any) -> t.Any:
        """The response to a DELETE."""


class Cloud(t.Protocol):
    """What is used of openstack.connection.Connection. Reading an attribute finds the service in the catalog."""

    @property
    def compute(self) -> Service: ...

    @property
    def placement(self) -> Service: ...

    @property
    def network(self) -> Service: ...

    @property
    def block_storage(self) -> Service: ...

    @property
    def image(self) -> Service: ...

    def has_service(self, service_type: str) -> bool: ...


class RefusalError(LifeboatError):
    """An answer of a service with an error status."""

    def __init__(self, method: str, url: str, status: int, message: str) -> None:
        remedy = "Look at the service's log."
        if status == 403:
            remedy = "Authenticate as a user who may do this, usually one with the role admin."
        super().__init__(f"{method} {url}", f"status {status}: {message}", "a call that succeeds", remedy)
        self.status = status


def authority(options: Mapping[str, t.Any]) -> str:
    """What the options authenticate against, for messages; LifeboatError where they are there but empty."""
    if options["cloud"]:
        return f"cloud {options['cloud']}"
    if options["auth"]:
        return f"Keystone at {options['auth']['auth_url']}"
    raise LifeboatError("authentication", "neither cloud nor auth", "one of them", "Set one of the two options.")


@contextlib.contextmanager
def opened(options: Mapping[str, t.Any]) -> Iterator[Cloud]:
    """The cloud after OPENSTACK_OPTIONS; every error met while it is used becomes a LifeboatError."""
    with explained_errors(authority(options)):
        yield connect(options)


@contextlib.contextmanager
def opened_session(options: Mapping[str, t.Any]) -> Iterator[t.Any]:
    """As opened, but the session alone, where only Keystone is asked."""
    with explained_errors(authority(options)):
        yield session_of(options)


def session_of(options: Mapping[str, t.Any]) -> t.Any:
    """A keystoneauth session after OPENSTACK_OPTIONS; nothing is asked yet."""
    if options["cloud"]:
        return _region_of(options).get_session()
    verify = options["validate_certs"] is not False and (options["ca_cert"] or True)
    return session.Session(auth=v3.Password(**options["auth"]), verify=verify, timeout=options["timeout"])


def connect(options: Mapping[str, t.Any]) -> Cloud:
    """openstacksdk's connection after OPENSTACK_OPTIONS; nothing is asked yet."""
    _require("openstack")
    from openstack.connection import Connection  # noqa: PLC0415 (see the top of the file)

    if options["cloud"]:
        connection: Cloud = Connection(config=_region_of(options))
        return connection
    where = {name: options[name] for name in ("region_name", "interface") if options[name]}
    connection = Connection(session=session_of(options), **where, **_RETRIES)
    return connection


def _region_of(options: Mapping[str, t.Any]) -> t.Any:
    _require("openstack")
    from openstack.config import OpenStackConfig  # noqa: PLC0415 (see the top of the file)

    given = {
        "region_name": options["region_name"],
        "interface": options["interface"],
        "verify": options["validate_certs"],
        "cacert": options["ca_cert"],
        "api_timeout": options["timeout"],
    }
    stated = {name: value for name, value in given.items() if value is not None}
    return OpenStackConfig().get_one(cloud=options["cloud"], **stated, **_RETRIES)


def _require(package: str) -> None:
    if find_spec(package) is None:
        remedy = "Install openstacksdk (Debian package python3-openstacksdk), or set ansible_python_interpreter."
        raise LifeboatError(f"Python {sys.executable}", f"no {package}", "openstacksdk 4.0 or later", remedy)


@contextlib.contextmanager
def explained_errors(thing: str) -> Iterator[None]:
    """Turn every error of authentication, catalog and connection into a LifeboatError about ``thing``."""
    _require("keystoneauth1")
    try:
        yield
    except keystone_exceptions.Unauthorized as error:
        raise LifeboatError(
            thing, str(error), "a token for the given user", "Correct the options under auth."
        ) from error
    except keystone_exceptions.SSLError as error:
        remedy = "Give the authority's certificate as ca_cert."
        raise LifeboatError(thing, str(error), "a certificate that ca_cert vouches for", remedy) from error
    except keystone_exceptions.ConnectFailure as error:
        remedy = "Look at the load balancer's backends and at the service's log."
        raise LifeboatError(thing, str(error), "an answer", remedy) from error
    except keystone_exceptions.CatalogException as error:
        remedy = "Register the service, or correct region_name or interface."
        raise LifeboatError(thing, str(error), "an endpoint in the catalog", remedy) from error
    except keystone_exceptions.ClientException as error:
        raise LifeboatError(thing, str(error), "a call that succeeds", "Look at the service's log.") from error
    except Exception as error:
        if type(error).__module__ != "openstack.exceptions":
            raise
        remedy = "Correct the cloud's configuration, region_name or interface, or register the service."
        raise LifeboatError(thing, str(error), "a cloud that is configured and has the service", remedy) from error


def read(service: Service, url: str, microversion: str | None = None, **query: str) -> Json:
    """The body of the answer to a GET; RefusalError for an error status."""
    return _body_of(service.get(url, microversion=microversion, params=query))


def read_list(service: Service, url: str, key: str, microversion: str | None = None, **query: str) -> list[Json]:
    """All entries under ``key``, page by page."""
    entries: list[Json] = []
    while True:
        page = read(service, url, microversion, **query)
        entries += page[key]
        following = [link["href"] for link in page.get(f"{key}_links", ()) if link["rel"] == "next"]
        if not following:
            return entries
        # Only the query is taken: behind a load balancer the link's scheme and host may be another's.
        query = dict(parse_qsl(urlsplit(following[0]).query))


def write(service: Service, url: str, body: Json, microversion: str | None = None) -> Json:
    """The body of the answer to a PUT; RefusalError for an error status."""
    return _body_of(service.put(url, microversion=microversion, json=body))


def make(service: Service, url: str, body: Json, microversion: str | None = None) -> Json:
    """The body of the answer to a POST that makes something; RefusalError for an error status."""
    return _body_of(_post(service, url, body, microversion))


def act(service: Service, url: str, action: Json, microversion: str | None = None) -> None:
    """Ask for ``action`` by a POST whose answer says only that it was taken; RefusalError for an error status."""
    refuse_error(_post(service, url, action, microversion))


def _post(service: Service, url: str, body: Json, microversion: str | None) -> t.Any:
    # Where no answer came it may have been taken all the same, and would be asked for twice.
    return service.post(url, microversion=microversion, json=body, connect_retries=0)


def remove(service: Service, url: str, microversion: str | None = None) -> None:
    """Ask for a DELETE; RefusalError for an error status."""
    refuse_error(service.delete(url, microversion=microversion))


def refuse_error(response: t.Any) -> None:
    """RefusalError for an error status."""
    if response.status_code >= 400:
        raise RefusalError(response.request.method, response.url, response.status_code, _message_of(response))


def no_answer(error: Exception) -> bool:
    """Whether a service could not tell just now: it answered with an error of its own, or not at all."""
    if isinstance(error, RefusalError):
        return error.status >= 500
    # Where there is no answer within the time, that is no ConnectFailure but its sibling.
    silent = (keystone_exceptions.RetriableConnectionFailure, keystone_exceptions.UnknownConnectionError)
    # Keystone's, when it is asked for a token.
    broken = isinstance(error, keystone_exceptions.HttpError) and error.http_status >= 500
    return broken or isinstance(error, silent)


def asked_again(ask: Callable[[], Answer], grace_s: float, pause_s: float) -> Answer:
    """What ``ask`` returns, asked again for up to ``grace_s`` while a service cannot tell."""
    end = time.monotonic() + grace_s
    while True:
        try:
            return ask()
        except Exception as error:
            if not no_answer(error) or time.monotonic() >= end:
                raise
        time.sleep(pause_s)


def _body_of(response: t.Any) -> Json:
    refuse_error(response)
    body: Json = response.json()
    return body


def _message_of(response: t.Any) -> str:
    """What the service says of its refusal: Nova, Cinder and Neutron in ``message``, Placement in ``detail``.

    Glance has ``message`` on top, with marks of HTML in it.
    """
    try:
        body = response.json()
    except ValueError:
        return str(response.text or response.reason)
    if isinstance(body.get("message"), str):
        return " ".join(body["message"].replace("<br />", " ").split())
    parts = [part for value in body.values() for part in (value if isinstance(value, list) else [value])]
    said = [part.get("message") or part.get("detail") for part in parts if isinstance(part, dict)]
    return "; ".join(" ".join(str(each).split()) for each in said if each) or str(response.reason)
