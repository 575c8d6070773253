"""CloudWatch Logs' quotas, and bounds of our own.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
"""

BATCH_BYTES_MAX = 1_048_576
"""One PutLogEvents, where each event counts its UTF-8 bytes and EVENT_OVERHEAD_BYTES."""
EVENT_OVERHEAD_BYTES = 26
BATCH_SPAN_MS_MAX = 24 * 3600 * 1000
EVENT_AGE_MS_MAX = 14 * 24 * 3600 * 1000
EVENT_AHEAD_MS_MAX = 2 * 3600 * 1000

PAGE_EVENTS_MAX = 10_000
PAGE_BYTES_MAX = 1_048_576
"""Messages in one answer of GetLogEvents or FilterLogEvents; at least one event is answered."""

SCAN_EVENTS_MAX = 100_000
"""Events that one FilterLogEvents looks at before it answers with a token."""

DESCRIBE_MAX = 50
"""Groups or streams in one answer."""

STREAMS_MAX = 100_000
"""Streams of one group that are looked at when they are sorted by time, filtered or deleted."""

STREAMS_CACHED_MAX = 20_000
"""Streams whose totals are held in memory."""

RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip

SWEEP_S = 86_400
"""How often expired events are taken out of the store; readers never see them."""

DAY_MS = 86_400_000
