"""Admission: how many invocations an account may have under way, or 429.

A lease is taken before an environment is looked for and returned when the invocation ends, however
it ends. Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
"""

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
        self._running: dict[tuple[str, str], int] = {}

    def acquire(self, ctx: Ctx) -> None:
        """Take one of the account's executions; `release` it. Errors: TooManyRequestsException."""
        tenant = (ctx.account, ctx.region)
        running = self._running.get(tenant, 0)
        if running >= limits.CONCURRENCY_MAX:
            raise throttled("ConcurrentInvocationLimitExceeded")
        self._running[tenant] = running + 1

    def release(self, ctx: Ctx) -> None:
        """Give one back."""
        tenant = (ctx.account, ctx.region)
        left = self._running[tenant] - 1
        if left:
            self._running[tenant] = left
        else:
            del self._running[tenant]

    def running(self, account: str, region: str) -> int:
        """Invocations under way."""
        return self._running.get((account, region), 0)
