"""The limits that clients of AWS rely on."""

from lambent.net import HttpLimits


def test_defaults() -> None:
    limits = HttpLimits()
    assert limits.head_bytes_max >= 1_000_000  # Lambda takes 1 MB of request line and headers
    assert limits.keepalive_timeout_s > 60  # AWS SDK pools close idle connections first
    assert limits.body_buffer_bytes <= 262_144
