"""Optimistic operations: read, decide, commit once; a change that came in between starts it over.

Only for operations that do nothing before their one commit, which is what makes them repeatable.
Prior art: etcd's transactions, DynamoDB's conditional writes.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from lambent.kernel.context import Ctx, Wire
from lambent.store.protocol import Conflict

if TYPE_CHECKING:
    from lambent.kernel.service import Operation

TRIES_MAX = 100
"""Of n that want the same record at once, one wins each round."""


def retried(operation: Operation) -> Operation:
    """`operation`, run again after a Conflict. Errors: its own, and Conflict after TRIES_MAX."""

    @wraps(operation)
    async def run(ctx: Ctx, request: Wire) -> Wire:
        for _ in range(TRIES_MAX - 1):
            try:
                return await operation(ctx, request)
            except Conflict:
                continue
        return await operation(ctx, request)

    return run
