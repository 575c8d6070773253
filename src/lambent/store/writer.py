"""The single writer: all commits of one turn of the event loop become one transaction, one fsync.

The statements of a batch run on the loop's thread; they touch memory only and cost about 10 us a
change. What may wait for the disk is COMMIT, so only that moves to a thread, and only while the
disk is slow (moving average over `INLINE_MAX_S`) or the batch is big: a hop costs about 50 us of
CPU, and statement by statement it would also have to win back the interpreter lock each time. While
a COMMIT is out, new commits gather for the next batch: that is the group commit.

Invariants: at most one transaction is open; a caller hears of its commit only once that is durable;
the cache never shows what is not; what `post` took is applied in its order among the commits.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import apsw

from lambent.base.clock import monotonic
from lambent.store.cache import Cache
from lambent.store.changes import Operation, Overlay
from lambent.store.protocol import Conflict, StoreFull
from lambent.store.rows import translate
from lambent.store.transaction import Transaction

INLINE_MAX_S = 0.001
INLINE_BYTES_MAX = 1024 * 1024  # a batch above it writes for over a millisecond
BATCH_OPERATIONS_MAX = 1024
BATCH_BYTES_MAX = 8 * 1024 * 1024
POST_DELAY_S = 0.05
POSTS_MAX = 20_000
POSTS_BYTES_MAX = 32 * 1024 * 1024
POSTS_AT_ONCE = 512  # so many waiting posts do not wait for the delay
_SMOOTHING = 0.125

_log = logging.getLogger("lambent.store")


class Submission:
    """The operations of one `commit` or `post` call; a post has no future."""

    __slots__ = ("future", "operations", "order", "size_bytes")

    def __init__(
        self,
        order: int,
        operations: Sequence[Operation],
        future: asyncio.Future[list[int]] | None = None,
    ) -> None:
        self.order = order
        self.operations = operations
        self.future = future
        self.size_bytes = sum(operation.size_bytes for operation in operations)


Outcome = list[int] | BaseException


class Writer:
    """Gathers submissions, applies them in batches, and tells their callers.

    `applied` is called after each durable batch. `seal` makes a batch durable; it is replaced in
    tests to have a slow or failing disk.
    """

    def __init__(
        self,
        db: apsw.Connection,
        tx: Transaction,
        cache: Cache,
        *,
        file: str,
        threaded: bool,
        applied: Callable[[Transaction], None],
    ) -> None:
        self._db, self._tx, self._cache, self._file = db, tx, cache, file
        self._threaded, self._applied = threaded, applied
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "lambent-commit") if threaded else None
        self._order = 0
        self._waiting: deque[Submission] = deque()
        self._posts: deque[Submission] = deque()
        self._posts_bytes = 0
        self._flush_soon = False
        self._flush_later: asyncio.TimerHandle | None = None
        self._idle: list[asyncio.Future[None]] = []
        self._held = False
        self.busy = False
        self.seal: Callable[[], None] = self._commit
        self.fsync_s = 0.0
        self.commits = self.batches = self.posts_dropped = 0

    def submit(self, operations: Sequence[Operation]) -> asyncio.Future[list[int]]:
        """Apply with the next batch; the future has the numbers of the changes."""
        future = self._loop.create_future()
        self._order += 1
        self._waiting.append(Submission(self._order, operations, future))
        if not self._flush_soon:
            self._flush_soon = True
            self._loop.call_soon(self._flush)
        return future

    def post(self, operations: Sequence[Operation]) -> None:
        """Apply with the next batch, within `POST_DELAY_S`; if too many wait, the oldest go."""
        self._order += 1
        post = Submission(self._order, operations)
        self._posts.append(post)
        self._posts_bytes += post.size_bytes
        while len(self._posts) > POSTS_MAX or self._posts_bytes > POSTS_BYTES_MAX:
            self._posts_bytes -= self._posts.popleft().size_bytes
            self.posts_dropped += 1
        if len(self._posts) >= POSTS_AT_ONCE:
            self._wake()
        elif self._flush_later is None:
            self._flush_later = self._loop.call_later(POST_DELAY_S, self._flush)

    def _wake(self) -> None:
        if not self._flush_soon:
            self._flush_soon = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_soon = False
        if self._flush_later is not None:
            self._flush_later.cancel()
            self._flush_later = None
        if self.busy or self._held or not (self._waiting or self._posts):
            return
        batch, size_bytes = self._take()
        outcomes = self._applied_to_database(batch)
        if outcomes is None:
            return
        if self._thread is None or (self.fsync_s < INLINE_MAX_S and size_bytes < INLINE_BYTES_MAX):
            self._sealed(batch, outcomes, self._timed_seal())
        else:
            self._thread.submit(self._seal_in_thread, batch, outcomes)

    def _applied_to_database(self, batch: Sequence[Submission]) -> list[Outcome] | None:
        """The outcomes once COMMIT is done; None if the batch failed before it."""
        outcomes: list[Outcome] | None = None
        failure: BaseException = RuntimeError("a mistake in the store; the event loop logged it")
        self.busy = True
        try:
            outcomes = self._apply(batch)
        except apsw.Error as error:
            failure = error
        finally:
            # Also when a mistake of ours is on its way up: nobody may wait for ever.
            if outcomes is None:
                self._failed(batch, failure)
        return outcomes

    def _take(self) -> tuple[list[Submission], int]:
        batch: list[Submission] = []
        operations = size_bytes = 0
        waiting, posts = self._waiting, self._posts
        while operations < BATCH_OPERATIONS_MAX and size_bytes < BATCH_BYTES_MAX:
            if posts and not (waiting and waiting[0].order < posts[0].order):
                submission = posts.popleft()
                self._posts_bytes -= submission.size_bytes
            elif waiting:
                submission = waiting.popleft()
            else:
                break
            batch.append(submission)
            operations += len(submission.operations)
            size_bytes += submission.size_bytes
        return batch, size_bytes

    def _apply(self, batch: Sequence[Submission]) -> list[Outcome]:
        tx = self._tx
        tx.begin()
        outcomes: list[Outcome] = []
        for submission in batch:
            operations = submission.operations
            try:
                overlay: Overlay | None = None if len(operations) == 1 else {}
                for operation in operations:
                    operation.check(tx, overlay)
            except (Conflict, KeyError) as error:
                outcomes.append(error)
                continue
            outcomes.append([operation.write(tx) for operation in operations])
            tx.settle()
        return outcomes

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    def _timed_seal(self) -> apsw.Error | None:
        began_s = monotonic()
        try:
            self.seal()
        except apsw.Error as error:
            return error
        finally:
            took_s = monotonic() - began_s
            self.fsync_s += (took_s - self.fsync_s) * (_SMOOTHING if self.batches else 1.0)
        return None

    def _seal_in_thread(self, batch: Sequence[Submission], outcomes: Sequence[Outcome]) -> None:
        error = self._timed_seal()
        self._loop.call_soon_threadsafe(self._sealed, batch, outcomes, error)

    def _sealed(
        self, batch: Sequence[Submission], outcomes: Sequence[Outcome], error: apsw.Error | None
    ) -> None:
        if error is not None:
            self._failed(batch, error)
            return
        self.busy = False
        self.batches += 1
        cache = self._cache
        for submission, outcome in zip(batch, outcomes, strict=True):
            if outcome.__class__ is list:
                self.commits += bool(submission.operations)
                for operation in submission.operations:
                    operation.publish(cache)
            _tell(submission, outcome)
        self._applied(self._tx)
        self._next()

    def _failed(self, batch: Sequence[Submission], error: BaseException) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._tx.forget()
        self.busy = False
        failure = translate(error, self._file) if isinstance(error, apsw.Error) else error
        if len(batch) > 1 and not isinstance(failure, StoreFull):
            # One of them met damage: apart, the others still apply.
            for submission in batch:
                outcomes = self._applied_to_database([submission])
                if outcomes is not None:
                    self._sealed([submission], outcomes, self._timed_seal())
            return
        for submission in batch:
            _tell(submission, failure)
            self.posts_dropped += submission.future is None
        self._next()

    def _next(self) -> None:
        if self._waiting or len(self._posts) >= POSTS_AT_ONCE:
            self._wake()
        elif self._posts and self._flush_later is None:
            self._flush_later = self._loop.call_later(POST_DELAY_S, self._flush)
        for idle in self._idle:
            if not idle.done():
                idle.set_result(None)
        self._idle.clear()

    async def quiet(self) -> None:
        """Wait until no transaction is open."""
        while self.busy:
            idle = self._loop.create_future()
            self._idle.append(idle)
            await idle

    def pause(self) -> None:
        """Start no batch until `resume`; what is submitted waits."""
        self._held = True

    async def hold(self) -> None:
        """Pause, and wait until no transaction is open."""
        self.pause()
        await self.quiet()

    def resume(self) -> None:
        """Go on after `pause` or `hold`."""
        self._held = False
        self._wake()

    async def close(self) -> None:
        """Apply all that waits; afterwards nothing may be submitted."""
        self._held = False
        while self._waiting or self._posts or self.busy:
            self._flush()
            await self.quiet()
        if self._thread is not None:
            self._thread.shutdown()


def _tell(submission: Submission, outcome: Outcome) -> None:
    future = submission.future
    if future is None:
        if isinstance(outcome, Conflict):  # as good as applied: it was there already
            _log.debug("a post was not applied: %s", outcome)
        elif isinstance(outcome, BaseException):
            _log.warning("a post was not applied: %s", outcome)
    elif not future.done():
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
