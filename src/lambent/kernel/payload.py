"""A streamed body under a signature: what arrives must be what was signed.

The signature covers the hash that the caller announced; this compares it with the bytes while they
pass, so that nothing need be held. Who consumes them keeps nothing before the end has come.
"""

import hashlib
import re
from collections.abc import AsyncIterator

from lambent.base.errors import AwsError
from lambent.net.message import Body, Request

HEADER = "x-amz-content-sha256"
_HASH = re.compile("[0-9a-fA-F]{64}")


def as_signed(request: Request, body: Body) -> Body:
    """`body`, held to the hash that `request` announces, if it announces one."""
    announced = request.headers.get(HEADER, "")
    return SignedBody(body, announced.lower()) if _HASH.fullmatch(announced) else body


class SignedBody:
    """A body that fails at its end if it is not the one that was signed."""

    def __init__(self, body: Body, sha256: str) -> None:
        self._body, self._sha256 = body, sha256
        self.length = body.length
        self.trailers = body.trailers

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Errors: XAmzContentSHA256Mismatch."""
        data = await self._body.read(limit_bytes)
        self._check(hashlib.sha256(data).hexdigest())
        return data

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Errors: XAmzContentSHA256Mismatch, at the end."""
        digest = hashlib.sha256()
        async for chunk in self._body.chunks():
            digest.update(chunk)
            yield chunk
        self._check(digest.hexdigest())

    def _check(self, arrived: str) -> None:
        if arrived != self._sha256:
            message = "The provided 'x-amz-content-sha256' header does not match what was computed."
            fields = {
                "ClientComputedContentSHA256": self._sha256,
                "S3ComputedContentSHA256": arrived,
            }
            raise AwsError("XAmzContentSHA256Mismatch", message, status=400, fields=fields)
