"""Deployment packages: taken from the request or from S3, checked, stored once per content.

A package is a blob named by its SHA-256, which is also its CodeSha256. It is checked before it is
stored: size, zip structure, paths that leave the folder, what it unpacks to.
Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-package.html
"""

import base64

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Wire
from lambent.sandbox.code import BadPackageError, inspect
from lambent.services.lambda_ import limits
from lambent.services.lambda_.configuration import invalid
from lambent.store.protocol import SMALL_BLOB_BYTES, Blob
from lambent.wire import Stream


class Package(Struct, frozen=True):
    """A stored package and the record members that describe it."""

    blob: Blob
    members: Wire


async def take(ctx: Ctx, code: Wire) -> Package:
    """The package that `code` (a FunctionCode, or the members of UpdateFunctionCode) brings.

    Its blob is pinned until `release`. Errors: InvalidParameterValueException,
    RequestEntityTooLargeException.
    """
    if "ImageUri" in code:
        raise invalid(
            "Please don't provide ImageUri when updating a function with packageType Zip."
        )
    for name in ("S3ObjectVersion", "SourceKMSKeyArn"):
        if code.get(name):
            raise invalid(f"Lambent does not support {name} yet.")
    if code.get("S3ObjectStorageMode", "COPY") != "COPY":
        raise invalid("Lambent does not support S3ObjectStorageMode REFERENCE yet.")
    if (data := code.get("ZipFile")) is not None:
        if len(data) > limits.ZIP_BYTES_MAX:
            message = f"Zipped size must be smaller than {limits.ZIP_BYTES_MAX} bytes"
            raise AwsError("RequestEntityTooLargeException", message, status=413)
    elif code.get("S3Bucket") and code.get("S3Key"):
        data = await _from_s3(ctx, code)
    else:
        raise invalid("Please provide a source for function code.")
    return await _store(ctx, data)


def release(ctx: Ctx, package: Package) -> None:
    """Let go of a package once a commit refers to it, or once it was refused."""
    ctx.store.blobs.release(package.blob.sha256)


async def _from_s3(ctx: Ctx, code: Wire) -> bytes:
    request = {"Bucket": code["S3Bucket"], "Key": code["S3Key"]}
    try:
        answer = await ctx.call("s3", "GetObject", request)
    except AwsError as error:
        raise invalid(
            f"Error occurred while GetObject. S3 Error Code: {error.code}. "
            f"S3 Error Message: {error.message}"
        ) from error
    body = answer["Body"]
    if isinstance(body, bytes):
        return body
    assert isinstance(body, Stream)
    parts: list[bytes] = []
    size = 0
    async for chunk in body.chunks:
        size += len(chunk)
        if size > limits.UNZIPPED_BYTES_MAX:
            raise too_large()
        parts.append(chunk)
    return b"".join(parts)


async def _store(ctx: Ctx, data: bytes) -> Package:
    try:
        unzipped = inspect(data)
    except BadPackageError as error:
        raise invalid(
            "Could not unzip uploaded file. Please check your file, then try to upload again."
        ) from error
    if unzipped > limits.UNZIPPED_BYTES_MAX:
        raise too_large()
    blobs = ctx.store.blobs
    if len(data) <= SMALL_BLOB_BYTES:
        blob = blobs.small(data)
        blobs.pin(blob.sha256)
    else:
        writer = blobs.writer()
        try:
            await writer.write(data)
            blob = await writer.finish()
        finally:
            writer.close()
    members = {
        "CodeSha256": base64.b64encode(bytes.fromhex(blob.sha256)).decode(),
        "CodeSize": len(data),
        "_code": blob.sha256,
        "_code_bytes": blob.size_bytes,
    }
    return Package(blob, members)


def too_large() -> AwsError:
    """The package unpacks to more than Lambda allows."""
    return invalid(f"Unzipped size must be smaller than {limits.UNZIPPED_BYTES_MAX} bytes")


def blob_of(record: Wire) -> Blob:
    """The stored package that a record refers to."""
    return Blob(record["_code"], record["_code_bytes"])
