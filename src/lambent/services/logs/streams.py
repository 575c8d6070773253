"""The streams that are being written: their totals in memory, and the platform's journal.

A stream's events are in the log (account, region, logs, "Events", group, stream). Its totals are in
its newest entry; here they are held for the streams in use, so that a write needs no read. The
store has the truth: what is here can be dropped and read again at any time.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from lambent.kernel import Ctx, Platform, Wire
from lambent.services.logs import batches
from lambent.services.logs.batches import Line, Totals
from lambent.services.logs.limits import STREAMS_CACHED_MAX
from lambent.services.logs.records import Where, events_log, new_group, new_stream
from lambent.store.protocol import ABSENT, Append, Key, Put

_Which = Callable[[Where], bool]


class Stream:
    """One stream in use. `first_ms` is its oldest event's time, None if there was none."""

    __slots__ = ("first_ms", "log", "totals", "trimmed_bytes")

    def __init__(self, log: Key) -> None:
        self.log = log
        self.totals = Totals()
        self.first_ms: int | None = None
        self.trimmed_bytes = 0

    def append(self, lines: Sequence[Line], now_ms: int) -> Append:
        """The change that adds a batch; the totals have it from now on."""
        self.totals, value = batches.append(self.totals, lines, now_ms)
        if self.first_ms is None:
            self.first_ms = lines[0][0]
        return Append(self.log, value)

    def describe(self) -> Wire:
        """The members of DescribeLogStreams that events decide."""
        if self.first_ms is None:
            return {}
        return {
            "firstEventTimestamp": self.first_ms,
            "lastEventTimestamp": self.totals.most_ms,
            "lastIngestionTime": self.totals.ingested_ms,
            "uploadSequenceToken": sequence_token(self.totals),
        }

    @property
    def stored_bytes(self) -> int:
        """What its events take, those that have expired aside."""
        return self.totals.stored_bytes - self.trimmed_bytes


def sequence_token(totals: Totals) -> str:
    """56 digits; AWS answers a token that nobody needs any more."""
    return f"49{totals.ingested_ms:020d}{totals.stored_bytes:034d}"


class Streams:
    """The engine of the service: all streams in use, of all accounts."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._open: OrderedDict[Where, Stream] = OrderedDict()
        self._groups: OrderedDict[Where, None] = OrderedDict()
        """Groups, as streams without a name, that the journal has seen to."""
        self._posted = self._settled = 0
        """How often the journal has written, and up to which of them is in the store."""

    async def stop(self) -> None:
        """Nothing runs here; what was posted the store finishes."""

    async def reset(self, account: str | None, region: str | None) -> None:
        """Forget these (None: all)."""
        self.forget(lambda where: account in (None, where[0]) and region in (None, where[1]))

    def forget(self, which: _Which) -> None:
        """Drop the streams that `which` wants dropped; they are read again when needed."""
        for where in [where for where in self._open if which(where)]:
            del self._open[where]
        for where in [where for where in self._groups if which(where)]:
            del self._groups[where]

    async def settle(self) -> None:
        """Wait until all that the journal took is in the store, so that a read sees it."""
        if (posted := self._posted) > self._settled:
            await self._platform.store.commit()
            self._settled = max(self._settled, posted)

    async def open(self, ctx: Ctx, group: str, stream: str) -> Stream:
        """The stream, read from the store if it is not in use; it must be there."""
        where = (ctx.account, ctx.region, group, stream)
        found = self._open.get(where)
        if found is not None:
            self._open.move_to_end(where)
            return found
        await self.settle()
        fresh = Stream(events_log(where))
        await _load(self._platform, fresh)
        # Somebody else may have opened it, and written, while this was read.
        return self._open.get(where) or self._hold(where, fresh)

    def _hold(self, where: Where, stream: Stream) -> Stream:
        while len(self._open) >= STREAMS_CACHED_MAX:
            self._open.popitem(last=False)
        self._open[where] = stream
        return stream

    def _first_of(self, group: Where) -> bool:
        """Whether the journal writes to this group for the first time."""
        if group in self._groups:
            return False
        while len(self._groups) >= STREAMS_CACHED_MAX:
            self._groups.popitem(last=False)
        self._groups[group] = None
        return True

    def write(
        self, account: str, region: str, group: str, stream: str, lines: Sequence[Line]
    ) -> None:
        """The journal: keep `lines`, without waiting, in a group and stream made when missing.

        A name that is not in use is taken for a new stream: those of execution environments are
        new each time. Cost: one msgpack and one post.
        """
        if not lines:
            return
        where = (account, region, group, stream)
        now_ms = int(self._platform.clock.now() * 1000)
        found = self._open.get(where)
        post = self._platform.store.post
        self._posted += 1
        if found is None:
            found = self._hold(where, Stream(events_log(where)))
            # Apart, as they fail where the record is there already; in order, so that no event is
            # durable before its group and stream are.
            if self._first_of(group_of := (account, region, group, "")):
                post(Put(*new_group(group_of, now_ms), expect=ABSENT))
            post(Put(*new_stream(where, now_ms), expect=ABSENT))
        post(found.append(lines, now_ms))


async def _load(platform: Platform, stream: Stream) -> None:
    newest = await platform.store.read_log(stream.log, limit=1, reverse=True)
    if not newest:
        return
    stream.totals = batches.decode(newest[0]).totals
    await reload_oldest(platform, stream)


async def reload_oldest(platform: Platform, stream: Stream) -> None:
    """Take what has expired out of a stream's state."""
    oldest = await platform.store.read_log(stream.log, limit=1)
    if not oldest:
        stream.first_ms, stream.trimmed_bytes = None, stream.totals.stored_bytes
        return
    batch = batches.decode(oldest[0])
    stream.first_ms = min(time_ms for time_ms, _ in batch.lines)
    stream.trimmed_bytes = batch.stored_bytes - batches.size_bytes(batch.lines)
