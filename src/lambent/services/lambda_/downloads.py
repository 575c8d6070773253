"""`Code.Location`: an address from which a function's package can be downloaded for ten minutes.

The address is signed with a key that lives as long as the server, so that it cannot be guessed and
does not outlive its time.
"""

import hashlib
import hmac
from urllib.parse import parse_qs

from lambent.base.errors import AwsError
from lambent.kernel import Ctx
from lambent.net.message import Request, Response
from lambent.services.lambda_ import limits
from lambent.services.lambda_.engine import engine

CONTROL = "code"
"""The control address below `/_lambent/`."""


def location(ctx: Ctx, sha256: str) -> str:
    """The signed address of a package."""
    expires = int(ctx.now() + limits.DOWNLOAD_S)
    return (
        f"{ctx.origin}/_lambent/{CONTROL}/{sha256}"
        f"?Expires={expires}&Signature={_sign(ctx, sha256, expires)}"
    )


async def download(ctx: Ctx, request: Request) -> Response:
    """Answer a signed address. Errors: AccessDenied (403)."""
    sha256 = request.path.rsplit("/", 1)[-1]
    query = parse_qs(request.query)
    expires = query.get("Expires", ["0"])[0]
    given = query.get("Signature", [""])[0]
    denied = AwsError("AccessDenied", "Request has expired or its signature is wrong.", status=403)
    if not expires.isdecimal() or int(expires) < ctx.now():
        raise denied
    if not hmac.compare_digest(given.encode(), _sign(ctx, sha256, int(expires)).encode()):
        raise denied
    try:
        data = await ctx.store.blobs.read(sha256)
    except KeyError:
        raise AwsError("NoSuchKey", "The package was deleted.", status=404) from None
    return Response(200, [("Content-Type", "application/zip")], data)


def _sign(ctx: Ctx, sha256: str, expires: int) -> str:
    key = engine(ctx).download_key
    return hmac.new(key, f"{sha256}:{expires}".encode(), hashlib.sha256).hexdigest()
