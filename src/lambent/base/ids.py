"""Where every random value comes from: seeded in tests and simulations, the system's otherwise."""

import random  # noqa: TID251 - the one place
import uuid
from typing import Protocol

_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyz0123456789"


class Ids(Protocol):
    """A source of ids and random values."""

    def uuid(self) -> str:
        """A version-4 UUID in its usual form."""

    def hex(self, digits: int) -> str:
        """`digits` random hexadecimal digits, lower case."""

    def text(self, length: int, alphabet: str = _ALPHANUMERIC) -> str:
        """`length` random characters of `alphabet`."""

    def uniform(self) -> float:
        """A random number in [0, 1)."""


class RandomIds:
    """Ids from the system's entropy, or reproducible ones when `seed` is given."""

    def __init__(self, seed: int | None = None) -> None:
        # One entropy read per id is a system call; request ids need uniqueness, not secrecy,
        # so they come from a generator that the system seeded once.
        system = random.SystemRandom()
        first = system.getrandbits(256) if seed is None else seed
        self._fast = random.Random(first)  # noqa: S311 - unique, not secret
        self._random: random.Random = system if seed is None else self._fast

    def uuid(self) -> str:
        """A version-4 UUID (unique, not secret: use `text` for secrets)."""
        bits = (self._fast.getrandbits(128) & ~(0xF000 << 64) | (4 << 76)) & ~(0xC000 << 48)
        digits = f"{bits | (0x8000 << 48):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def hex(self, digits: int) -> str:
        """`digits` random hexadecimal digits (unique, not secret: use `text` for secrets)."""
        return f"{self._fast.getrandbits(4 * digits):0{digits}x}"

    def text(self, length: int, alphabet: str = _ALPHANUMERIC) -> str:
        """`length` random characters of `alphabet`, from the system's entropy."""
        return "".join(self._random.choice(alphabet) for _ in range(length))

    def uniform(self) -> float:
        """A random number in [0, 1)."""
        return self._fast.random()


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in its usual form."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
