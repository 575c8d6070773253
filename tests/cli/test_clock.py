"""`lambent clock`: shown always, moved only when it is virtual."""

import pytest

from tests.cli.commands import lambent
from tests.servers import ThreadServer


def test_a_real_clock_is_shown_and_not_moved(server: ThreadServer) -> None:
    shown = lambent("clock", server=server)
    assert shown.returncode == 0
    assert shown.stdout.endswith("Z (real)\n")
    refused = lambent("clock", "advance", "90s", server=server)
    assert refused.returncode == 1
    assert "--clock virtual" in refused.stderr


def test_a_virtual_clock_moves_when_told(virtual_server: ThreadServer) -> None:
    before = virtual_server.clock.now()
    assert lambent("clock", server=virtual_server).stdout.endswith("Z (virtual)\n")
    assert lambent("clock", "advance", "1.5h", server=virtual_server).returncode == 0
    assert virtual_server.clock.now() == before + 5400
    moved = lambent("clock", "set", "2100-01-01T00:00:00Z", server=virtual_server)
    assert moved.stdout == "2100-01-01T00:00:00.000Z (virtual)\n"
    back = lambent("clock", "set", "2001-01-01T00:00:00Z", server=virtual_server)
    assert back.returncode == 1
    assert "set back" in back.stderr
    assert lambent("clock", "advance", "soon", server=virtual_server).returncode == 1


@pytest.mark.parametrize("words", [("advance",), ("set",), ("stop", "1s")])
def test_half_an_order_is_wrong_usage(words: tuple[str, ...]) -> None:
    assert lambent("clock", *words).returncode == 2


def test_no_server_is_told() -> None:
    result = lambent("clock", env={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert result.returncode == 1
    assert "nothing answers at http://127.0.0.1:1" in result.stderr
