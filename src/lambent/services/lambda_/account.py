"""GetAccountSettings: the account's limits and what it uses of them.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html
"""

from lambent.kernel import Ctx, Verbs, Wire
from lambent.services.lambda_ import limits

VERBS = Verbs()


@VERBS.operation("GetAccountSettings")
async def get_account_settings(ctx: Ctx, request: Wire) -> Wire:  # noqa: ARG001
    """Limits in bytes and executions; usage counted over functions and versions. O(functions)."""
    stored = 0
    functions = 0
    for noun in ("Function", "Version"):
        after = None
        while rows := await ctx.store.scan(ctx.key(noun), after=after):
            stored += sum(row.value.get("CodeSize", 0) for row in rows)
            functions += len(rows) if noun == "Function" else 0
            after = rows[-1].key
    return {
        "AccountLimit": {
            "TotalCodeSize": limits.CODE_STORAGE_BYTES_MAX,
            "CodeSizeUnzipped": limits.UNZIPPED_BYTES_MAX,
            "CodeSizeZipped": limits.ZIP_BYTES_MAX,
            "ConcurrentExecutions": limits.CONCURRENCY_MAX,
            "UnreservedConcurrentExecutions": limits.CONCURRENCY_MAX,
        },
        "AccountUsage": {"TotalCodeSize": stored, "FunctionCount": functions},
    }
