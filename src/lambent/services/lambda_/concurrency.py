"""Admission: how many invocations an account may have under way, or 429.

A lease is taken before an environment is looked for and returned when the invocation ends, however
it ends. Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from lambent.base.errors import AwsError
from lambent.kernel import Ctx
from lambent.services.lambda_ import limits


def throttled(reason: str) -> AwsError:
    """TooManyRequestsException with AWS's `Reason`."""
    return AwsError(
        "TooManyRequestsException",
        "Rate Exceeded.",
        status=429,
        fields={"Reason": reason},
        headers={"Retry-After": "1"},
    )


class Concurrency:
    """Invocations under way, by account and region."""

    def __init__(self) -> None:
        self._running: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def lease(self, ctx: Ctx) -> Iterator[None]:
        """Hold one of the account's executions. Errors: TooManyRequestsException."""
        tenant = (ctx.account, ctx.region)
        if self._running[tenant] >= limits.CONCURRENCY_MAX:
            raise throttled("ConcurrentInvocationLimitExceeded")
        self._running[tenant] += 1
        try:
            yield
        finally:
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]

    def running(self, account: str, region: str) -> int:
        """Invocations under way."""
        return self._running[account, region]
