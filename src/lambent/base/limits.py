"""Bounds that belong to no service: every queue, loop and body has one."""

BODY_BYTES_MAX = 70_167_211
"""The largest request body that is read whole: Lambda's CreateFunction, 50 MB of zip in base64.
Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

DRAIN_S_MAX = 30.0
"""How long a stopping server waits for running work."""
