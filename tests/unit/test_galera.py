# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Galera member leaves in its files and says when it runs, and the module galera_info."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _galera_member
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._galera import (
    NIL_UUID,
    MemberStatus,
    Position,
    SavedState,
    duration_s,
    member_status,
    parse_provider_options,
    parse_recovered_position,
    parse_saved_state,
    parse_saved_view,
    provider_settings,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._galera_member import (
    read_member,
    read_status,
    read_stopped,
    recover_position,
)
from ansible_collections.lifeboat.cloud.plugins.modules import galera_info, galera_recovery_plan
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parent / "fixtures" / "steady"
UUID = "6f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e"
OTHER = "7f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e"
GRASTATE = (FIXTURES / "grastate.dat").read_text()
OPTIONS = (FIXTURES / "provider-options.txt").read_text()
RECOVER_LOG = (FIXTURES / "wsrep-recover.log").read_text()


def saved_at(seqno: int) -> str:
    return GRASTATE.replace("seqno:   -1", f"seqno:   {seqno}")


def test_saved_state_of_a_member_that_was_killed() -> None:
    assert parse_saved_state(GRASTATE) == SavedState(Position(UUID, -1), safe_to_bootstrap=False)


def test_saved_state_of_the_last_one_to_stop() -> None:
    text = saved_at(4711).replace("bootstrap: 0", "bootstrap: 1")
    assert parse_saved_state(text) == SavedState(Position(UUID, 4711), safe_to_bootstrap=True)


@pytest.mark.parametrize("text", ["", "\x00\x00\x00", "# GALERA saved state\nversion: 2.1\n", "uuid: here\nseqno: 1\n"])
def test_a_saved_state_that_a_power_loss_has_emptied(text: str) -> None:
    assert parse_saved_state(text) is None


def test_an_old_saved_state_without_the_mark() -> None:
    saved = parse_saved_state(f"uuid: {UUID.upper()}\nseqno: lots\n")
    assert saved == SavedState(Position(UUID, -1), None)


def test_saved_view() -> None:
    view = parse_saved_view((FIXTURES / "gvwstate.dat").read_text())
    assert view is not None
    assert view.own_uuid.startswith("0dae1307") and view.view_id.endswith(" 12")
    assert [member[:8] for member in view.members] == ["0dae1307", "47bbe2e2", "aff404f1"]
    assert parse_saved_view("my_uuid: x\n") is None and parse_saved_view("") is None


def test_recovered_position() -> None:
    assert parse_recovered_position(RECOVER_LOG) == Position(UUID, 4711)
    assert parse_recovered_position("") is None
    assert parse_recovered_position(f"WSREP: Recovered position: {NIL_UUID}:-1") == Position(NIL_UUID, -1)


def test_the_last_of_several_positions_counts() -> None:
    log = f"WSREP: Recovered position: {UUID}:1\nWSREP: Recovered position {UUID}:2\n"
    assert parse_recovered_position(log) == Position(UUID, 2)


@given(st.integers(-1, 2**63))
def test_every_sequence_number_is_read(seqno: int) -> None:
    assert parse_recovered_position(f"x WSREP: Recovered position: {UUID}:{seqno}\n") == Position(UUID, seqno)
    saved = parse_saved_state(saved_at(seqno))
    assert saved is not None and saved.position.seqno == seqno


SYNCED = {
    "wsrep_cluster_status": "Primary",
    "wsrep_local_state_comment": "Synced",
    "wsrep_local_state_uuid": UUID,
    "wsrep_cluster_size": "3",
    "wsrep_last_committed": "4711",
    "wsrep_ready": "ON",
    "wsrep_connected": "ON",
}


def test_a_synced_member() -> None:
    status = member_status(SYNCED, {"read_only": "OFF"})
    assert status.primary and status.ready and status.connected and not status.read_only
    assert (status.size, status.position) == (3, Position(UUID, 4711))


def test_a_server_without_galera() -> None:
    status = member_status({}, {"read_only": "ON"})
    assert not status.primary and status.read_only and status.position is None and status.size is None


def test_provider_settings() -> None:
    settings = provider_settings({"wsrep_provider_options": OPTIONS, "innodb_flush_log_at_trx_commit": "1"})
    assert (settings.suspect_timeout_s, settings.inactive_timeout_s) == (1.0, 2.0)
    assert (settings.inactive_check_period_s, settings.join_retrans_period_s) == (0.1, 0.1)
    assert (settings.keepalive_period_s, settings.flush_log_at_trx_commit) == (0.1, 1)
    assert parse_provider_options(OPTIONS)["socket.ssl_cipher"] == ""


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(LifeboatError, match=r"evs\.suspect_timeout"):
        provider_settings({"wsrep_provider_options": "", "innodb_flush_log_at_trx_commit": "1"})
    with pytest.raises(LifeboatError, match="flush_log"):
        provider_settings({"wsrep_provider_options": OPTIONS})


@pytest.mark.parametrize(
    ("text", "expected"), [("PT0.1S", 0.1), ("PT5S", 5), ("PT1M30S", 90), ("P1D", 86400), ("P1DT1H", 90000)]
)
def test_durations(text: str, expected: float) -> None:
    assert duration_s(text, "x") == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "P", "PT", "5", "PT5", "P1Y", "1S"])
