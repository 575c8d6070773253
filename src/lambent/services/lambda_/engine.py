"""The running part of Lambda: unpacked code, environments, admission. One per platform."""

from pathlib import Path

from lambent.base.clock import monotonic
from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Platform, Wire
from lambent.kernel.identity import role_session
from lambent.sandbox.box import LaunchError, Sandbox
from lambent.sandbox.code import BadPackageError, unpack
from lambent.services.lambda_ import limits
from lambent.services.lambda_.concurrency import Concurrency
from lambent.services.lambda_.environment import Environment
from lambent.services.lambda_.metering import Meter
from lambent.services.lambda_.pool import Key, Pool

CREDENTIALS_S = 43_200.0
"""How long an environment's credentials are good for: 12 hours, longer than it lives idle."""

NOTED_MAX = 10_000
"""Functions that have been told which interpreter they run on."""


class LambdaEngine:
    """What Lambda holds in memory."""

    def __init__(self, platform: Platform) -> None:
        sandbox = platform.extras["sandbox"]
        self._platform = platform
        self.sandbox: Sandbox = sandbox
        self.concurrency = Concurrency()
        self.pool = Pool(platform.clock, self._closed)
        self.meter = Meter(platform)
        self.download_key = platform.ids.text(32).encode()
        self._noted: dict[str, None] = {}

    async def stop(self) -> None:
        """Close every environment; store what is metered."""
        await self.pool.close()
        await self.meter.stop()

    async def reset(self, account: str | None, region: str | None) -> None:
        """Close the environments of an account or region (None: of any)."""
        self.pool.retire_where(lambda key: account in (None, key[0]) and region in (None, key[1]))

    def retire(self, ctx: Ctx, name: str, version: str | None = None) -> None:
        """Close the environments of a function, or of one of its versions."""
        prefix = (ctx.account, ctx.region, name)
        self.pool.retire_where(lambda key: key[:3] == prefix and version in (None, key[3]))

    async def prepare(self, record: Wire) -> Path:
        """Unpack a function's code if it is not; its folder. Errors: BadPackageError."""
        sha256: str = record["_code"]
        folder = self.sandbox.code_root / sha256
        if not folder.exists():
            blobs = self._platform.store.blobs
            blobs.pin(sha256)
            try:
                data = await blobs.read(sha256)
                await unpack(data, folder, limits.UNZIPPED_BYTES_MAX)
            finally:
                blobs.release(sha256)
        return folder

    async def start(self, ctx: Ctx, record: Wire) -> Environment:
        """A new environment for `record`, past its init phase. Errors: ServiceException."""
        try:
            code = await self.prepare(record)
        except (BadPackageError, OSError) as error:
            raise unavailable(error) from error
        identities = self._platform.identities
        session = role_session(record["Role"], record["FunctionName"])
        credentials = identities.make(session, lifetime_s=CREDENTIALS_S)
        identities.lend(credentials)
        environment = Environment(ctx, self.sandbox, record, code, credentials)
        self._note(environment)
        try:
            await environment.init()
        except LaunchError as error:
            identities.revoke(credentials.access_key)
            raise unavailable(error) from error
        return environment

    def _note(self, environment: Environment) -> None:
        """Tell a function once that it does not run on its exact runtime version."""
        arn = environment.record["FunctionArn"]
        try:
            note = self.sandbox.resolve(environment.record["Runtime"]).note
        except LookupError as error:
            raise unavailable(error) from error
        if note and arn not in self._noted:
            if len(self._noted) >= NOTED_MAX:
                self._noted.clear()
            self._noted[arn] = None
            environment.note(note)

    def _closed(self, environment: Environment) -> None:
        self._platform.identities.revoke(environment.credentials.access_key)

    def describe(self) -> list[Wire]:
        """Every live environment, for `/_lambent/environments`."""
        return [self._row(key, environment) for key, environment in self.pool.environments()]

    def _row(self, key: Key, environment: Environment) -> Wire:
        box = environment.box
        return {
            "id": environment.id,
            "account": key[0],
            "region": key[1],
            "function": key[2],
            "version": key[3],
            "state": environment.state,
            "pid": box.pid if box else None,
            "isolation": self.sandbox.name,
            "memoryUsedMiB": box.memory_used_mib() if box else 0,
            "memoryLimitMiB": environment.record["MemorySize"],
            "ageSeconds": round(monotonic() - environment.began_s, 3),
            "invocations": environment.invocations,
        }


def unavailable(error: Exception) -> AwsError:
    """ServiceException: an environment could not be started, and why."""
    return AwsError(
        "ServiceException", f"The environment could not be started: {error}", status=500
    )


def engine(ctx: Ctx) -> LambdaEngine:
    """This platform's Lambda engine."""
    found = ctx.platform.engines["lambda"]
    assert isinstance(found, LambdaEngine)
    return found
