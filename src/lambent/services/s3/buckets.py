"""Buckets: their operations, and finding the one that a request is for.

A bucket belongs to an account and a region, and its record and objects lie under those; but its
name is taken in all of them. So each has a second record in a directory under the platform's own
tenant, which is read when a bucket is not found at home, and to list. Both change in one commit.

Deleting: while a bucket's emptiness is established its name is in `Engine.closing`, and writes to
it are turned away (OperationAborted), so that no object slips in between the look and the commit.
"""

import hashlib

from msgspec.structs import replace

from lambent.base.arn import Arn, partition_of
from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Platform, Principal, Verbs, Wire
from lambent.kernel.paging import BadTokenError, decode_token, encode_token
from lambent.kernel.timers import SYSTEM
from lambent.services.s3.errors import (
    access_denied,
    invalid_argument,
    malformed_xml,
    no_such_bucket,
    not_implemented,
    operation_aborted,
)
from lambent.services.s3.limits import BUCKETS_MAX, BUCKETS_PAGE_MAX, DELETE_ROWS
from lambent.services.s3.rules import names, options
from lambent.store.protocol import ABSENT, Conflict, Delete, Key, Put, Record

VERBS = Verbs()
_DIRECTORY: Key = (SYSTEM, SYSTEM, "s3", "BucketName")
_REDIRECT = (
    "The bucket you are attempting to access must be addressed using the specified endpoint. "
    "Please send all future requests to this endpoint."
)


