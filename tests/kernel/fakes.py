"""A small service of our own, and platforms in virtual time to run it on."""

import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lambent.base.clock import Clock, VirtualClock
from lambent.base.config import Settings
from lambent.base.ids import RandomIds
from lambent.kernel import Ctx, Platform, Service
from lambent.kernel.service import Registry
from lambent.store import open_store
from lambent.store.protocol import Store
from lambent.wire import ServiceModel

START_S = 1_800_000_000.0
ACCOUNT = "000000000000"
REGION = "us-east-1"
_SEEDS = itertools.count(7)


def _structure(members: Mapping[str, str], required: Iterable[str] = ()) -> dict[str, Any]:
    return {
        "type": "structure",
        "required": list(required),
        "members": {name: {"shape": shape} for name, shape in members.items()},
    }


def _operation(name: str, input: str, output: str) -> dict[str, Any]:
    return {
        "name": name,
        "http": {"method": "POST", "requestUri": "/"},
        "input": {"shape": input},
        "output": {"shape": output},
        "errors": [{"shape": "NoSuchThing"}],
    }


MODEL: dict[str, Any] = {
    "metadata": {
        "apiVersion": "2026-01-01",
        "endpointPrefix": "fake",
        "jsonVersion": "1.1",
        "protocol": "json",
        "protocols": ["json"],
        "serviceId": "Fake",
        "signatureVersion": "v4",
        "targetPrefix": "Fake_20260101",
    },
    "operations": {
        "PutThing": _operation("PutThing", "Thing", "Thing"),
        "GetThing": _operation("GetThing", "ThingName", "Thing"),
        "TakePayload": _operation("TakePayload", "Payload", "Empty"),
        "Unserved": _operation("Unserved", "Empty", "Empty"),
    },
    "shapes": {
        "Name": {"type": "string", "min": 1, "max": 8, "pattern": "[a-z]+"},
        "Text": {"type": "string"},
        "Bytes": {"type": "blob"},
        "Texts": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Text"}},
        "Inner": _structure({"Shown": "Text", "Deeper": "Inner"}),
        "Inners": {"type": "list", "member": {"shape": "Inner"}},
        "InnerMap": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Inner"}},
        "Thing": _structure(
            {
                "Name": "Name",
                "Text": "Text",
                "Inner": "Inner",
                "Inners": "Inners",
                "ByName": "InnerMap",
            },
            ["Name"],
        ),
        "ThingName": _structure({"Name": "Name"}, ["Name"]),
        "Payload": _structure({"Arn": "Text", "Payload": "Bytes", "Attributes": "Texts"}),
        "Empty": _structure({}),
        "NoSuchThing": _structure({"message": "Text"}) | {"exception": True},
    },
}


def fake_service(name: str = "fake", **declared: Any) -> Service:
    """A service with the model above; `declared` are `Service`'s own arguments."""
    declared.setdefault("parts", ())
    service = Service(name=name, **declared)
    service.model = ServiceModel.from_dict(MODEL)
    return service


def make_platform(
    store: Store, *services: Service, clock: Clock | None = None, **settings: Any
) -> Platform:
    """A platform that has not been started."""
    platform = Platform(
        registry=Registry(services),
        store=store,
        clock=clock or VirtualClock(START_S),
        ids=RandomIds(next(_SEEDS)),
        settings=Settings(**settings),
    )
    if isinstance(platform.clock, VirtualClock):
        platform.clock.on_settle(platform.settled)
    return platform


@asynccontextmanager
async def running(
    *services: Service, data: Path | None = None, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Platform]:
    """A started platform on a store in `data` (None: in memory)."""
    store = await open_store(data)
    platform = make_platform(store, *services, clock=clock, **settings)
    try:
        await platform.start()
        yield platform
    finally:
        await platform.stop()
        await store.close()


def context(platform: Platform, service: str = "fake") -> Ctx:
    """What an operation of `service` is given."""
    return platform.context(service, ACCOUNT, REGION)


def virtual(platform: Platform) -> VirtualClock:
    """The platform's clock, to be moved."""
    assert isinstance(platform.clock, VirtualClock)
    return platform.clock
