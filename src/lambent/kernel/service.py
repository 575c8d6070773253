"""A service is its model, its parts (traits and verbs) and, if it runs anything, an engine.

Each part serves operations by name; a verb wins over a trait. Which model members and which AWS
texts apply comes from the service model; what a service declares here is only what the model does
not say. Prior art and the reasons: architecture.md section 6, docs/adr/0007-kernel.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

from lambent.base.errors import AwsError
from lambent.kernel.context import Ctx, Wire
from lambent.kernel.journal import Journal
from lambent.kernel.timers import TimerHandler
from lambent.wire import Codec, ServiceModel

if TYPE_CHECKING:
    from lambent.kernel.platform import Platform
    from lambent.net.message import Request, Response

Operation = Callable[[Ctx, Wire], Awaitable[Wire]]
Control = Callable[[Ctx, "Request"], Awaitable["Response"]]
Consumer = Callable[[Ctx, Wire], Awaitable[None]]


class Part(Protocol):
    """Anything that serves operations: a trait's declaration or a table of verbs."""

    def serve(self, service: Service) -> Iterator[tuple[str, Operation]]:
        """The operations served, by name."""


class Engine(Protocol):
    """The running part of a service: pools, pollers. Made by `Service.start`, one per platform."""

    async def stop(self) -> None:
        """Finish within the drain time and give everything back."""

    async def reset(self, account: str | None, region: str | None) -> None:
        """Forget what is held in memory for these (None: all)."""


class Verbs:
    """A table of hand-written operations, filled by decorators."""

    def __init__(self) -> None:
        self._table: dict[str, Operation] = {}

    def operation(self, name: str) -> Callable[[Operation], Operation]:
        """Serve operation `name` with the decorated function."""

        def register(function: Operation) -> Operation:
            assert name not in self._table, f"{name} is served twice"
            self._table[name] = function
            return function

        return register

    def serve(self, service: Service) -> Iterator[tuple[str, Operation]]:  # noqa: ARG002
        """The operations in the table."""
        yield from self._table.items()


class Target(Struct, frozen=True):
    """How a service takes a delivery for one of its ARNs: as an operation of its own.

    `request(arn, payload, attributes)` gives the operation's params.
    """

    operation: str
    request: Callable[[str, bytes, Mapping[str, str]], Wire]


