"""An AwsError carries what the wire needs, and copies what it was given."""

from lambent.base.errors import AwsError, StartupError


def test_what_it_carries() -> None:
    fields = {"Reason": "ConcurrentInvocationLimitExceeded"}
    headers = {"Retry-After": "1"}
    error = AwsError(
        "TooManyRequestsException", "Slow down", status=429, fields=fields, headers=headers
    )
    fields.clear()
    headers.clear()
    assert (error.code, error.message, error.status) == (
        "TooManyRequestsException",
        "Slow down",
        429,
    )
    assert error.fields == {"Reason": "ConcurrentInvocationLimitExceeded"}
    assert error.headers == {"Retry-After": "1"}
    assert str(error) == "TooManyRequestsException: Slow down"


def test_defaults() -> None:
    error = AwsError("NoSuchKey", None)
    assert (error.message, error.status, error.fields, error.headers) == (None, None, {}, {})
    assert not isinstance(StartupError("x"), AwsError)
