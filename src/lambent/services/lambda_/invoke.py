"""Invoke: the front door to user code.

Qualifier to version, payload to environment, answer to caller. The payload is checked to be JSON
and otherwise never decoded.
Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import base64
import binascii

import msgspec

from lambent.base.clock import wall_ms
from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.service import not_implemented
from lambent.sandbox.box import Invocation
from lambent.services.lambda_ import limits
from lambent.services.lambda_.configuration import invalid
from lambent.services.lambda_.engine import engine
from lambent.services.lambda_.environment import Outcome
from lambent.services.lambda_.functions import find
from lambent.services.lambda_.names import LATEST, parse

VERBS = Verbs()

_check_json = msgspec.json.Decoder(msgspec.Raw).decode


@VERBS.operation("Invoke")
async def invoke(ctx: Ctx, request: Wire) -> Wire:
    """Run a function and wait for its answer; DryRun only checks.

    Errors: ResourceNotFoundException, ResourceConflictException, InvalidRequestContentException,
    RequestTooLargeException, TooManyRequestsException, ServiceException.
    """
    address = parse(ctx, request)
    kind = request.get("InvocationType", "RequestResponse")
    if kind == "Event":
        raise not_implemented("lambda:Invoke with InvocationType Event")
    for name in ("TenantId", "DurableExecutionName"):
        if name in request:
            raise invalid(f"Lambent does not support {name} yet.")
    payload = checked_payload(request.get("Payload") or b"{}")
    context = _client_context(request)
    record = (await find(ctx, address, shown=address.qualifier or LATEST)).value
    if kind == "DryRun":
        return {"StatusCode": 204}
    record = runnable(record)
    outcome = await _run(
        ctx,
        record,
        Invocation(
            request_id=ctx.request_id,
            payload=payload,
            # The runtime counts down to its deadline by its own, real clock.
            deadline_ms=wall_ms() + 1000 * record["Timeout"],
            function_arn=address.arn(ctx, address.qualifier),
            trace_id=ctx.trace_id or new_trace(ctx),
            client_context=context,
        ),
        tail=request.get("LogType") == "Tail",
    )
    answer: Wire = {
        "StatusCode": 200,
        "Payload": outcome.payload,
        "ExecutedVersion": outcome.executed_version,
    }
    if outcome.error:
        answer["FunctionError"] = outcome.error
    if outcome.log_tail:
        answer["LogResult"] = outcome.log_tail
    return answer


async def _run(ctx: Ctx, record: Wire, invocation: Invocation, *, tail: bool) -> Outcome:
    """Run one event on an environment of its own: the one way to run user code."""
    running = engine(ctx)
    running.concurrency.acquire(ctx)
    try:
        key = (ctx.account, ctx.region, record["FunctionName"], record["Version"])
        lease = await running.pool.acquire(
            key, record["_generation"], lambda: running.start(ctx, record)
        )
        broken = True
        try:
            outcome = await lease[1].invoke(invocation, tail=tail)
            broken = False
        finally:
            await running.pool.release(lease, broken=broken)
    finally:
        running.concurrency.release(ctx)
    running.meter.add(ctx, record, outcome.report)
    return outcome


def runnable(record: Wire) -> Wire:
    """What runs now: while an update settles, what ran before it.

    Errors: ResourceConflictException while a function is being created or has failed.
    """
    if record["State"] != "Active":
        raise AwsError(
            "ResourceConflictException",
            "The operation cannot be performed at this time. The function is currently in the "
            f"following state: {record['State']}",
        )
    running: Wire = record.get("_running") or record
    return running


def checked_payload(payload: bytes) -> bytes:
    """`payload` if it is JSON of an allowed size.

    Errors: RequestTooLargeException, InvalidRequestContentException.
    """
    if len(payload) > limits.PAYLOAD_BYTES_MAX:
        raise AwsError(
            "RequestTooLargeException",
            f"Request must be smaller than {limits.PAYLOAD_BYTES_MAX} bytes for the InvokeFunction "
            "operation",
            status=413,
        )
    try:
        _check_json(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise AwsError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {error}",
        ) from error
    return payload


def _client_context(request: Wire) -> str:
    text = request.get("ClientContext")
    if not text:
        return ""
    if len(text) > limits.CLIENT_CONTEXT_BYTES_MAX:
        raise invalid(
            f"Client context must be smaller than {limits.CLIENT_CONTEXT_BYTES_MAX} bytes."
        )
    try:
        decoded = base64.b64decode(text, validate=True)
        _check_json(decoded)
        return decoded.decode()
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        message = "Client context must be a valid Base64-encoded JSON object."
        raise AwsError("InvalidRequestContentException", message) from error


def new_trace(ctx: Ctx) -> str:
    """A trace header for a request that brought none.

    Source: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    random = ctx.platform.ids.hex(40)
    return f"Root=1-{int(ctx.now()):08x}-{random[:24]};Parent={random[24:]};Sampled=0"
