"""How a request becomes an operation: one ordered list, no handler chain.

match -> identify -> parse -> validate -> dispatch -> serialise; each step may end it with an
`AwsError`, which is serialised in the protocol's own shape. Authorisation will stand between parse
and validate. This is one of the two places that catch everything (the other is the supervisor).
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.base.clock import wall_ms
from lambent.base.errors import AwsError
from lambent.base.limits import BODY_BYTES_MAX
from lambent.kernel.context import Ctx, Principal
from lambent.kernel.payload import as_signed
from lambent.kernel.service import Service
from lambent.net.message import (
    Body,
    BodyTooLarge,
    BodyTruncated,
    BytesBody,
    Request,
    Response,
)
from lambent.store.protocol import Conflict, StoreFull
from lambent.wire import Call, Credential, Dialect, sigv4
from lambent.wire.chunked import ChunkedBody, ChunkKey, is_chunked

if TYPE_CHECKING:
    from lambent.kernel.platform import Platform

_log = logging.getLogger("lambent.pipeline")


class Pipeline:
    """Serves requests that have been routed to a service."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def serve(
        self,
        service: Service,
        request: Request,
        credential: Credential | None,
        signed: Request | None = None,
    ) -> Response:
        """The service's answer, errors included; never raises for what a caller sent.

        `signed` is the request as it came, where routing has turned it into another address.
        """
        request_id = self._platform.ids.uuid()
        call: Call | None = None
        codec = service.codec
        try:
            form = await request.body.read(BODY_BYTES_MAX) if codec.reads_form(request) else None
            call = codec.match(request, form or b"")
            streams = codec.streams_in(call.operation)
            body = form if form is not None else await _body(request, streams)
            came = signed or request
            ctx, key = await self._context(service, came, credential, request_id, body)
            if streams and is_chunked(request):
                body = ChunkedBody.of(request, request.body, key)
            elif streams and key is not None:
                body = as_signed(request, request.body)
            params = codec.parse(call, request, body)
            service.validate(call.operation, params)
            result = await service.dispatch(ctx, call.operation, params)
            return codec.serialize(call, result, request_id)
        except AwsError as error:
            return codec.serialize_error(error, call, request, request_id)
        except Exception as error:  # noqa: BLE001 - a caller always gets an answer
            return codec.serialize_error(self._translate(error), call, request, request_id)

    async def admit(self, request: Request, limit_bytes: int) -> tuple[Principal, Request]:
        """Who signed a request that is no operation, and the request, its body read and checked.

        Errors: AwsError as for operations, BodyTooLarge, BodyTruncated.
        """
        body = await request.body.read(limit_bytes)
        credential = sigv4.parse_credential(request)
        principal, _ = await self._verify(request, credential, body, sigv4.JSON)
        return principal, replace(request, body=BytesBody(body))

    def _translate(self, error: Exception) -> AwsError:
        """The AWS error for what is not one: the caller's broken body, our store, or a bug."""
        match error:
            case BodyTooLarge():
                message = f"Request must be smaller than {BODY_BYTES_MAX} bytes"
                return AwsError("RequestEntityTooLargeException", message, status=413)
            case BodyTruncated():
                message = "The request body terminated unexpectedly"
                return AwsError("IncompleteBody", message, status=400)
            case Conflict():
                message = "The resource was changed by another request at the same time."
                return AwsError("ConcurrentModificationException", message, status=409)
            case StoreFull():
                _log.error("the store refuses writes: %s", error)
                return AwsError("ServiceUnavailable", f"The store is full: {error}", status=503)
        _log.error("an operation failed unexpectedly", exc_info=error)
        return AwsError("InternalFailure", "An internal error occurred.", status=500)

    async def _context(
        self,
        service: Service,
        request: Request,
        credential: Credential | None,
        request_id: str,
        body: bytes | Body,
    ) -> tuple[Ctx, ChunkKey | None]:
        """The operation's surroundings, and what a verified upload's chunks are signed with."""
        platform = self._platform
        region = (credential.region if credential else "") or platform.settings.region
        key: ChunkKey | None = None
        if platform.settings.enforce:
            dialect = service.codec.dialect(request)
            principal, key = await self._verify(request, credential, body, dialect)
        else:
            access_key = credential.access_key if credential else ""
            principal = await platform.identities.principal(access_key, region)
        headers = request.headers
        host = headers.get("host")
        ctx = Ctx(
            platform=platform,
            service=service.name,
            account=principal.account,
            region=service.global_region or region,
            principal=principal,
            request_id=request_id,
            trace_id=headers.get("x-amzn-trace-id", ""),
            peer=request.peer,
            origin=f"http://{host}" if host else platform.endpoint,
        )
        return ctx, key

    async def _verify(
        self,
        request: Request,
        credential: Credential | None,
        body: bytes | Body,
        dialect: Dialect,
    ) -> tuple[Principal, ChunkKey]:
        if credential is None:
            message = "Request is missing Authentication Token"
            raise AwsError("MissingAuthenticationTokenException", message, status=403)
        issued = await self._platform.identities.verified(
            credential.access_key, credential.security_token or ""
        )
        digest = hashlib.sha256(body).hexdigest() if isinstance(body, bytes) else None
        # A client signs by its own, real clock; how long a presigned URL holds is ours to say.
        clock = self._platform.clock
        now_s = clock.now() if credential.presigned else wall_ms() / 1000
        sigv4.verify(request, credential, issued.secret, now_s, digest, dialect)
        return issued.principal, ChunkKey.of(credential, issued.secret)


async def _body(request: Request, streams: bool) -> bytes | Body:
    return request.body if streams else await request.body.read(BODY_BYTES_MAX)
