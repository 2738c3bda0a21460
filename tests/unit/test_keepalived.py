# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keepalived's configuration, read as Keepalived means it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._keepalived import VrrpSettings, parse, vrrp_settings

TEXT = (Path(__file__).parent / "fixtures" / "steady" / "keepalived.conf").read_text()


def test_the_instance_of_the_address() -> None:
    assert vrrp_settings(TEXT, "10.98.0.10") == VrrpSettings(
        version=3,
        advert_int_s=0.1,
        priority=170,
        down_timer_adverts=3,
        nopreempt=True,
        script_interval_s=0.2,
        script_timeout_s=1.0,
        script_fall=2,
        script_rise=2,
    )


def test_the_first_instance_and_keepaliveds_own_defaults() -> None:
    settings = vrrp_settings(TEXT)
    assert (settings.advert_int_s, settings.priority, settings.nopreempt) == (1.0, 100, False)
    assert settings.script_interval_s is None and settings.script_fall is None


def test_version_two_is_the_default_and_an_instance_overrides() -> None:
    assert vrrp_settings("vrrp_instance a {\n priority 5\n}\n").version == 2
    assert vrrp_settings("vrrp_instance a {\n version 3\n down_timer_adverts 2\n}\n").version == 3
    assert vrrp_settings("vrrp_instance a {\n down_timer_adverts 2\n}\n").down_timer_adverts == 2


def test_a_script_may_last_as_long_as_its_interval() -> None:
    text = "vrrp_script s {\n interval 3\n}\nvrrp_instance a {\n track_script {\n s weight -2\n }\n}\n"
    settings = vrrp_settings(text)
    assert (settings.script_interval_s, settings.script_timeout_s, settings.script_fall) == (3.0, 3.0, 1)


def test_the_slowest_of_several_scripts() -> None:
    text = (
        "vrrp_script s {\n interval 3\n fall 1\n}\nvrrp_script u {\n interval 1\n fall 4\n}\n"
        "vrrp_instance a {\n track_script {\n s\n u\n }\n}\n"
    )
    settings = vrrp_settings(text)
    assert (settings.script_interval_s, settings.script_fall) == (3.0, 4)


def test_comments_and_quotes() -> None:
    script = next(parse(TEXT).blocks("vrrp_script"))
    assert script.value("script", "") == "/etc/keepalived/check_load_balancer # not a comment"
    assert script.value("interval", "") == "0.2"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("global_defs {\n}\n", "no vrrp_instance"),
        ("vrrp_instance a {\n", "without an end"),
        ("}\n", "stray '}' in line 1"),
        ("\n{\n", "stray '{' in line 2"),
        ('vrrp_instance a {\n script "x\n}\n', "quotation"),
    ],
)
def test_what_keepalived_would_not_accept(text: str, found: str) -> None:
    with pytest.raises(LifeboatError, match=found):
        vrrp_settings(text)


def test_no_instance_with_the_address() -> None:
    with pytest.raises(LifeboatError, match=r"no vrrp_instance with the address 10\.98\.0\.1"):
        vrrp_settings(TEXT, "10.98.0.1")
