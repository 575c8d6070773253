"""Which environment runs an invocation: a warm one, else a new one, else the next to come free.

Environments belong to one generation of one function version; the warmest is taken first, so that
the others can grow cold. When the server is full, the environment that has been idle longest gives
way; when all are busy, invocations wait in order. All in memory: environments die with the server.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

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

    generation: str
    idle: list[Environment] = field(default_factory=list)
    alive: dict[str, Environment] = field(default_factory=dict)


class Pool:
    """All execution environments of this server."""

    def __init__(self, clock: Clock, closed: Callable[[Environment], None]) -> None:
        self._clock = clock
        self._closed = closed
        self._groups: dict[Key, Group] = {}
        self._retired: dict[str, Environment] = {}
        self._idle: OrderedDict[str, tuple[Key, Environment, Timer]] = OrderedDict()
        self._alive = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tasks = Tasks("environments")

    @asynccontextmanager
    async def environment(
        self, key: Key, generation: str, start: Start
    ) -> AsyncIterator[Environment]:
        """An environment of `generation` for one invocation; `start` makes a new one.

        Errors: TooManyRequestsException when too many wait; what `start` raises.
        """
        group = self._groups.get(key)
        if group is None or group.generation != generation:
            self.retire(key)
            group = self._groups[key] = Group(generation)
        environment = self._take(group) or await self._start(group, start)
        try:
            yield environment
        except BaseException:
            await self._drop(group, environment)
            raise
        if environment.state == "gone":
            self._forget(group, environment)
        elif self._groups.get(key) is not group:
            await self._drop(group, environment)
        else:
            self._rest(key, group, environment)

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
        for environment in group.idle:
            self._wake(environment)
            self._tasks.start("retire", self._drop(group, environment))
        group.idle.clear()

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
        await self._tasks.join()

    def _take(self, group: Group) -> Environment | None:
        if not group.idle:
            return None
        environment = group.idle.pop()
        self._wake(environment)
        return environment

    def _wake(self, environment: Environment) -> None:
        found = self._idle.pop(environment.id, None)
        if found is not None:
            found[2].cancel()

    async def _start(self, group: Group, start: Start) -> Environment:
        while self._alive >= limits.ENVIRONMENTS_MAX:
            if self._idle:
                _, (key, coldest, timer) = self._idle.popitem(last=False)
                timer.cancel()
                owner = self._groups[key]
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

    def _rest(self, key: Key, group: Group, environment: Environment) -> None:
        group.idle.append(environment)
        due_s = self._clock.now() + limits.IDLE_S_MAX

        def expire() -> None:
            if self._idle.pop(environment.id, None) is not None:
                group.idle.remove(environment)
                self._tasks.start("expire", self._drop(group, environment))

        timer = self._clock.call_at(due_s, expire)
        self._idle[environment.id] = (key, environment, timer)
        self._next()

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