class Service(Struct, kw_only=True, dict=True):
    """One AWS service. `name` is botocore's folder, `signing_names` the credential scopes."""

    name: str
    parts: tuple[Part, ...]
    signing_names: tuple[str, ...] = ()
    target_prefixes: tuple[str, ...] = ()
    """`X-Amz-Target` prefixes, before the dot."""
    path_prefixes: tuple[str, ...] = ()
    """Paths that are this service's even when nothing is signed."""
    api_version: str = ""
    """The `Version` of its query protocol, to recognise unsigned form posts."""
    global_region: str = ""
    """Set for services without regions: where all their resources live."""
    validation_code: str = "ValidationException"
    unvalidated: frozenset[str] = frozenset()
    """Members that AWS checks by rules of its own: `Operation.member` or `member`."""
    start: Callable[[Platform], Awaitable[Engine]] | None = None
    journal: Callable[[Engine], Journal] | None = None
    """Set by the service that keeps logs: its engine as the platform's journal."""
    targets: Mapping[str, Target] = field(default_factory=dict)
    """Delivery targets by the first word of the ARN's resource; "" for any."""
    timers: Mapping[str, TimerHandler] = field(default_factory=dict)
    consumers: Mapping[str, Consumer] = field(default_factory=dict)
    """Domain events listened to: `service.EventName`."""
    controls: Mapping[str, Control] = field(default_factory=dict)
    """Addresses below `/_lambent/`, by their first path segment."""
    open_controls: frozenset[str] = frozenset()
    """Those of them that see for themselves who asks, even when signatures are verified."""
    """`unvalidated` by operation, as far as asked for."""

    @cached_property
    def _exempt(self) -> dict[str, frozenset[str]]:
        """`unvalidated` by operation, filled as it is asked for."""
        return {}

    @cached_property
    def model(self) -> ServiceModel:
        """The service model, read on first use."""
        return ServiceModel.load(self.name)

    @cached_property
    def codec(self) -> Codec:
        """The service on the wire, compiled as it is used."""
        return Codec(self.model)

    @cached_property
    def operations(self) -> Mapping[str, Operation]:
        """Every served operation, traits first so that a verb wins."""
        table: dict[str, Operation] = {}
        for part in sorted(self.parts, key=lambda part: isinstance(part, Verbs)):
            table.update(part.serve(self))
        return table

    def validate(self, operation: str, params: Wire) -> None:
        """Raise AWS's validation error if `params` breaks the model's constraints."""
        exempt = self._exempt.get(operation)
        if exempt is None:
            mine = f"{operation}."
            names = (name.removeprefix(mine) for name in self.unvalidated)
            exempt = self._exempt[operation] = frozenset(name for name in names if "." not in name)
        errors = self.codec.validate(operation, params, exempt)
        if errors:
            noun = "error" if len(errors) == 1 else "errors"
            raise AwsError(
                self.validation_code,
                f"{len(errors)} validation {noun} detected: {'; '.join(errors)}",
                status=400,
            )

    async def dispatch(self, ctx: Ctx, operation: str, params: Wire) -> Wire:
        """Run one operation. Errors: AwsError; `NotImplemented` (501) if it is not served."""
        serve = self.operations.get(operation)
        if serve is None:
            raise not_implemented(f"{self.name}:{operation}")
        return await serve(ctx, params)

    def support(self) -> Mapping[str, str]:
        """Every operation of the model: `served` or `not yet`."""
        served = self.operations
        return {
            name: "served" if name in served else "not yet" for name in self.model.operation_names
        }


def not_implemented(what: str) -> AwsError:
    """The honest answer for what is not built."""
    return AwsError("NotImplemented", f"Lambent does not serve {what} yet.", status=501)


class Registry:
    """All services of a platform, and how to find one."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.services: dict[str, Service] = {service.name: service for service in services}
        self._by_signing = {
            name: service
            for service in self.services.values()
            for name in (service.signing_names or (service.name,))
        }
        self._by_target = {
            prefix: service
            for service in self.services.values()
            for prefix in service.target_prefixes
        }
        self._by_version = {
            service.api_version: service
            for service in self.services.values()
            if service.api_version
        }
        self._by_path = [
            (prefix, service)
            for service in self.services.values()
            for prefix in service.path_prefixes
        ]

    def named(self, name: str) -> Service:
        """The service of that name; `NotImplemented` if it is not served."""
        service = self.services.get(name)
        if service is None:
            raise not_implemented(f"the service {name!r}")
        return service

    def signed_for(self, signing_name: str) -> Service | None:
        """The service whose credential scope this is."""
        return self._by_signing.get(signing_name)

    def targeted(self, prefix: str) -> Service | None:
        """The service whose X-Amz-Target starts with `prefix`."""
        return self._by_target.get(prefix)

    def versioned(self, version: str) -> Service | None:
        """The query-protocol service with that API version."""
        return self._by_version.get(version)

    def at_path(self, path: str) -> Service | None:
        """The service that owns this path even when unsigned."""
        for prefix, service in self._by_path:
            if path.startswith(prefix):
                return service
        return None

    def target(self, arn_service: str, resource: str) -> tuple[Service, Target] | None:
        """Who takes deliveries for an ARN of this service and resource."""
        service = self._by_signing.get(arn_service)
        if service is None:
            return None
        kind = resource.split(":", 1)[0].split("/", 1)[0]
        target: Any = service.targets.get(kind) or service.targets.get("")
        return (service, target) if target else None
