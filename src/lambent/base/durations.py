"""Durations as people write them: `90s`, `1.5h`, `2d`, `250ms`."""

import re
from typing import Any

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MAX_S = 1e10
"""Some three centuries: what is longer would leave the range of dates."""


def duration_s(text: Any) -> float:
    """Seconds in a duration or a plain number of seconds. Errors: ValueError saying the form."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        seconds = float(text)
    else:
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", str(text))
        if match is None:
            raise ValueError(f"Not a duration: {text!r}; write 90s, 15m, 1.5h or 2d.")
        seconds = float(match[1]) * _UNITS_S[match[2]]
    if not 0 <= seconds < _MAX_S:
        raise ValueError(f"Not a duration that the clock can be moved by: {text!r}.")
    return seconds
