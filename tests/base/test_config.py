"""Settings: flag beats environment beats file beats default, and every error says what to do."""

from pathlib import Path
from typing import Any

import pytest

from lambent.base.config import OPTIONS, Settings, default_data, environment, load
from lambent.base.errors import StartupError

OTHER = {
    "host": "::1",
    "port": "99",
    "data": "/somewhere",
    "isolation": "process",
    "auth": "enforce",
    "clock": "virtual",
    "account": "123456789012",
    "region": "eu-west-1",
    "runtimes": "strict",
    "log-format": "json",
}

OPEN_HOST = (
    "--host 0.0.0.0 would offer an unauthenticated server to the network: "
    "add --auth enforce, or listen on --host 127.0.0.1"
)


def _file(folder: Path, values: dict[str, str]) -> None:
    lines = [f'{name} = "{value}"' for name, value in values.items()]
    (folder / "lambent.toml").write_text("\n".join(lines))


def _loaded(folder: Path, flags: dict[str, str | None] | None = None, **env: str) -> Settings:
    return load(flags or {}, env, folder)


def test_defaults(tmp_path: Path) -> None:
    settings = _loaded(tmp_path, XDG_DATA_HOME="/x")
    assert settings == Settings(data=Path("/x/lambent"))
    assert (settings.host, settings.port, settings.enforce) == ("127.0.0.1", 4566, False)
    assert (settings.account, settings.region) == ("000000000000", "us-east-1")
    assert (settings.isolation, settings.virtual_clock) == ("auto", False)


def _expected() -> Settings:
    return Settings(
        host="::1",
        port=99,
        data=Path("/somewhere"),
        isolation="process",
        enforce=True,
        virtual_clock=True,
        account="123456789012",
        region="eu-west-1",
        strict_runtimes=True,
        log_format="json",
    )


def test_every_option_comes_from_a_flag(tmp_path: Path) -> None:
    assert {option.name for option in OPTIONS} == OTHER.keys()
    assert _loaded(tmp_path, dict(OTHER)) == _expected()


def test_every_option_comes_from_the_environment(tmp_path: Path) -> None:
    env = {option.variable: OTHER[option.name] for option in OPTIONS}
    assert env.keys() >= {"LAMBENT_LOG_FORMAT", "LAMBENT_PORT"}
    assert _loaded(tmp_path, **env) == _expected()


def test_every_option_comes_from_the_file(tmp_path: Path) -> None:
    _file(tmp_path, OTHER)
    assert _loaded(tmp_path) == _expected()


def test_numbers_in_the_file_need_no_quotes(tmp_path: Path) -> None:
    (tmp_path / "lambent.toml").write_text("port = 7000")
    assert _loaded(tmp_path).port == 7000


def test_flag_beats_environment_beats_file(tmp_path: Path) -> None:
    _file(tmp_path, {"port": "1"})
    assert _loaded(tmp_path).port == 1
    assert _loaded(tmp_path, LAMBENT_PORT="2").port == 2
    assert _loaded(tmp_path, {"port": "3"}, LAMBENT_PORT="2").port == 3
    assert _loaded(tmp_path, {"port": None}, LAMBENT_PORT="2").port == 2


def test_data_folders(tmp_path: Path) -> None:
    assert _loaded(tmp_path, {"data": ":memory:"}).data is None
    assert _loaded(tmp_path, {"data": "x"}).data == Path.cwd() / "x"
    assert _loaded(tmp_path, {"data": "~/x"}).data == Path.home() / "x"
    assert default_data({}) == Path.home() / ".local" / "share" / "lambent"
    assert default_data({"XDG_DATA_HOME": "/d"}) == Path("/d/lambent")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"port": "http"}, "--port must be a number from 0 to 65535, not 'http'"),
        ({"port": "65536"}, "--port must be a number from 0 to 65535, not '65536'"),
        ({"port": "-1"}, "--port must be a number from 0 to 65535, not '-1'"),
        ({"port": "\u0661"}, "--port must be a number from 0 to 65535, not '\u0661'"),
        ({"account": "1"}, "--account must be 12 digits, not '1'"),
        ({"account": "\u0661" * 12}, f"--account must be 12 digits, not '{chr(0x661) * 12}'"),
        ({"auth": "on"}, "--auth must be one of off, enforce, not 'on'"),
        (
            {"isolation": "vm"},
            "--isolation must be one of auto, process, namespace, microvm, not 'vm'",
        ),
        ({"host": "0.0.0.0"}, OPEN_HOST),
    ],
)
def test_bad_flags(tmp_path: Path, flags: dict[str, Any], text: str) -> None:
    with pytest.raises(StartupError) as raised:
        _loaded(tmp_path, flags)
    assert str(raised.value) == text


def test_a_bad_value_names_where_it_came_from(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"^LAMBENT_CLOCK must be one of real, virtual, not 'x'"):
        _loaded(tmp_path, LAMBENT_CLOCK="x")
    _file(tmp_path, {"clock": "y"})
    with pytest.raises(StartupError, match=r"^clock in lambent.toml must be one of real, virtual"):
        _loaded(tmp_path)


def test_a_network_address_is_fine_when_signatures_are_verified(tmp_path: Path) -> None:
    assert _loaded(tmp_path, {"host": "0.0.0.0", "auth": "enforce"}).host == "0.0.0.0"


def test_a_file_with_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    _file(tmp_path, {"prot": "1"})
    with pytest.raises(
        StartupError, match=r"lambent.toml: unknown setting 'prot'; known ones: host"
    ):
        _loaded(tmp_path)


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"[a"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lambent.toml").write_bytes(content)
    with pytest.raises(StartupError, match=r"lambent.toml: "):
        _loaded(tmp_path)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lambent.toml").mkdir()
    with pytest.raises(StartupError, match=r"lambent.toml: "):
        _loaded(tmp_path)


def test_the_process_environment_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAMBENT_PORT", "4321")
    assert environment()["LAMBENT_PORT"] == "4321"
    assert load({}).port == 4321
