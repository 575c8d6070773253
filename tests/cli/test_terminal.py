"""Colour only where it is welcome, progress only where it takes long."""

import io
import signal

import pytest

from lambent.cli import terminal


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_colour_is_for_terminals() -> None:
    assert terminal.styled("text", terminal.RED, Screen()) == "\x1b[31mtext\x1b[0m"
    assert terminal.styled("text", terminal.RED, io.StringIO()) == "text"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_declined(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert terminal.styled("text", terminal.RED, Screen()) == "text"


def test_what_is_quick_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with terminal.progress("working"):
        pass
    assert capsys.readouterr().err == ""
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_what_is_slow_says_so_once_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.progress("working"):
        signal.raise_signal(signal.SIGALRM)
        signal.raise_signal(signal.SIGALRM)
    assert capsys.readouterr().err == "working ...\n"


def test_what_is_slow_counts_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    with terminal.progress("working"):
        signal.raise_signal(signal.SIGALRM)
        signal.raise_signal(signal.SIGALRM)
    shown = screen.getvalue()
    assert "\rworking ... 1 s\rworking ... 2 s\r" in shown
    assert shown.endswith("\r")


def test_the_timer_is_put_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="oops"), terminal.progress("working"):
        raise ValueError("oops")
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
