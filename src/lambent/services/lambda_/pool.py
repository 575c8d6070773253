"""Which environment runs an invocation: a warm one, else a new one, else the next to come free.

Environments belong to one generation of one function version; the warmest is taken first, so that
the others can grow cold. When the server is full, the environment that has been idle longest gives
way; when all are busy, invocations wait in order. All in memory: environments die with the server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from msgspec import Struct, field

from lambent.base.clock import Clock, Timer
from lambent.base.tasks import Tasks
from lambent.services.lambda_ import limits
from lambent.services.lambda_.concurrency import throttled
from lambent.services.lambda_.environment import Environment

Key = tuple[str, str, str, str]
"""(account, region, function name, version)."""

Start = Callable[[], Awaitable[Environment]]


class Group(Struct):
    """The environments of one generation of one function version."""

    key: Key
    generation: str
    idle: list[Environment] = field(default_factory=list)
    alive: dict[str, Environment] = field(default_factory=dict)


Lease = tuple[Group, Environment]


class Pool:
    """All execution environments of this server."""

    def __init__(self, clock: Clock, closed: Callable[[Environment], None]) -> None:
        self._clock = clock
        self._closed = closed
        self._groups: dict[Key, Group] = {}
        self._idle: dict[str, tuple[float, Group, Environment]] = {}
        """By id, the longest idle first: when it will have been too long, and whose it is."""
        self._expiry: Timer | None = None
        self._alive = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tasks = Tasks("environments")

    async def acquire(self, key: Key, generation: str, start: Start) -> Lease:
        """An environment of `generation` for one invocation; `start` makes a new one.

        `release` it, whatever happens. Errors: TooManyRequestsException when too many wait; what
        `start` raises.
        """
        group = self._groups.get(key)
        if group is None or group.generation != generation:
            self.retire(key)
            group = self._groups[key] = Group(key, generation)
        if group.idle:
            environment = group.idle.pop()
            del self._idle[environment.id]
        else:
            environment = await self._start(group, start)
        return group, environment

    async def release(self, lease: Lease, *, broken: bool = False) -> None:
        """The invocation has ended; a `broken` one costs its environment."""
        group, environment = lease
        if environment.state == "gone":
            self._forget(group, environment)
        elif broken or self._groups.get(group.key) is not group:
            await self._drop(group, environment)
        else:
            self._rest(group, environment)

    def environments(self) -> list[tuple[Key, Environment]]:
        """Every live environment and what it belongs to."""
        return [
            (key, environment)
            for key, group in self._groups.items()
            for environment in group.alive.values()
        ]

    def retire(self, key: Key) -> None:
        """Close a version's idle environments; busy ones close when they have finished."""
        group = self._groups.pop(key, None)
        if group is None:
            return
        for environment in list(group.idle):
            self._sleepers_end(group, environment)

    def retire_where(self, matches: Callable[[Key], bool]) -> None:
        """`retire` every version that matches."""
        for key in [key for key in self._groups if matches(key)]:
            self.retire(key)

    async def close(self) -> None:
        """Close every environment, busy ones too."""
        for group in list(self._groups.values()):
            for environment in list(group.alive.values()):
                if environment not in group.idle:
                    self._tasks.start("close", self._drop(group, environment))
        self.retire_where(lambda _: True)
        if self._expiry is not None:
            self._expiry.cancel()
        await self._tasks.join()

    async def _start(self, group: Group, start: Start) -> Environment:
        while self._alive >= limits.ENVIRONMENTS_MAX:
            if self._idle:
                _, owner, coldest = next(iter(self._idle.values()))
                del self._idle[coldest.id]
                owner.idle.remove(coldest)
                await self._drop(owner, coldest)
            else:
                await self._wait()
        self._alive += 1
        try:
            environment = await start()
        except BaseException:
            self._freed()
            raise
        group.alive[environment.id] = environment
        return environment

    async def _wait(self) -> None:
        if len(self._waiting) >= limits.WAITING_MAX:
            raise throttled("ConcurrentInvocationLimitExceeded")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _rest(self, group: Group, environment: Environment) -> None:
        group.idle.append(environment)
        self._idle[environment.id] = (self._clock.now() + limits.IDLE_S_MAX, group, environment)
        if self._expiry is None:
            self._expire()
        if self._waiting:
            self._next()

    def _expire(self) -> None:
        """Close what has been idle too long; look again when the next will have been."""
        self._expiry = None
        while self._idle:
            due_s, group, environment = next(iter(self._idle.values()))
            if due_s > self._clock.now():
                self._expiry = self._clock.call_at(due_s, self._expire)
                return
            self._sleepers_end(group, environment)

    def _sleepers_end(self, group: Group, environment: Environment) -> None:
        """Take an idle environment out and close it beside whatever asked for that."""
        del self._idle[environment.id]
        group.idle.remove(environment)
        self._tasks.start("close", self._drop(group, environment))

    async def _drop(self, group: Group, environment: Environment) -> None:
        self._forget(group, environment)
        await environment.close()

    def _forget(self, group: Group, environment: Environment) -> None:
        if group.alive.pop(environment.id, None) is not None:
            self._closed(environment)
            self._freed()

    def _freed(self) -> None:
        self._alive -= 1
        self._next()

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
