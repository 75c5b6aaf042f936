"""Who is signed in where: one row per session, ended by idleness, by age, or by hand."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec

from hosting.migrations import apply_files
from services.portal.oidc import Identity
from services.portal.settings import Settings
from shared.ids import new_id

MIGRATIONS = Path(__file__).parent / "migrations"

SEEN_S = 30
"""How exactly it is kept when somebody was last seen: not every request is a write."""

AGENT_MAX = 300

_LIVE = "seen_at > now() - $1::interval and signed_in_at > now() - $2::interval"
_FIND = (
    f"select *, seen_at < now() - interval '{SEEN_S} seconds' as stale from session"
    f" where {_LIVE} and secret_hash = $3"
)
_OWN = (
    "select id, signed_in_at, seen_at, agent from session"
    f" where {_LIVE} and subject = $3 order by seen_at desc"
)


class Session(msgspec.Struct, frozen=True):
    """A live session. `csrf` is what its pages must send along to change anything."""

    id: UUID
    subject: str
    name: str
    unit: UUID | None
    id_token: str
    signed_in_at: datetime
    idle_until: datetime
    until: datetime
    csrf: str


class Sessions:
    """The sessions of all portal processes, in their one database."""

    pool: asyncpg.Pool[asyncpg.Record]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.idle = timedelta(minutes=settings.session_idle_minutes)
        self.age = timedelta(hours=settings.session_hours)

    @asynccontextmanager
    async def stored(self) -> AsyncIterator[None]:
        """The database is there, as the files say, for as long as this is open."""
        settings = self.settings
        async with asyncpg.create_pool(
            settings.database, min_size=1, max_size=settings.pool_size, command_timeout=15
        ) as self.pool:
            async with self.pool.acquire() as connection, connection.transaction():
                await apply_files(connection, [MIGRATIONS])
            yield

    async def open(self, identity: Identity, agent: str) -> str:
        """Starts a session; the secret that its cookie carries. What has ended goes."""
        secret = secrets.token_urlsafe(32)
        await self.pool.execute(f"delete from session where not ({_LIVE})", self.idle, self.age)
        await self.pool.execute(
            "insert into session (secret_hash, id, subject, name, agent, id_token)"
            " values ($1, $2, $3, $4, $5, $6)",
            _hash(secret), new_id(), identity.subject, identity.name, agent[:AGENT_MAX],
            identity.id_token,
        )  # fmt: skip
        return secret

    async def find(self, secret: str, *, touch: bool = True) -> Session | None:
        """The live session of a cookie. `touch`: its person does something just now."""
        row = await self.pool.fetchrow(_FIND, self.idle, self.age, _hash(secret))
        if row is None:
            return None
        if touch and row["stale"]:
            await self.pool.execute("update session set seen_at = now() where id = $1", row["id"])
        return Session(
            row["id"], row["subject"], row["name"], row["unit"], row["id_token"],
            row["signed_in_at"], row["seen_at"] + self.idle, row["signed_in_at"] + self.age,
            hmac.digest(secret.encode(), b"csrf", "sha256").hex(),
        )  # fmt: skip

    async def of(self, subject: str) -> list[dict[str, object]]:
        """A person's own live sessions, the one used last first."""
        return [dict(row) for row in await self.pool.fetch(_OWN, self.idle, self.age, subject)]

    async def work_for(self, session: UUID, unit: UUID) -> None:
        """Keeps the unit that the person works for now."""
        await self.pool.execute("update session set unit = $2 where id = $1", session, unit)

    async def end(self, session: UUID, subject: str) -> bool:
        """Ends one of a person's own sessions; whether there was one."""
        ended = await self.pool.fetchval(
            "delete from session where id = $1 and subject = $2 returning id", session, subject
        )
        return ended is not None


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
