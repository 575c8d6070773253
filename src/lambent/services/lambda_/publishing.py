"""PublishVersion and ListVersionsByFunction.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
"""

from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.traits.resource import filtered_page
from lambent.services.lambda_ import configuration, limits
from lambent.services.lambda_.configuration import invalid
from lambent.services.lambda_.functions import find
from lambent.services.lambda_.names import LATEST, Address, parse
from lambent.services.lambda_.packages import blob_of
from lambent.services.lambda_.versions import publish, version_key
from lambent.store.protocol import Put

VERBS = Verbs()


@VERBS.operation("PublishVersion")
async def publish_version(ctx: Ctx, request: Wire) -> Wire:
    """Publish $LATEST; if nothing changed since the last version, that version is the answer.

    Errors: InvalidParameterValueException (CodeSha256), PreconditionFailedException (RevisionId).
    """
    configuration.refuse_unserved(request)
    address = parse(ctx, request)
    record = await find(ctx, Address(address.name, None))
    latest = record.value
    configuration.check_revision(latest, request)
    configuration.check_idle(latest)
    wanted = request.get("CodeSha256") or latest["CodeSha256"]
    if wanted != latest["CodeSha256"]:
        raise invalid(
            f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST "
            f"({latest['CodeSha256']}). Please try again with the CodeSHA256 in $LATEST."
        )
    published = latest.get("_published")
    if published and published["generation"] == latest["_generation"]:
        same = await ctx.store.get(version_key(ctx, address.name, published["number"]))
        if same is not None:
            return same.value
    description = str(request.get("Description", latest["Description"]))
    code = blob_of(latest)
    new, version = publish(ctx, latest, description, code)
    put = Put(record.key, new, expect=record.version, blobs=(code,))
    await ctx.commit(put, version)
    return version.value


@VERBS.operation("ListVersionsByFunction")
async def list_versions_by_function(ctx: Ctx, request: Wire) -> Wire:
    """A page of $LATEST and the versions, oldest first."""
    address = parse(ctx, request)
    latest = (await find(ctx, Address(address.name, None))).value
    limit = min(request.get("MaxItems") or limits.LIST_MAX, limits.LIST_MAX)
    prefix = ctx.key("Version", address.name)
    rows, marker = await filtered_page(ctx, prefix, request.get("Marker"), limit, "")
    versions = [
        configuration.listed(latest, LATEST)
        if row.value.get("_latest")
        else configuration.listed(row.value)
        for row in rows
    ]
    return {"Versions": versions} | ({"NextMarker": marker} if marker else {})