class Engine:
    """What the running service holds: the names of buckets that are being deleted."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.closing: set[str] = set()

    async def stop(self) -> None:
        """Nothing is running."""

    async def reset(self, account: str | None, region: str | None) -> None:
        """Give back the names of the buckets that are about to be dropped."""
        store = self._platform.store
        after: Key | None = None
        while rows := await store.scan(_DIRECTORY, after=after):
            after = rows[-1].key
            doomed = [
                Delete(row.key)
                for row in rows
                if account in (None, row.value["account"])
                and region in (None, row.value["BucketRegion"])
            ]
            if doomed:
                await store.commit(*doomed)


async def start(platform: Platform) -> Engine:
    """The engine of one platform."""
    return Engine(platform)


async def home(ctx: Ctx, request: Wire, bucket: str = "") -> Ctx:
    """`ctx` in the account and region of the request's bucket (or of `bucket`).

    Errors: NoSuchBucket, AccessDenied, PermanentRedirect, InvalidBucketOwnerAWSAccountID.
    """
    name = bucket or request["Bucket"]
    if await ctx.get("Bucket", name) is None:
        ctx = await _elsewhere(ctx, name)
    member = "ExpectedSourceBucketOwner" if bucket else "ExpectedBucketOwner"
    if member in request:
        check_owner(ctx, request[member])
    return ctx


def anywhere(ctx: Ctx) -> Ctx:
    """`ctx` as one that may find buckets in any region of its account, as sources of copies are."""
    principal = ctx.principal
    return ctx.acting_as(Principal(principal.account, principal.arn, principal.user_id))


def check_owner(ctx: Ctx, expected: str) -> None:
    """Errors: AccessDenied unless `expected` is the account of `ctx`."""
    if not (len(expected) == 12 and expected.isascii() and expected.isdecimal()):
        raise AwsError(
            "InvalidBucketOwnerAWSAccountID",
            "The value of the expected bucket owner parameter must be an AWS Account ID... "
            f"[{expected}]",
            status=400,
        )
    if expected != ctx.account:
        raise access_denied()


async def check_open(ctx: Ctx, bucket: str) -> None:
    """Whether the bucket is (still) there to be written to. Ask right before a commit, with no
    wait in between: what a slow body took its time for, a DeleteBucket may have overtaken.

    Errors: NoSuchBucket, OperationAborted while the bucket is being deleted.
    """
    if bucket in ctx.engine.closing:
        raise operation_aborted()
    if await ctx.get("Bucket", bucket) is None:
        raise no_such_bucket(bucket)


async def _elsewhere(ctx: Ctx, name: str) -> Ctx:
    entry = await ctx.store.get((*_DIRECTORY, name))
    if entry is None:
        raise no_such_bucket(name)
    if entry.value["account"] != ctx.account:
        raise access_denied()
    region = entry.value["BucketRegion"]
    if ctx.principal.access_key:
        # A signature names a region, and AWS sends who signed for another one to the right place.
        # What is not signed (the platform's own calls, `--auth off`) has no wrong region.
        raise AwsError(
            "PermanentRedirect",
            _REDIRECT,
            status=301,
            fields={"Endpoint": f"{name}.s3-{region}.amazonaws.com", "Bucket": name},
            headers={"x-amz-bucket-region": region},
        )
    return replace(ctx, region=region)


def arn(region: str, name: str) -> str:
    """The ARN of a bucket, which names neither region nor account."""
    return str(Arn(partition_of(region), "s3", "", "", name))


@VERBS.operation("CreateBucket")
async def create_bucket(ctx: Ctx, request: Wire) -> Wire:
    """Make a bucket. In us-east-1 making one's own again succeeds, as it always has.

    Errors: InvalidBucketName, InvalidLocationConstraint, IllegalLocationConstraintException,
    BucketAlreadyExists, BucketAlreadyOwnedByYou, TooManyBuckets.
    """
    name = request["Bucket"]
    names.check_bucket(name)
    options.refuse(request)
    region = names.bucket_region(_constraint(request), ctx.region)
    there = replace(ctx, region=region)
    entry: Wire = {"account": ctx.account, "BucketRegion": region, "CreationDate": int(ctx.now())}
    record: Wire = {"Name": name, "CreationDate": entry["CreationDate"]}
    if constraint := _constraint(request):
        record["LocationConstraint"] = constraint
    directory = (*_DIRECTORY, name)
    if await ctx.store.get(directory) is None and await _full(ctx):
        text = "You have attempted to create more buckets than allowed"
        raise AwsError("TooManyBuckets", text, status=400)
    try:
        await ctx.commit(
            Put(directory, entry, expect=ABSENT), Put(there.key("Bucket", name), record)
        )
    except Conflict:
        await _taken(ctx, name, region)
    host = ctx.origin.removeprefix("http://").rpartition(":")
    port = f":{host[2]}" if host[2].isdecimal() else ""
    location = (
        f"/{name}" if ctx.region == names.HOME == region else f"http://{name}.s3.localhost{port}/"
    )
    return {"Location": location, "BucketArn": arn(region, name)}


def _constraint(request: Wire) -> str | None:
    configuration = request.get("CreateBucketConfiguration")
    if not configuration:
        return None
    if "Location" in configuration or "Bucket" in configuration:
        raise not_implemented("CreateBucketConfiguration: directory buckets")
    if configuration.get("Tags"):
        raise not_implemented("CreateBucketConfiguration: Tags")
    constraint = configuration.get("LocationConstraint")
    if not constraint:
        raise malformed_xml()
    return str(constraint)


async def _full(ctx: Ctx) -> bool:
    return len(await _owned(ctx, "", "", BUCKETS_MAX)) >= BUCKETS_MAX


async def _taken(ctx: Ctx, name: str, region: str) -> None:
    entry = await ctx.store.get((*_DIRECTORY, name))
    if entry is None:
        raise operation_aborted()
    fields = {"BucketName": name}
    if entry.value["account"] != ctx.account:
        text = (
            "The requested bucket name is not available. The bucket namespace is shared by all "
            "users of the system. Please select a different name and try again."
        )
        raise AwsError("BucketAlreadyExists", text, status=409, fields=fields)
    if not region == entry.value["BucketRegion"] == ctx.region == names.HOME:
        text = "Your previous request to create the named bucket succeeded and you already own it."
        raise AwsError("BucketAlreadyOwnedByYou", text, status=409, fields=fields)


@VERBS.operation("HeadBucket")
async def head_bucket(ctx: Ctx, request: Wire) -> Wire:
    """Whether a bucket is there and ours. Errors: NoSuchBucket, AccessDenied, PermanentRedirect."""
    there = await home(ctx, request)
    return {
        "BucketArn": arn(there.region, request["Bucket"]),
        "BucketRegion": there.region,
        "AccessPointAlias": False,
    }


@VERBS.operation("GetBucketLocation")
async def get_bucket_location(ctx: Ctx, request: Wire) -> Wire:
    """The LocationConstraint; none in us-east-1. It may be asked from any region."""
    entry = await ctx.store.get((*_DIRECTORY, request["Bucket"]))
    there = ctx if entry is None else replace(ctx, region=entry.value["BucketRegion"])
    there = await home(there, request)
    record = await there.get("Bucket", request["Bucket"])
    return {"LocationConstraint": record.value.get("LocationConstraint")} if record else {}


@VERBS.operation("ListBuckets")
async def list_buckets(ctx: Ctx, request: Wire) -> Wire:
    """The account's buckets in all regions, by name. O(buckets of all accounts)."""
    limit = request.get("MaxBuckets", BUCKETS_PAGE_MAX)
    if not 1 <= limit <= BUCKETS_PAGE_MAX:
        text = f"Argument max-buckets must be an integer between 1 and {BUCKETS_PAGE_MAX}"
        raise invalid_argument(text, "max-buckets", limit)
    paged = bool(request.keys() & {"MaxBuckets", "ContinuationToken", "Prefix", "BucketRegion"})
    prefix = request.get("Prefix", "")
    after = ""
    binding = (ctx.account, "s3", "Buckets")
    if token := request.get("ContinuationToken"):
        try:
            after = decode_token(binding, token)
        except BadTokenError:
            text = "The continuation token provided is incorrect"
            raise invalid_argument(text, "continuation-token") from None
    rows = await _owned(ctx, prefix, after, limit + 1, request.get("BucketRegion"))
    answer: Wire = {
        "Buckets": [_listed(row, with_region=paged) for row in rows[:limit]],
        "Owner": owner(ctx),
    }
    if "Prefix" in request:
        answer["Prefix"] = prefix
    if len(rows) > limit:
        answer["ContinuationToken"] = encode_token(binding, rows[limit - 1].key[-1])
    return answer


