"""The plan of an environment's root."""

from pathlib import Path

import pytest

from lambent.sandbox.box import LaunchError
from lambent.sandbox.namespace.root import entries


def test_only_a_runtime_and_awss_folders() -> None:
    plan = entries(code=Path("/c"), runtime=Path("/r"), prefixes=[Path("/root/x/3.12")])
    shown = {target: source for kind, target, source, _ in plan if kind == "bind"}
    assert shown["/var/task"] == "/c"
    assert shown["/var/runtime"] == "/r"
    assert shown["/root/x/3.12"] == "/root/x/3.12"
    for host in ("/etc", "/root", "/home", "/var", "/tmp", "/proc", "/dev", "/run", "/opt", "/"):
        assert host not in shown
    assert not [s for s in shown.values() if s.startswith(("/etc/shadow", "/etc/passwd"))]
    links = {target: source for kind, target, source, _ in plan if kind == "link"}
    assert links["/var/lang"] == "/root/x/3.12"


def test_an_interpreter_of_the_system_is_there_already() -> None:
    plan = entries(code=Path("/c"), runtime=Path("/r"), prefixes=[Path("/usr")])
    assert sum(target == "/usr" for _, target, _, _ in plan) == 1


def test_an_interpreter_where_layers_go_is_refused() -> None:
    with pytest.raises(LaunchError, match="/opt/python"):
        entries(code=Path("/c"), runtime=Path("/r"), prefixes=[Path("/opt/python")])
