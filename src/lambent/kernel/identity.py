"""Who an access key is: the directory that IAM and STS write to and the pipeline reads.

A key of 12 digits is that account; a key issued here is its principal; any other is the default
account (with `--auth off`). Under `--auth enforce` only issued keys exist, the first of them being
the root key that a fresh data folder gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from lambent.base.arn import Arn, partition_of
from lambent.base.errors import AwsError
from lambent.kernel.context import Principal
from lambent.kernel.timers import SYSTEM
from lambent.store.protocol import ABSENT, Delete, Key, Put

if TYPE_CHECKING:
    from lambent.kernel.platform import Platform

_KEYS: Key = (SYSTEM, SYSTEM, "kernel", "AccessKey")
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SECRET_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+"
SESSIONS_MAX = 100_000
"""Sessions held in memory (execution environments); the oldest go first."""


class Issued(Struct, frozen=True):
    """One access key. `expires_s` is 0 for long-term keys; `active` false for disabled ones."""

    access_key: str
    secret: str
    principal: Principal
    token: str = ""
    expires_s: float = 0.0
    active: bool = True

    def record(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "secret": self.secret,
            "principal": [self.principal.account, self.principal.arn, self.principal.user_id],
            "token": self.token,
            "expires": self.expires_s,
            "active": self.active,
        }

    @classmethod
    def of(cls, access_key: str, value: dict[str, Any]) -> Issued:
        """From the stored form."""
        account, arn, user_id = value["principal"]
        return cls(
            access_key,
            value["secret"],
            Principal(account, arn, user_id, access_key),
            value["token"],
            value["expires"],
            value["active"],
        )


class Identities:
    """All access keys of a platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._sessions: dict[str, Issued] = {}
        self.root: Issued | None = None
        """The root key, when this server verifies signatures."""

    async def start(self) -> None:
        """Under `--auth enforce`, make sure there is a root key for the default account.

        The one that this server has already survives a reset: its owner holds it in a file.
        """
        settings = self._platform.settings
        if not settings.enforce:
            return
        key: Key = (SYSTEM, SYSTEM, "kernel", "RootKey", settings.account)
        row = await self._platform.store.get(key)
        if row is None:
            principal = Principal.root(settings.account, partition_of(settings.region))
            issued = self.root or self.make(principal)
            await self._platform.store.commit(
                Put(key, {"id": issued.access_key}, expect=ABSENT), self.put(issued)
            )
            self.root = issued
        else:
            self.root = await self.find(row.value["id"])

    def make(self, principal: Principal, *, lifetime_s: float = 0.0) -> Issued:
        """A new key for `principal`: long-term, or temporary with a session token."""
        ids = self._platform.ids
        prefix = "ASIA" if lifetime_s else "AKIA"
        access_key = prefix + ids.text(16, _UPPER)
        return Issued(
            access_key,
            ids.text(40, _SECRET_ALPHABET),
            Principal(principal.account, principal.arn, principal.user_id, access_key),
            ids.text(180, _SECRET_ALPHABET) if lifetime_s else "",
            self._platform.clock.now() + lifetime_s if lifetime_s else 0.0,
        )

    def put(self, issued: Issued) -> Put:
        """The change that makes a key known for good."""
        return Put((*_KEYS, issued.access_key), issued.record())

    def drop(self, access_key: str) -> Delete:
        """The change that forgets a key."""
        return Delete((*_KEYS, access_key))

    def lend(self, issued: Issued) -> None:
        """Make a key known to this running server only: execution environments die with it."""
        while len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[issued.access_key] = issued

    def revoke(self, access_key: str) -> None:
        """Forget a lent key."""
        self._sessions.pop(access_key, None)

    async def find(self, access_key: str) -> Issued | None:
        """The issued key, lent or stored."""
        if lent := self._sessions.get(access_key):
            return lent
        row = await self._platform.store.get((*_KEYS, access_key))
        return Issued.of(access_key, row.value) if row else None

    async def principal(self, access_key: str, region: str) -> Principal:
        """Who `access_key` is when signatures are not verified."""
        if len(access_key) == 12 and access_key.isdecimal():
            return Principal.root(access_key, partition_of(region), access_key)
        if access_key[:4] in ("AKIA", "ASIA") and (issued := await self.find(access_key)):
            return issued.principal
        account = self._platform.settings.account
        return Principal.root(account, partition_of(region), access_key)

    async def verified(self, access_key: str, token: str) -> Issued:
        """The issued key behind a signature. Errors: InvalidClientTokenId, ExpiredToken."""
        issued = await self.find(access_key)
        if issued is None or not issued.active or issued.token != token:
            message = "The security token included in the request is invalid."
            raise AwsError("UnrecognizedClientException", message, status=403)
        if issued.expires_s and issued.expires_s <= self._platform.clock.now():
            message = "The security token included in the request is expired"
            raise AwsError("ExpiredTokenException", message, status=403)
        return issued


def role_session(role_arn: str, session: str, role_id: str = "AROALAMBENT") -> Principal:
    """The principal that a role's session is."""
    arn = Arn.parse(role_arn)
    name = arn.resource.rsplit("/", 1)[-1]
    assumed = f"arn:{arn.partition}:sts::{arn.account}:assumed-role/{name}/{session}"
    return Principal(arn.account, assumed, f"{role_id}:{session}")
