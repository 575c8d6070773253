"""Settings of a server: flag beats environment beats `lambent.toml` beats default.

One declaration (`OPTIONS`) serves the command line, the environment, the file and the docs.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambent.base.errors import StartupError

CONFIG_FILE = "lambent.toml"
MEMORY = ":memory:"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its name on the command line, its default, what it may be, what it means."""

    name: str
    default: str
    help: str
    choices: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return "LAMBENT_" + self.name.upper().replace("-", "_")


OPTIONS = (
    Option("host", "127.0.0.1", "address to listen on; others than loopback need --auth enforce"),
    Option("port", "4566", "port to listen on; 0 picks a free one"),
    Option("data", "", "data folder, or :memory: for a throw-away server"),
    Option("isolation", "auto", "how functions are kept apart",
           ("auto", "process", "namespace", "microvm")),
    Option("auth", "off", "whether signatures are verified", ("off", "enforce")),
    Option("clock", "real", "virtual stands still until it is moved", ("real", "virtual")),
    Option("account", "000000000000", "the default account, 12 digits"),
    Option("region", "us-east-1", "the default region"),
    Option("runtimes", "nearest", "strict refuses a runtime whose exact version is not installed",
           ("nearest", "strict")),
    Option("log-format", "text", "how the server logs, on stderr", ("text", "json")),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server, checked."""

    host: str = "127.0.0.1"
    port: int = 4566
    data: Path | None = None
    """None is the throw-away mode."""
    isolation: str = "auto"
    enforce: bool = False
    virtual_clock: bool = False
    account: str = "000000000000"
    region: str = "us-east-1"
    strict_runtimes: bool = False
    log_format: str = "text"


def default_data(environment: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME/lambent`, else `~/.local/share/lambent`."""
    home = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "lambent"


def environment() -> Mapping[str, str]:
    """The process's environment: the one place that reads it."""
    return os.environ  # noqa: TID251


def load(
    flags: Mapping[str, str | None],
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Merge `flags` (by option name), the environment and `lambent.toml` in `folder`.

    Errors: StartupError naming the setting, where it came from and what it may be.
    """
    env = environment() if env is None else env
    file = _read_file((folder or Path()) / CONFIG_FILE)
    values = {option.name: _resolve(option, flags, env, file) for option in OPTIONS}
    settings = Settings(
        host=values["host"],
        port=_port(values["port"]),
        data=_data(values["data"], env),
        isolation=values["isolation"],
        enforce=values["auth"] == "enforce",
        virtual_clock=values["clock"] == "virtual",
        account=values["account"],
        region=values["region"],
        strict_runtimes=values["runtimes"] == "strict",
        log_format=values["log-format"],
    )
    if not re.fullmatch("[0-9]{12}", settings.account):
        raise StartupError(f"--account must be 12 digits, not {settings.account!r}")
    if settings.host not in LOOPBACK and not settings.enforce:
        raise StartupError(
            f"--host {settings.host} would offer an unauthenticated server to the network: "
            "add --auth enforce, or listen on --host 127.0.0.1"
        )
    return settings


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartupError(f"{path}: {error}") from error
    unknown = sorted(values.keys() - {option.name for option in OPTIONS})
    if unknown:
        known = ", ".join(option.name for option in OPTIONS)
        raise StartupError(f"{path}: unknown setting {unknown[0]!r}; known ones: {known}")
    return values


def _resolve(
    option: Option,
    flags: Mapping[str, str | None],
    env: Mapping[str, str],
    file: Mapping[str, Any],
) -> str:
    for source, value in (
        (f"--{option.name}", flags.get(option.name)),
        (option.variable, env.get(option.variable)),
        (f"{option.name} in {CONFIG_FILE}", file.get(option.name)),
    ):
        if value is None:
            continue
        if option.choices and value not in option.choices:
            raise StartupError(
                f"{source} must be one of {', '.join(option.choices)}, not {value!r}"
            )
        return str(value)
    return option.default


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise StartupError(f"--port must be a number from 0 to 65535, not {text!r}")
    return int(text)


def _data(text: str, env: Mapping[str, str]) -> Path | None:
    if text == MEMORY:
        return None
    return Path(text).expanduser().absolute() if text else default_data(env)
