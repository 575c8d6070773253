"""The words of the protocol."""

from lambent.sandbox.box import BoxGone, Exited


def test_exits_are_told_in_awss_words() -> None:
    assert str(Exited(0)) == ""
    assert str(Exited(1)) == "exit status 1"
    assert str(Exited(None, 9)) == "signal: killed"
    assert str(Exited(None, 11)) == "signal: segmentation fault"
    assert str(Exited(None, 64)) == "signal: 64"
    gone = BoxGone(Exited(2))
    assert (str(gone), gone.exited) == ("exit status 2", Exited(2))
