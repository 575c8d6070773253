"""Versions: numbered, immutable copies of $LATEST.

They lie under ("Version", name, number), with a pointer to $LATEST as number 0 so that one index
lists a function's versions, or everybody's, in AWS's order.
Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
"""

from lambent.kernel import Ctx, Wire
from lambent.store.protocol import Blob, Key, Put


def version_key(ctx: Ctx, name: str, number: int) -> Key:
    """The store key of a version."""
    return ctx.key("Version", name, f"{number:010d}")


def publish(ctx: Ctx, latest: Wire, description: str, code: Blob) -> tuple[Wire, Put]:
    """$LATEST after publishing, and the change that stores the new version with its `code`."""
    number = latest["_next_version"]
    hidden = ("_running", "_next_version", "_published")
    version = {name: value for name, value in latest.items() if name not in hidden}
    version |= {
        "Version": str(number),
        "FunctionArn": f"{latest['FunctionArn']}:{number}",
        "Description": description,
        "RevisionId": ctx.platform.ids.uuid(),
    }
    new = latest | {
        "_next_version": number + 1,
        "_published": {"number": number, "generation": latest["_generation"]},
        "RevisionId": ctx.platform.ids.uuid(),
    }
    key = version_key(ctx, latest["FunctionName"], number)
    return new, Put(key, version, blobs=(code,))
