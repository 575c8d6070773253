"""placeholder"""

from lambent.wire.model import Shape
from typing import Any

Validator = Any


def compile_validator(shape: Shape | None) -> Any:
    return lambda params, exempt=frozenset(), root="": []
