"""How commands end."""

from lambent.cli.errors import CommandError


def test_a_command_fails_with_status_1_unless_it_was_used_wrongly() -> None:
    assert CommandError("no").status == 1
    assert CommandError("say it otherwise", 2).status == 2
    assert str(CommandError("no")) == "no"
