"""How a command ends when it cannot do what it was asked: a sentence and an exit status."""


class CommandError(Exception):
    """The text goes to stderr after `lambent: `; `status` is 2 where the caller must rephrase."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
