"""AWS Lambda: functions, versions, environments, invocations. The heart.

Model 2015-03-31, https://docs.aws.amazon.com/lambda/latest/dg/. Read first: `invoke.py` and down
its path (`concurrency`, `pool`, `environment`), then `functions.py`. Deviations: code is in place
within milliseconds, so Pending and InProgress are short; the /tmp of a crashed environment is gone.
"""

from lambent.kernel import Ctx, Engine, Platform, Service, Target
from lambent.kernel.answers import json_response
from lambent.net.message import Request, Response
from lambent.services.lambda_ import account, functions, invoke, publishing
from lambent.services.lambda_.downloads import CONTROL, download
from lambent.services.lambda_.engine import LambdaEngine, engine
from lambent.services.lambda_.metering import cost
from lambent.services.lambda_.resources import TAGS


async def _start(platform: Platform) -> Engine:
    return LambdaEngine(platform)


async def _environments(ctx: Ctx, request: Request) -> Response:  # noqa: ARG001
    """`GET /_lambent/environments`."""
    return json_response({"environments": engine(ctx).describe()})


async def _cost(ctx: Ctx, request: Request) -> Response:
    """`GET /_lambent/cost`."""
    return await cost(ctx, engine(ctx).meter, request)


SERVICE = Service(
    name="lambda",
    parts=(TAGS, functions.VERBS, publishing.VERBS, account.VERBS, invoke.VERBS),
    unvalidated=frozenset({"Runtime", "Architectures"}),
    path_prefixes=("/2015-03-31/", "/2014-11-13/", "/2016-08-19/", "/2017-", "/2018-", "/2019-"),
    start=_start,
    timers={functions.SETTLE: functions.settle},
    controls={"environments": _environments, "cost": _cost, CONTROL: download},
    open_controls=frozenset({CONTROL}),
    targets={
        "function": Target(
            "Invoke", lambda arn, payload, _: {"FunctionName": arn, "Payload": payload}
        )
    },
)
