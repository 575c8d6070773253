"""`lambent serve`: one line when it is ready, an orderly end, and reasons when it cannot start."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import lambent
from tests.servers import READY

Start = Callable[..., Any]


def test_the_ready_line_is_all_of_stdout(lambent_process: Start, tmp_path: Path) -> None:
    server = lambent_process(data=tmp_path / "data")
    found = READY.fullmatch(server.ready_line)
    assert found
    assert found[2] == str(tmp_path / "data")
    assert found[4] == "off"
    assert server.stop() == 0
    assert server.further_lines() == []
    assert server.stderr == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_with_status_0(lambent_process: Start, number: int) -> None:
    server = lambent_process(data=":memory:")
    server.signal(number)
    assert server._reap() == 0


def test_a_taken_port_is_explained(taken_port: int) -> None:
    result = lambent("serve", "--port", str(taken_port), "--data", ":memory:")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"lambent: port {taken_port} is already taken by process ")
    assert str(os.getpid()) in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = lambent("serve", "--port", "0", "--data", str(tmp_path / "file" / "data"))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"lambent: the data folder {tmp_path}/file/data cannot be used")


def test_a_second_server_on_a_folder_is_refused(lambent_process: Start, tmp_path: Path) -> None:
    server = lambent_process(data=tmp_path / "data")
    result = lambent("serve", "--port", "0", "--data", str(tmp_path / "data"))
    assert (result.returncode, result.stdout) == (1, "")
    assert str(server.pid) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--host", "0.0.0.0"], "add --auth enforce, or listen on --host 127.0.0.1"),
        (["--port", "70000"], "--port must be a number from 0 to 65535"),
        (["--account", "12"], "--account must be 12 digits"),
        (["--isolation", "microvm"], "--isolation microvm does not work here: "),
        (["--host", "192.0.2.1", "--auth", "enforce"], "cannot listen on 192.0.2.1"),
    ],
)
def test_settings_that_cannot_be_honoured_are_refused(
    words: list[str], says: str, tmp_path: Path
) -> None:
    home = {"HOME": str(tmp_path)}  # no image of a machine lies there
    result = lambent("serve", "--data", ":memory:", *words, env=home)
    assert (result.returncode, result.stdout) == (1, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    (tmp_path / "lambent.toml").write_text('account = "file"\n')
    by_file = lambent("serve", cwd=tmp_path)
    assert "not 'file'" in by_file.stderr
    by_env = lambent("serve", cwd=tmp_path, env={"LAMBENT_ACCOUNT": "env"})
    assert "not 'env'" in by_env.stderr
    by_flag = lambent("serve", "--account", "flag", cwd=tmp_path, env={"LAMBENT_ACCOUNT": "env"})
    assert "not 'flag'" in by_flag.stderr


def test_a_damaged_database_is_named(lambent_process: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    lambent_process(data=data).stop()
    (data / "lambent.db").write_bytes(b"this is no database" * 300)
    result = lambent("serve", "--port", "0", "--data", str(data))
    assert (result.returncode, result.stdout) == (1, "")
    assert "lambent.db" in result.stderr
    assert "Traceback" not in result.stderr


def test_enforcing_leaves_the_root_key_for_its_owner(
    lambent_process: Start, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    server = lambent_process("--auth", "enforce", data=data)
    assert server.stop() == 0
    assert (data / "credentials").stat().st_mode & 0o777 == 0o600
    assert b"AWS_SHARED_CREDENTIALS_FILE=" in server.stderr
    before = (data / "credentials").read_text()
    lambent_process("--auth", "enforce", data=data).stop()
    assert (data / "credentials").read_text() == before
