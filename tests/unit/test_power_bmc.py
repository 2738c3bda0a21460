# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power of servers by IPMI and Redfish, with tools of paper that say what ipmitool 1.8.19 and curl 7.88.1 said."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault import Injector, heal, select
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import FaultRequest
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import CommandResult, Condition, Step, follow
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_journal import Journal
from ansible_collections.lifeboat.cloud.plugins.module_utils._host_power import HostPower, set_power
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import PowerDriver, PowerState
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_bmc import BmcPower
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_drivers import power_driver
from ansible_collections.lifeboat.cloud.plugins.modules import host_power
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

PASSWORD = "correct-horse"
URL = "https://192.0.2.11/redfish/v1/Systems/27946b59"
# What an emulated BMC answered, shortened.
SYSTEM = """{
    "@odata.type": "#ComputerSystem.v1_13_0.ComputerSystem",
    "Id": "27946b59",
    "Status": {
        "State": "Enabled",
        "Health": "OK"
    },

    "PowerState": "STATE",
    "Actions": {
        "#ComputerSystem.Reset": {
            "target": "/redfish/v1/Systems/27946b59/Actions/ComputerSystem.Reset"
        }
    }
}"""
NO_CIPHERS = "Unable to Get Channel Cipher Suites\n"


class Bmc:
    """A server and its controller, which takes a look or two until it says the new state, and refuses on when on."""

    def __init__(self, state: str = "On") -> None:
        self.state = state
        self.pending: list[str] = []
        self.dead = False
        self.done: list[str] = []
        self.seen: list[str] = []

    def __call__(self, argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        words = list(argv)
        self.seen.append(" ".join(words))
        return self._ipmitool(words) if words[0] == "ipmitool" else self._curl(words)

    def _ipmitool(self, words: list[str]) -> CommandResult:
        assert words[1:5] == ["-I", "lanplus", "-H", "192.0.2.11"]
        assert words[5:8] == ["-U", "admin", "-f"]
        if self.dead:
            return CommandResult(1, "", f"{NO_CIPHERS}Error: Unable to establish IPMI v2 / RMCP+ session\n")
        chassis, power, word = words[9:]
        assert (chassis, power) == ("chassis", "power")
        if word == "status":
            return CommandResult(0, f"Chassis Power is {self._look().lower()}\n", NO_CIPHERS)
        said = {"on": "Up/On", "off": "Down/Off"}[word]
        if not self._switch(word.capitalize(), ["On"] if word == "off" else []):
            found = f"Set Chassis Power Control to {said} failed: Command not supported in present state\n"
            return CommandResult(1, "", found)
        return CommandResult(0, f"Chassis Power Control: {said}\n", NO_CIPHERS)

    def _curl(self, words: list[str]) -> CommandResult:
        assert words[:7] == ["curl", "--disable", "--noproxy", "*", "--silent", "--show-error", "--fail"]
        assert words[7:10] == ["--max-time", "15", "--netrc-file"]
        if self.dead:
            return CommandResult(
                7, "", "curl: (7) Failed to connect to 192.0.2.11 port 443: Couldn't connect to server"
            )
        if words[-1] == URL:
            return CommandResult(0, SYSTEM.replace("STATE", self._look()))
        assert words[-1] == f"{URL}/Actions/ComputerSystem.Reset"
        assert words[-3] == "--json"
        wanted = {"On": "On", "ForceOff": "Off"}[json.loads(words[-2])["ResetType"]]
        if not self._switch(wanted, ["On", "PoweringOff"] if wanted == "Off" else ["Off"]):
            return CommandResult(22, "", "curl: (22) The requested URL returned error: 409")
        return CommandResult(0)

    def _look(self) -> str:
        return self.pending.pop(0) if self.pending else self.state

    def _switch(self, state: str, pending: list[str]) -> bool:
        if state == self.state:
            return False
        self.done.append(state)
        self.state, self.pending = state, pending
        return True


@pytest.fixture(params=["ipmi", "redfish"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(BmcPower, "poll_s", 0.001)
    return str(request.param)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "bmc"
    path.touch(mode=0o600)
    path.write_text(PASSWORD)
    return path


def arguments(name: str, secret: Path) -> tuple[str, ...]:
    return ("-U", "admin", "-f", str(secret)) if name == "ipmi" else ("--netrc-file", str(secret))


def address(name: str) -> str:
    return "192.0.2.11" if name == "ipmi" else URL


def driver(name: str, secret: Path, bmc: Bmc) -> PowerDriver:
    return power_driver(name, "ctl1", address(name), arguments(name, secret), bmc)


def fault(name: str, secret: Path, form: str = "power_off") -> FaultRequest:
    return FaultRequest(
        "run1",
        form,
        host="ctl1",
        power_driver=name,
        power_address=address(name),
        power_arguments=arguments(name, secret),
    )


@pytest.mark.parametrize(
    ("before", "after", "done"),
    [("On", "off", ["Off"]), ("Off", "on", ["On"]), ("On", "on", []), ("Off", "off", [])],
)
def test_the_ways_between_states(name: str, secret: Path, before: str, after: str, done: list[str]) -> None:
    bmc = Bmc(before)
    power = driver(name, secret, bmc)
    was = HostPower.of(power)
    assert set_power(power, was, PowerState(after), None, dry_run=True) == HostPower(PowerState(after))
    assert bmc.done == []
    assert set_power(power, was, PowerState(after), (), dry_run=False) == HostPower(PowerState(after))
    assert bmc.done == done
    assert not bmc.pending


@pytest.mark.parametrize(
    ("said", "state"), [("On", "on"), ("Off", "off"), ("PoweringOff", "on"), ("PoweringOn", "on"), ("Paused", "on")]
)
def test_what_redfish_says_between_on_and_off_is_not_off(secret: Path, said: str, state: str) -> None:
    assert driver("redfish", secret, Bmc(said)).status() == state


def test_a_bmc_that_does_not_know_the_state_is_an_error(secret: Path) -> None:
    def starting(argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        return CommandResult(0, '{"PowerState": null}')

    power = power_driver("redfish", "ctl1", URL, arguments("redfish", secret), starting)
    with pytest.raises(LifeboatError, match=r"power of host ctl1: .*null"):
        power.status()


def test_waiting_for_off_is_bounded(name: str, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BmcPower, "state_timeout_s", 0.05)
    monkeypatch.setattr(Bmc, "_look", lambda _self: "On")
    with pytest.raises(LifeboatError, match=r"power on after 0\.05 s; expected power off"):
        driver(name, secret, Bmc()).off()


@pytest.mark.parametrize(
    ("form", "ability"), [("host_freeze", "freezing a host"), ("network_cut", "cutting a network")]
)
def test_other_faults_are_refused_before_anything_happens(
    name: str, secret: Path, tmp_path: Path, form: str, ability: str
) -> None:
    bmc = Bmc()
    journal = Journal(tmp_path / "faults", bmc, systemd=False)
    injector = Injector(fault(name, secret, form), journal, 60, deadman=False)
    for refused in (injector.inject, injector.arm, lambda: injector.preview("injected")):
        with pytest.raises(LifeboatError, match=f"host ctl1: found the power driver {name}, for which {ability} is"):
            refused()
    assert not journal.directory.exists()
    assert bmc.seen == []


def test_other_states_are_refused_before_anything_happens(name: str, secret: Path) -> None:
    bmc = Bmc("Off")
    power = driver(name, secret, bmc)
    was = HostPower.of(power)
    for state, cut, ability in ((PowerState.FROZEN, None, "freezing"), (PowerState.ON, ("mgmt",), "cutting")):
        with pytest.raises(LifeboatError, match=f"{ability} a .* impossible; expected podman or libvirt"):
            set_power(power, was, state, cut, dry_run=False)
    assert bmc.done == []


def test_a_power_cut_lands_and_heals_from_a_journal_without_the_password(
    name: str, secret: Path, tmp_path: Path
) -> None:
    bmc = Bmc()
    journal = Journal(tmp_path / "faults", bmc, systemd=False)
    made = Injector(fault(name, secret), journal, 60, deadman=False).inject()
    assert made.entries[0].evidence["landed"]
    assert all(PASSWORD not in path.read_text() for path in journal.directory.iterdir())
    assert str(secret) in (journal.directory / "run1.ctl1.json").read_text()
    assert len(heal(journal, select(journal, "all")).entries) == 1
    assert (bmc.state, bmc.done) == ("On", ["Off", "On"])
    # Something else turned it on before: the controller would refuse on.
    assert follow(made.entries[0].recipe, bmc) == ()
    assert bmc.done == ["Off", "On"]
    assert all(PASSWORD not in command for command in bmc.seen)


def test_healing_fails_when_the_bmc_gives_no_answer(name: str, secret: Path) -> None:
    bmc = Bmc("Off")
    recipe = driver(name, secret, bmc).on_steps()
    bmc.dead = True
    (failure,) = follow(recipe, bmc, lambda _seconds: None)
    assert re.search("Unable to establish|Failed to connect", failure)


def test_a_host_that_is_on_its_way_off_is_turned_on(secret: Path) -> None:
    bmc = Bmc("Off")
    bmc.pending = ["PoweringOff"]
    assert follow(driver("redfish", secret, bmc).on_steps(), bmc) == ()
    assert bmc.done == ["On"]


@pytest.mark.parametrize(
    ("driver_name", "unsafe"),
    [
        ("ipmi", ["-P", PASSWORD]),
        ("ipmi", [f"-P{PASSWORD}"]),
        ("ipmi", ["-E"]),
        ("redfish", ["-u", f"admin:{PASSWORD}"]),
        ("redfish", [f"-uadmin:{PASSWORD}"]),
        ("redfish", ["--user", f"admin:{PASSWORD}"]),
        ("redfish", ["-H", f"Authorization: Basic {PASSWORD}"]),
    ],
)
def test_a_password_outside_the_file_is_refused_and_not_printed(
    secret: Path, driver_name: str, unsafe: list[str]
) -> None:
    with pytest.raises(LifeboatError, match=f"option {unsafe[0][:2]}.*FILE") as refused:
        power_driver(driver_name, "ctl1", address(driver_name), (*arguments(driver_name, secret), *unsafe), Bmc())
    assert PASSWORD not in str(refused.value)


def test_a_file_that_is_not_safe_is_refused(name: str, secret: Path) -> None:
    def refuses(given: tuple[str, ...], found: str) -> None:
        with pytest.raises(LifeboatError, match=f"password of the BMC of host ctl1: found {found}"):
            power_driver(name, "ctl1", address(name), given, Bmc())

    option = arguments(name, secret)[-2]
    refuses((), f"no {option}")
    refuses((option,), f"no {option}")
    refuses((option, "bmc"), f"{option} bmc")
    refuses((option, f"{secret}-not"), f"no file {secret}-not")
    secret.chmod(0o640)
    refuses((option, str(secret)), f"file {secret} with mode 0640")


@pytest.mark.parametrize(
    "url", ["ctl1", "192.0.2.11", "http://192.0.2.11/redfish/v1/Systems/1", f"https://admin:{PASSWORD}@192.0.2.11/"]
)
def test_an_address_that_is_no_url_over_tls_is_refused(secret: Path, url: str) -> None:
    with pytest.raises(LifeboatError, match=r"https://BMC/redfish/v1/Systems/ID") as refused:
        power_driver("redfish", "ctl1", url, arguments("redfish", secret), Bmc())
    assert PASSWORD not in str(refused.value)


def test_the_module_takes_the_address(name: str, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bmc = Bmc()

    def with_paper(*given: object) -> PowerDriver:
        return power_driver(*given, run=bmc)  # type: ignore[arg-type]

    monkeypatch.setattr(host_power, "power_driver", with_paper)
    options = {
        "host": "ctl1",
        "driver": name,
        "address": address(name),
        "arguments": list(arguments(name, secret)),
        "state": "off",
    }
    assert run_module(host_power.main, True, **options)["changed"] is True
    assert bmc.done == []
    result = run_module(host_power.main, **options)
    assert result["before"] == {"state": "on", "networks_cut": []}
    assert result["after"] == {"state": "off", "networks_cut": []}
    assert bmc.done == ["Off"]
    assert run_module(host_power.main, **options)["changed"] is False


def test_a_step_with_unless_is_kept_and_one_of_an_earlier_journal_is_read() -> None:
    step = Step(run=("act",), unless=Condition(run=("look",), matches="done"))
    assert Step.from_json(json.loads(json.dumps(asdict(step)))) == step
    earlier = asdict(Step(run=("act",)))
    del earlier["unless"]
    assert Step.from_json(earlier) == Step(run=("act",))
