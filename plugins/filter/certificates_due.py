# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts need a new certificate."""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._durations import seconds
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

DOCUMENTATION = r"""
name: certificates_due
short_description: Tell which hosts need a new certificate
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads certificates on the control node, all in one process.
  - A certificate is due when there is none, when it cannot be read, when it is for other names, or when it ends soon.
requirements:
  - cryptography 43 or later on the control node
options:
  _input:
    description: Host to the names that its certificate shall have, such as C(DNS:ctl1) and C(IP:10.0.0.11).
    type: dict
    required: true
  directory:
    description: Where the certificates are, each as C(<host>.crt).
    type: path
    required: true
  renewal:
    description: How long before its end a certificate is due, such as V(30d).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Say whose certificate is due
  ansible.builtin.debug:
    msg: "{{ names | lifeboat.cloud.certificates_due(directory='/etc/pki/cloud', renewal='30d') }}"
  vars:
    names: {ctl1: [DNS:ctl1, IP:10.0.0.11]}
"""

RETURN = r"""
_value:
  description: The hosts whose certificate is due, in the order given.
  type: list
  elements: str
"""


def certificates_due(names: dict[str, list[str]], directory: str, renewal: str) -> list[str]:
    """The hosts whose certificate is due; AnsibleFilterError for a renewal that is no duration."""
    try:
        least = timedelta(seconds=seconds(renewal, "renewal of certificates"))
    except LifeboatError as error:
        raise AnsibleFilterError(str(error)) from error
    needed_until = datetime.now(UTC) + least
    return [host for host in names if _is_due(Path(directory) / f"{host}.crt", set(names[host]), needed_until)]


def _is_due(path: Path, names: set[str], needed_until: datetime) -> bool:
    # Ansible loads every filter in each of its processes, and most of them look at no certificate.
    from cryptography import x509  # noqa: PLC0415

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return True
    found = {f"DNS:{name}" for name in extension.value.get_values_for_type(x509.DNSName)}
    found |= {f"IP:{address}" for address in extension.value.get_values_for_type(x509.IPAddress)}
    return found != names or certificate.not_valid_after_utc < needed_until


class FilterModule:
    """The filter certificates_due."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        return {"certificates_due": certificates_due}