def _listed(row: Record, *, with_region: bool) -> Wire:
    region, name = row.value["BucketRegion"], row.key[-1]
    found: Wire = {
        "Name": name,
        "CreationDate": row.value["CreationDate"],
        "BucketArn": arn(region, name),
    }
    if with_region:
        found["BucketRegion"] = region
    return found


async def _owned(
    ctx: Ctx, prefix: str, after: str, limit: int, region: str | None = None
) -> list[Record]:
    found: list[Record] = []
    position: Key | None = (*_DIRECTORY, after) if after else None
    while len(found) < limit:
        rows = await ctx.store.scan(_DIRECTORY, after=position, starts=prefix)
        found += [
            row
            for row in rows
            if row.value["account"] == ctx.account and region in (None, row.value["BucketRegion"])
        ]
        if not rows:
            break
        position = rows[-1].key
    return found[:limit]


def owner(ctx: Ctx) -> Wire:
    """The account's canonical user: an id of S3's own that says nothing else."""
    return {"ID": hashlib.sha256(f"canonical user {ctx.account}".encode()).hexdigest()}


@VERBS.operation("DeleteBucket")
async def delete_bucket(ctx: Ctx, request: Wire) -> Wire:
    """Delete an empty bucket; multipart uploads in progress go with it.

    Errors: NoSuchBucket, BucketNotEmpty, OperationAborted.
    """
    there = await home(ctx, request)
    name = request["Bucket"]
    closing: set[str] = ctx.engine.closing
    await check_open(there, name)
    closing.add(name)
    try:
        await ctx.store.commit()  # what was under way when the name closed is stored after this
        if await ctx.store.scan(there.key("Object", name), limit=1):
            text = "The bucket you tried to delete is not empty"
            raise AwsError("BucketNotEmpty", text, status=409, fields={"BucketName": name})
        for noun in ("Upload", "Part"):
            await _clear(there, there.key(noun, name))
        await ctx.commit(Delete(there.key("Bucket", name)), Delete((*_DIRECTORY, name)))
    finally:
        closing.discard(name)
    return {}


async def _clear(ctx: Ctx, prefix: Key) -> None:
    while rows := await ctx.store.scan(prefix, limit=DELETE_ROWS):
        await ctx.commit(*(Delete(row.key) for row in rows))
