"""The control addresses: `/_lambent/...` and LocalStack's two, in JSON. Contract: docs/contract.md.

Health, clock, support and reset are the platform's; further ones are declared by services
(`Service.controls`).
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from lambent import __version__
from lambent.base.clock import VirtualClock
from lambent.base.durations import duration_s
from lambent.base.errors import AwsError
from lambent.kernel import Platform
from lambent.kernel.answers import json_response
from lambent.kernel.pipeline import Pipeline
from lambent.net.message import Request, Response

BODY_BYTES_MAX = 1_000_000
_OPEN = ("/_lambent/health", "/_localstack/health", "/_localstack/init")
"""What wrappers wait for, before they have credentials."""
_LAST_S = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""As far as the clock goes: what is later has no date."""

Handler = Callable[[Request], Awaitable[Response]]


def refusal(status: int, code: str, message: str) -> Response:
    """A JSON error of the control plane."""
    return json_response({"error": code, "message": message}, status)


class Control:
    """Answers control requests of one platform."""

    def __init__(self, platform: Platform, isolation: str) -> None:
        self._platform = platform
        self._isolation = isolation
        self._pipeline = Pipeline(platform)
        self.ready = False
        self._handlers: dict[tuple[str, str], Handler] = {
            ("GET", "/_lambent/health"): self._health,
            ("GET", "/_localstack/health"): self._localstack_health,
            ("GET", "/_localstack/init"): self._localstack_init,
            ("GET", "/_lambent/clock"): self._clock,
            ("POST", "/_lambent/clock"): self._move_clock,
            ("GET", "/_lambent/support"): self._support,
            ("POST", "/_lambent/reset"): self._reset,
        }

    async def serve(self, request: Request) -> Response:
        """The answer to a request below `/_lambent/` or `/_localstack/`."""
        method = "GET" if request.method == "HEAD" else request.method
        path = request.path.rstrip("/")
        handler = self._handlers.get((method, path)) or self._declared(path)
        if handler is None:
            return refusal(501, "NotImplemented", f"Lambent does not serve {path} yet.")
        if self._platform.settings.enforce and not self._is_open(path):
            handler = partial(self._for_root, handler)
        return await _guarded(handler, request)

    def _is_open(self, path: str) -> bool:
        """Whether anybody may ask, even when signatures are verified."""
        name = path.removeprefix("/_lambent/").split("/", 1)[0]
        services = self._platform.registry.services.values()
        return path in _OPEN or any(name in service.open_controls for service in services)

    async def _for_root(self, handler: Handler, request: Request) -> Response:
        """Let the default account's root pass, who owns the server, and nobody else."""
        who, request = await self._pipeline.admit(request, BODY_BYTES_MAX)
        owner = self._platform.identities.root
        if owner is None or who.arn != owner.principal.arn:
            message = f"User: {who.arn} is not authorized to perform: lambent:*"
            raise AwsError("AccessDeniedException", message, status=403)
        return await handler(request)

    def _declared(self, path: str) -> Handler | None:
        """The control address that a service declares."""
        name = path.removeprefix("/_lambent/").split("/", 1)[0]
        for service in self._platform.registry.services.values():
            if control := service.controls.get(name):
                settings = self._platform.settings
                ctx = self._platform.context(service.name, settings.account, settings.region)
                return partial(control, ctx)
        return None

    async def _health(self, _: Request) -> Response:
        if not self.ready:
            return json_response({"status": "starting", "version": __version__}, 503)
        names = self._platform.registry.services
        return json_response(
            {
                "status": "ready",
                "version": __version__,
                "isolation": self._isolation,
                "services": dict.fromkeys(names, "ready"),
            }
        )

    async def _localstack_health(self, _: Request) -> Response:
        names = self._platform.registry.services
        status = "available" if self.ready else "initialized"
        return json_response(
            {
                "services": dict.fromkeys(names, status),
                "edition": "community",
                "version": __version__,
            }
        )

    async def _localstack_init(self, _: Request) -> Response:
        done = {"BOOT": True, "START": self.ready, "READY": self.ready, "SHUTDOWN": False}
        return json_response({"completed": done, "scripts": []})

    async def _clock(self, _: Request) -> Response:
        clock = self._platform.clock
        return json_response({"now": _iso(clock.now()), "virtual": clock.virtual})

    async def _move_clock(self, request: Request) -> Response:
        order = await _json_body(request)
        clock = self._platform.clock
        if not isinstance(clock, VirtualClock):
            return refusal(
                409, "RealClock", "Moving the clock needs a server with --clock virtual."
            )
        if set(order) == {"advance"}:
            by_s = duration_s(order["advance"])
            if clock.now() + by_s > _LAST_S:
                return refusal(400, "InvalidTime", "The clock ends with the year 9999.")
            await clock.advance(by_s)
        elif set(order) == {"set"}:
            when_s = _instant_s(order["set"])
            if when_s < clock.now():
                return refusal(400, "InvalidTime", "The clock cannot be set back.")
            await clock.set(when_s)
        else:
            return refusal(
                400, "InvalidRequest", 'Send {"advance": "90s"} or {"set": "<ISO time>"}.'
            )
        return await self._clock(request)

    async def _support(self, _: Request) -> Response:
        services = self._platform.registry.services
        return json_response({name: services[name].support() for name in services})

    async def _reset(self, request: Request) -> Response:
        scope = await _json_body(request)
        unknown = sorted(scope.keys() - {"account", "region", "service"})
        if unknown:
            return refusal(400, "InvalidRequest", f"Unknown member {unknown[0]!r}.")
        if not all(isinstance(value, str) for value in scope.values()):
            return refusal(400, "InvalidRequest", "Account, region and service are strings.")
        if (name := scope.get("service")) and name not in self._platform.registry.services:
            return refusal(400, "InvalidRequest", f"Unknown service {name!r}.")
        await self._platform.reset(scope.get("account"), scope.get("region"), scope.get("service"))
        return json_response({"status": "reset"})


async def _guarded(handler: Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except AwsError as error:
        return refusal(error.status or 400, error.code, error.message or "")
    except ValueError as error:
        return refusal(400, "InvalidRequest", str(error))


async def _json_body(request: Request) -> dict[str, Any]:
    data = await request.body.read(BODY_BYTES_MAX)
    try:
        value = msgspec.json.decode(data) if data else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError("The body must be a JSON object.")
    return value


def _instant_s(text: Any) -> float:
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise ValueError(f"Not a time: {text!r}; write 2030-01-01T00:00:00Z.") from error
    when_s = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    if when_s > _LAST_S:
        raise ValueError("The clock ends with the year 9999.")
    return when_s


def _iso(when_s: float) -> str:
    return (
        datetime.fromtimestamp(when_s, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
