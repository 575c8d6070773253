"""Lambda's quotas, each with its unit.

Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

PAYLOAD_BYTES_MAX = 6_291_456
"""A synchronous request's payload."""

RESPONSE_BYTES_MAX = 6_291_556
"""A buffered response's payload (6 MiB and 100 bytes)."""

CLIENT_CONTEXT_BYTES_MAX = 3_583
ZIP_BYTES_MAX = 52_428_800
"""A package in the request itself; one from S3 may be larger."""

UNZIPPED_BYTES_MAX = 262_144_000
ENVIRONMENT_BYTES_MAX = 4_096
NAME_LENGTH_MAX = 64
TIMEOUT_S_MAX = 900
MEMORY_MIB_MAX = 10_240
TMP_MIB_MAX = 10_240
TAGS_MAX = 50
CODE_STORAGE_BYTES_MAX = 80_530_636_800
CONCURRENCY_MAX = 1_000
"""Invocations under way in one account and region."""

LIST_MAX = 50
INIT_S_MAX = 10.0
LOG_TAIL_BYTES = 4_096

ENVIRONMENTS_MAX = 1_000
"""Execution environments alive at once on this server."""

WAITING_MAX = 10_000
"""Invocations waiting for an environment; one more is throttled."""

IDLE_S_MAX = 600.0
"""An environment that has had nothing to do for this long is shut down."""

DOWNLOAD_S = 600.0
"""How long `Code.Location` is good for."""
