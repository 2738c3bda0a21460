# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter certificates_due over certificates that are made here."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.certificates_due import certificates_due
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

NAMES = ["DNS:ctl1", "IP:10.0.0.11"]


ALTERNATIVES = (x509.DNSName("ctl1"), x509.IPAddress(ipaddress.ip_address("10.0.0.11")))


def make(path, days, alternatives=ALTERNATIVES):
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ctl1")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=days))
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


def due(directory, names=tuple(NAMES), renewal="30d"):
    return certificates_due({"ctl1": names}, str(directory), renewal)


def test_a_certificate_is_due_before_it_ends(tmp_path):
    make(tmp_path / "ctl1.crt", days=31)
    assert due(tmp_path) == []
    assert due(tmp_path, renewal="32d") == ["ctl1"]


@pytest.mark.parametrize("names", [[*NAMES, "IP:10.0.0.100"], NAMES[:1], ["DNS:ctl2", "IP:10.0.0.11"]])
def test_one_for_other_names_is_due(tmp_path, names):
    make(tmp_path / "ctl1.crt", days=99)
    assert due(tmp_path, names) == ["ctl1"]
    assert due(tmp_path, NAMES[::-1]) == []


def test_one_that_is_not_there_or_cannot_be_read_is_due(tmp_path):
    assert due(tmp_path) == ["ctl1"]
    (tmp_path / "ctl1.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert due(tmp_path) == ["ctl1"]
    make(tmp_path / "ctl1.crt", days=99, alternatives=())
    assert due(tmp_path) == ["ctl1"]


def test_a_renewal_that_is_no_duration_is_refused(tmp_path):
    with pytest.raises(AnsibleFilterError, match=r"30 days.*a duration"):
        due(tmp_path, renewal="30 days")
