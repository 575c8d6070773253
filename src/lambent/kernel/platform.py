"""One running platform: the services, and the one of each thing that they share."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from lambent.base.clock import Clock
from lambent.base.config import Settings
from lambent.base.ids import Ids
from lambent.base.tasks import Tasks
from lambent.kernel.bus import Bus
from lambent.kernel.context import Ctx, Principal, Wire
from lambent.kernel.delivery import Deliveries
from lambent.kernel.identity import Identities
from lambent.kernel.journal import Journal, NoJournal
from lambent.kernel.projection import project
from lambent.kernel.service import Engine, Registry
from lambent.kernel.timers import Timers
from lambent.store.protocol import Key, Store

_LAST = "\U0010ffff"
"""As a key part: after every service's name."""


async def _tenants(store: Store) -> set[Key]:
    """Every (account, region) that has a record or a log: one look per tenant, no walk."""
    found: set[Key] = set()
    after: Key | None = None
    while rows := await store.scan((), after=after, limit=1):
        found.add(rows[0].key[:2])
        after = (*rows[0].key[:2], _LAST)
    after = None
    while names := await store.logs((), after=after, limit=1):
        found.add(names[0][:2])
        after = (*names[0][:2], _LAST)
    return found


class Platform:
    """Everything a `Ctx` leads to. `extras` carries what only the composition root may make
    (the sandbox), by name, for the services' engines."""

    def __init__(
        self,
        *,
        registry: Registry,
        store: Store,
        clock: Clock,
        ids: Ids,
        settings: Settings,
        extras: Mapping[str, Any] | None = None,
    ) -> None:
        self.registry = registry
        self.store = store
        self.clock = clock
        self.ids = ids
        self.settings = settings
        self.extras = dict(extras or {})
        self.endpoint = ""
        """`http://host:port`, known once the gateway listens."""
        self.engines: dict[str, Engine] = {}
        self.journal: Journal = NoJournal()
        """Takes the log lines of invocations; a service's engine fills it (`Service.journal`)."""
        self.tasks = Tasks("platform")
        self.identities = Identities(self)
        self.bus = Bus(self)
        self.timers = Timers(self)
        self.deliveries = Deliveries(self)

    async def start(self) -> None:
        """Start the engines, then what was pending when the server last ended."""
        await self.identities.start()
        for service in self.registry.services.values():
            if service.start is not None:
                engine = self.engines[service.name] = await service.start(self)
                if service.journal is not None:
                    self.journal = service.journal(engine)
        await self.timers.start()
        await self.bus.start()

    async def stop(self) -> None:
        """Stop in the opposite order; pending work stays in the store."""
        await self.timers.stop()
        await self.bus.stop()
        for engine in reversed(self.engines.values()):
            await engine.stop()
        await self.tasks.close()

    async def settled(self) -> None:
        """Wait until timers, events and tasks that are under way have been handed on, and what
        they caused in turn."""
        while self.timers.busy or self.bus.busy or len(self.tasks):
            await self.timers.settled()
            await self.bus.settled()
            await self.tasks.join()

    async def reset(
        self, account: str | None = None, region: str | None = None, service: str | None = None
    ) -> None:
        """Drop all state, or that of one account, region or service; access keys only with all."""
        everything = account is None and region is None and service is None
        names = [service] if service else list(self.registry.services)
        for name in names:
            if engine := self.engines.get(name):
                await engine.reset(account, region)
        await self.timers.forget(account, region, service)
        if everything:
            await self.bus.stop()
            await self.store.reset([()])
            await self.bus.start()
            await self.identities.start()
        else:
            kept = (service,) if service else ()
            tenants = [
                tenant
                for tenant in await _tenants(self.store)
                if account in (None, tenant[0]) and region in (None, tenant[1])
            ]
            await self.store.reset([(*tenant, *kept) for tenant in tenants])

    def context(self, service: str, account: str, region: str) -> Ctx:
        """Surroundings for work that no request asked for (timers, consumers)."""
        return Ctx(
            platform=self,
            service=service,
            account=account,
            region=region,
            principal=Principal.root(account),
            request_id=self.ids.uuid(),
            origin=self.endpoint,
        )

    async def call(self, ctx: Ctx, name: str, operation: str, params: Wire) -> Wire:
        """Serve `operation` in process: validated, dispatched and projected as over the wire."""
        service = self.registry.named(name)
        service.validate(operation, params)
        there = replace(ctx, service=name, region=service.global_region or ctx.region)
        result = await service.dispatch(there, operation, params)
        answer: Wire = project(result, service.model.operation(operation).output_shape)
        return answer
