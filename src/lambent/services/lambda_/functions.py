"""The control plane of functions: create, read, list, update, delete.

A function is one record, ("Function", name), that is its $LATEST; its versions lie beside it. A
change is stored as Pending or InProgress together with a durable timer; the timer's handler puts
the code in place and settles the state, also after a crash in between.
Source: https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.traits.resource import filtered_page
from lambent.sandbox.code import BadPackageError
from lambent.services.lambda_ import configuration, limits, packages
from lambent.services.lambda_.configuration import invalid
from lambent.services.lambda_.downloads import location
from lambent.services.lambda_.engine import engine
from lambent.services.lambda_.names import LATEST, Address, not_found, parse
from lambent.services.lambda_.resources import TAGS
from lambent.services.lambda_.versions import publish, version_key
from lambent.store.protocol import ABSENT, Change, Conflict, Delete, Put, Record

VERBS = Verbs()
SETTLE = "settle"
"""The timer that puts code in place."""


async def find(ctx: Ctx, address: Address, *, shown: str | None = None) -> Record:
    """The record of a function or of one of its versions.

    `shown` is the qualifier in the error's ARN. Errors: ResourceNotFoundException.
    """
    qualifier = address.qualifier
    if qualifier in (None, LATEST):
        record = await ctx.get("Function", address.name)
    elif qualifier.isdecimal():
        record = await ctx.store.get(version_key(ctx, address.name, int(qualifier)))
    else:
        record = None
    if record is None:
        raise not_found(address.arn(ctx, shown or qualifier))
    return record


@VERBS.operation("CreateFunction")
async def create_function(ctx: Ctx, request: Wire) -> Wire:
    """Store a new function and start to put its code in place.

    Errors: ResourceConflictException, InvalidParameterValueException, CodeStorageExceeded.
    Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
    """
    address = parse(ctx, request)
    if len(address.name) > limits.NAME_LENGTH_MAX:
        raise invalid(
            f"1 validation error detected: Value '{address.name}' at 'functionName' failed to "
            "satisfy constraint: Member must have length less than or equal to 64"
        )
    request = request | {"FunctionName": address.name}
    configuration.check(request)
    for name in ("Runtime", "Handler"):
        if not request.get(name):
            raise invalid(f"{name} is mandatory for functions created with deployment packages.")
    tags = request.get("Tags", {})
    await check_role(ctx, request["Role"])
    async with taken(ctx, request["Code"]) as package:
        record = configuration.created(ctx, request, package.members)
        if await ctx.get("Function", address.name):
            raise exists(address.name)
        changes = [TAGS.change(ctx, record["FunctionArn"], tags)] if tags else []
        if request.get("Publish"):
            record, version = publish(ctx, record, record["Description"], package.blob)
            changes.append(version)
        try:
            await change(ctx, record, package, *changes, expect=ABSENT)
        except Conflict:
            raise exists(address.name) from None
    return record | {"Version": "1"} if request.get("Publish") else record


@VERBS.operation("GetFunction")
async def get_function(ctx: Ctx, request: Wire) -> Wire:
    """Configuration, where its code can be downloaded, and tags.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
    """
    address = parse(ctx, request)
    record = (await find(ctx, address)).value
    answer = {
        "Configuration": shown(record, address),
        "Code": {"RepositoryType": "S3", "Location": location(ctx, record["_code"])},
    }
    tags = await TAGS.of(ctx, address.arn(ctx))
    return answer | {"Tags": tags} if tags else answer


@VERBS.operation("GetFunctionConfiguration")
async def get_function_configuration(ctx: Ctx, request: Wire) -> Wire:
    """The configuration of a function or version.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html
    """
    address = parse(ctx, request)
    return shown((await find(ctx, address)).value, address)


def shown(record: Wire, address: Address) -> Wire:
    """The record as Get* show it: `$LATEST` is in the ARN only when it was asked for."""
    return configuration.qualified(record, LATEST) if address.qualifier == LATEST else record


@VERBS.operation("ListFunctions")
async def list_functions(ctx: Ctx, request: Wire) -> Wire:
    """A page of functions; with FunctionVersion=ALL of all their versions.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html
    """
    if request.get("MasterRegion", "ALL") not in ("ALL", ctx.region):
        return {"Functions": []}
    limit = min(request.get("MaxItems") or limits.LIST_MAX, limits.LIST_MAX)
    noun = "Function" if request.get("FunctionVersion") != "ALL" else "Version"
    rows, marker = await filtered_page(ctx, ctx.key(noun), request.get("Marker"), limit, "")
    functions = [await _listed(ctx, row) for row in rows]
    return {"Functions": functions} | ({"NextMarker": marker} if marker else {})


async def _listed(ctx: Ctx, row: Record) -> Wire:
    """One row of ListFunctions; in the version index, $LATEST is a pointer to the function."""
    if row.value.get("_latest"):
        latest = await ctx.get("Function", row.key[-2])
        return configuration.listed(latest.value if latest else row.value, LATEST)
    return configuration.listed(row.value)


@VERBS.operation("UpdateFunctionCode")
async def update_function_code(ctx: Ctx, request: Wire) -> Wire:
    """Replace the code; Publish makes a version of it, DryRun only checks.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html
    """
    configuration.refuse_unserved(request)
    address = parse(ctx, request)
    record = await find(ctx, Address(address.name, None))
    async with taken(ctx, request) as package:
        configuration.check_revision(record.value, request)
        configuration.check_idle(record.value)
        new = configuration.updated(ctx, record.value, {}, package.members)
        if request.get("DryRun"):
            return new | {name: record.value[name] for name in ("RevisionId", "LastModified")}
        versions = []
        if request.get("Publish"):
            new, version = publish(ctx, new, new["Description"], package.blob)
            versions.append(version)
        await change(ctx, new, package, *versions, expect=record.version)
    return new if not versions else new | {"Version": str(new["_next_version"] - 1)}


@VERBS.operation("UpdateFunctionConfiguration")
async def update_function_configuration(ctx: Ctx, request: Wire) -> Wire:
    """Change settings of $LATEST.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
    """
    address = parse(ctx, request)
    configuration.check(request)
    record = await find(ctx, Address(address.name, None))
    configuration.check_revision(record.value, request)
    configuration.check_idle(record.value)
    if "Role" in request:
        await check_role(ctx, request["Role"])
    new = configuration.updated(ctx, record.value, request, {})
    await change(ctx, new, None, expect=record.version)
    return new


@VERBS.operation("DeleteFunction")
async def delete_function(ctx: Ctx, request: Wire) -> Wire:
    """Delete a function with all its versions, or one version.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html
    """
    address = parse(ctx, request)
    qualifier = address.qualifier
    if qualifier and not qualifier.isdecimal() and qualifier != LATEST:
        if qualifier.lower() == LATEST.lower():
            raise not_found(address.arn(ctx))
        raise invalid("Deletion of aliases is not currently supported.")
    latest = await ctx.get("Function", address.name)
    if qualifier == LATEST:
        raise invalid("$LATEST version cannot be deleted without deleting the function.")
    if latest is None:
        raise not_found(address.arn(ctx))
    if qualifier:
        key = version_key(ctx, address.name, int(qualifier))
        await ctx.commit(Delete(key))
        engine(ctx).retire(ctx, address.name, qualifier)
        return {"StatusCode": 204}
    changes: list[Change] = [Delete(latest.key, expect=latest.version)]
    async for version in _all_versions(ctx, address.name):
        changes.append(Delete(version.key))
    changes.append(TAGS.change(ctx, address.arn(ctx), {}))
    await ctx.commit(*changes, events=[("FunctionDeleted", {"FunctionName": address.name})])
    engine(ctx).retire(ctx, address.name)
    return {"StatusCode": 204}


async def _all_versions(ctx: Ctx, name: str) -> AsyncIterator[Record]:
    prefix = ctx.key("Version", name)
    after = None
    while rows := await ctx.store.scan(prefix, after=after):
        for row in rows:
            yield row
        after = rows[-1].key


@asynccontextmanager
async def taken(ctx: Ctx, code: Wire) -> AsyncIterator[packages.Package]:
    """A package, held until the commit that refers to it is done."""
    package = await packages.take(ctx, code)
    try:
        yield package
    finally:
        packages.release(ctx, package)


async def change(
    ctx: Ctx, record: Wire, package: packages.Package | None, *more: Change, expect: int
) -> None:
    """Store a changed $LATEST with the timer that will settle it. Errors: Conflict."""
    blob = package.blob if package else packages.blob_of(record)
    blobs = {blob.sha256: blob}
    if running := record.get("_running"):
        blobs.setdefault(running["_code"], packages.blob_of(running))
    name = record["FunctionName"]
    timers = ctx.platform.timers
    timer = timers.put(ctx, SETTLE, ctx.now(), {"FunctionName": name}, id=record["RevisionId"])
    put = Put(ctx.key("Function", name), record, expect=expect, blobs=tuple(blobs.values()))
    index = Put(version_key(ctx, name, 0), {"_latest": True})
    await ctx.commit(put, index, *more, timer)
    timers.armed(timer)


async def settle(ctx: Ctx, payload: Wire) -> None:
    """The timer's handler: put the code in place, then show the function as Active."""
    name = payload["FunctionName"]
    record = await ctx.get("Function", name)
    if record is None:
        return
    try:
        await engine(ctx).prepare(record.value)
    except BadPackageError as error:
        final = configuration.failed(ctx, record.value, str(error))
    else:
        final = configuration.settled(ctx, record.value)
    changes: list[Change] = [
        Put(record.key, final, expect=record.version, blobs=(packages.blob_of(final),))
    ]
    async for version in _all_versions(ctx, name):
        if version.value.get("State") == "Pending" or "LastUpdateStatusReason" in version.value:
            value = configuration.settled(ctx, version.value)
            changes.append(Put(version.key, value, blobs=(packages.blob_of(value),)))
    try:
        await ctx.commit(*changes)
    except Conflict:  # deleted, tagged or updated meanwhile: look again
        await settle(ctx, payload)


async def check_role(ctx: Ctx, role: str) -> None:
    """Under `--auth enforce` the role must exist and trust Lambda.

    Errors: InvalidParameterValueException.
    """
    if not ctx.platform.settings.enforce:
        return
    refused = invalid("The role defined for the function cannot be assumed by Lambda.")
    try:
        answer = await ctx.call("iam", "GetRole", {"RoleName": role.rsplit("/", 1)[-1]})
    except AwsError as error:
        raise refused from error
    if "lambda.amazonaws.com" not in answer["Role"].get("AssumeRolePolicyDocument", ""):
        raise refused


def exists(name: str) -> AwsError:
    """ResourceConflictException: `Function already exist: <name>`."""
    return AwsError("ResourceConflictException", f"Function already exist: {name}")
