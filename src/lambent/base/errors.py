"""The one exception that reaches a caller as an AWS error."""

from collections.abc import Mapping
from typing import Any


class AwsError(Exception):
    """An error that AWS would answer, by its modelled code.

    `code` is the wire code (`ResourceNotFoundException`). `status` overrides the HTTP status of
    the model (400 where a code is not modelled). `fields` are further members of the error shape
    (`{"Reason": ...}`), `headers` further response headers (`Retry-After`).
    Source: https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html
    """

    def __init__(
        self,
        code: str,
        message: str | None,
        *,
        status: int | None = None,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})


class StartupError(Exception):
    """The server cannot start; the text says why and what to do about it."""