def test_no_durations(text: str) -> None:
    with pytest.raises(LifeboatError, match="ISO 8601"):
        duration_s(text, "x")


@given(st.integers(0, 100), st.integers(0, 59), st.integers(0, 59))
def test_durations_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert duration_s(f"PT{hours}H{minutes}M{seconds}S", "x") == hours * 3600 + minutes * 60 + seconds


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "ibdata1").touch()
    (tmp_path / "grastate.dat").write_text(GRASTATE)
    return tmp_path


def recovering(monkeypatch: pytest.MonkeyPatch, position: Position | LifeboatError) -> None:
    def recover(directory: Path, timeout_s: float) -> Position:
        if isinstance(position, LifeboatError):
            raise position
        return position

    monkeypatch.setattr(_galera_member, "recover_position", recover)


def forbidden(*arguments: object) -> t.NoReturn:
    raise AssertionError("not to be called")


def test_a_stopped_member_is_only_read_unless_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_galera_member, "recover_position", forbidden)
    assert read_stopped(data, None).position == Position(UUID, -1)


def test_the_recovered_position_counts(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recovering(monkeypatch, Position(UUID, 12))
    member = read_stopped(data, 1.0)
    assert member.position == member.recovered == Position(UUID, 12)
    assert member.saved_state == SavedState(Position(UUID, -1), False) and member.error is None


def test_without_a_saved_state_the_recovered_position_counts(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "grastate.dat").unlink()
    recovering(monkeypatch, Position(UUID, 12))
    assert read_stopped(data, 1.0).position == Position(UUID, 12)
    assert read_stopped(data, None).position is None


@pytest.mark.parametrize("uuid", [OTHER, NIL_UUID])
def test_contradicting_uuids_leave_the_position_unknown(uuid: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recovering(monkeypatch, Position(uuid, 12))
    member = read_stopped(data, 1.0)
    assert member.position == Position(UUID, -1)
    assert member.error is not None and uuid in member.error


def test_a_failed_recovery_leaves_the_position_unknown(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "grastate.dat").write_text(saved_at(99))
    recovering(monkeypatch, LifeboatError("InnoDB", "corruption", "none", "Restore."))
    member = read_stopped(data, 1.0)
    assert member.position == Position(UUID, -1), "a stale number in grastate.dat is not trusted then"
    assert member.error is not None and "corruption" in member.error


def test_what_galera_declared_invalid_is_not_recovered(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "grastate.dat").write_text(GRASTATE.replace(UUID, NIL_UUID))
    monkeypatch.setattr(_galera_member, "recover_position", forbidden)
    position = read_stopped(data, 1.0).position
    assert position is not None and position.nil


def test_an_empty_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_galera_member, "recover_position", forbidden)
    assert read_stopped(tmp_path / "absent", 1.0).position == Position(NIL_UUID, -1)


def server(tmp_path: Path, script: str) -> str:
    program = tmp_path / "server"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_the_server_is_asked_to_recover_and_not_to_listen(tmp_path: Path) -> None:
    program = server(tmp_path, f'echo "$@" > {tmp_path}/arguments; cat {FIXTURES}/wsrep-recover.log >&2')
    assert recover_position(tmp_path, 5.0, program) == Position(UUID, 4711)
    arguments = (tmp_path / "arguments").read_text().split()
    assert {"--wsrep-recover", "--skip-networking", "--user=mysql", f"--datadir={tmp_path}"} <= set(arguments)


def test_a_server_that_says_no_position(tmp_path: Path) -> None:
    program = server(tmp_path, "echo '[ERROR] InnoDB: Unable to lock ./ibdata1' >&2; echo bye >&2; exit 1")
    with pytest.raises(LifeboatError, match=r"exit status 1.*Unable to lock"):
        recover_position(tmp_path, 5.0, program)


def test_a_recovery_that_does_not_end(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(LifeboatError, match="still busy"):
        recover_position(tmp_path, 0.2, server(tmp_path, "exec sleep 30"))
    assert time.monotonic() - begin < 5


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(LifeboatError, match="Install mariadb-server"):
        recover_position(tmp_path, 1.0, str(tmp_path / "none"))


def test_a_running_member_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    status = member_status(SYNCED, {})

    def said(socket: str, timeout_s: float) -> MemberStatus:
        return status

    monkeypatch.setattr(_galera_member, "running", lambda timeout_s: True)
    monkeypatch.setattr(_galera_member, "read_status", said)
    monkeypatch.setattr(_galera_member, "read_stopped", forbidden)
    member = read_member("socket", Path("/nowhere"), 1.0, 300.0)
    assert member.running and member.status == status and member.position == Position(UUID, 4711)


def test_a_running_member_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_galera_member, "running", lambda timeout_s: True)
    monkeypatch.setattr(_galera_member, "read_stopped", forbidden)
    member = read_member(str(tmp_path / "none"), tmp_path, 0.5, 300.0)
    assert member.running and member.status is None and member.position is None
    assert member.error is not None and "MariaDB at" in member.error


def test_no_socket(tmp_path: Path) -> None:
    with pytest.raises(LifeboatError, match="Start MariaDB"):
        read_status(str(tmp_path / "none"), 0.5)


def info(data: Path, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    socket = str(data / "none")
    return run_module(galera_info.main, check, datadir=str(data), login_unix_socket=socket, timeout=0.5, **options)


@pytest.fixture
def stopped(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of a member that was killed, at 12."""
    monkeypatch.setattr(_galera_member, "running", lambda timeout_s: False)
    recovering(monkeypatch, Position(UUID, 12))
    return data


def test_the_module_recovers_the_position_of_a_stopped_member(stopped: Path) -> None:
    found = info(stopped, recover_position=True)["galera"]
    assert (found["running"], found["primary"], found["error"]) == (False, None, None)
    assert (found["uuid"], found["seqno"], found["recovered"]) == (UUID, 12, {"uuid": UUID, "seqno": 12})
    assert found["grastate"] == {"uuid": UUID, "seqno": -1, "safe_to_bootstrap": False}


@pytest.mark.parametrize(("check", "options"), [(True, {"recover_position": True}), (False, {})])
def test_the_module_starts_no_server_in_check_mode_or_unasked(
    stopped: Path, check: bool, options: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_galera_member, "recover_position", forbidden)
    found = info(stopped, check, **options)["galera"]
    assert (found["uuid"], found["seqno"], found["recovered"]) == (UUID, -1, None)


def test_what_the_module_returns_is_enough_to_decide(stopped: Path) -> None:
    found = info(stopped, recover_position=True)["galera"]
    members = [{"host": "ctl1", **found}, {"host": "ctl2", **found, "seqno": 11}]
    decided = run_module(galera_recovery_plan.main, members=members, expected_members=2)["decision"]
    assert (decided["action"], decided["bootstrap_host"], decided["join_hosts"]) == ("bootstrap", "ctl1", ["ctl2"])


def test_the_module_does_not_fail_over_a_member_that_does_not_answer(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_galera_member, "running", lambda timeout_s: True)
    found = info(data, recover_position=True)["galera"]
    assert (found["running"], found["primary"], found["uuid"]) == (True, None, None)
    assert "Start MariaDB" in found["error"]


def test_the_module_fails_when_nobody_knows_whether_the_server_runs(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(data))
    failed = info(data, recover_position=True)
    assert failed["failed"] and failed["found"] == "no such program"
    assert failed["remedy"] == "Install systemctl."
