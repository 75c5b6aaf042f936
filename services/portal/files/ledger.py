"""Which files there are, for which unit and by whom they were sent, and what is on its way."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.portal.files import content
from services.portal.files.blobs import Blobs, blobs_at
from services.portal.sessions import Sessions
from services.portal.settings import Settings
from shared.problems import Problem

type Connection = Any

DAY = timedelta(days=1)

_KNOWN = """
select f.sha256, f.media_type, f.erased_at is not null as erased,
    coalesce(bool_or(p.subject = $2), false) as own,
    coalesce(array_agg(distinct p.unit) filter (where p.unit is not null), '{}') as units
from file f left join file_place p using (sha256) where f.sha256 = any($1) group by f.sha256
"""
_SENT_TODAY = """
select (select coalesce(sum(greatest(size_bytes, $4)), 0) from file_place join file using (sha256)
        where subject = $1 and sent_at > now() - $2::interval)
    + (select coalesce(sum(greatest(size_bytes, $4)), 0) from file_upload
        where subject = $1 and sha256 <> $3)
    + (select coalesce(sum(greatest(size_bytes, $4)), 0) from file_refused
        where subject = $1 and refused_at > now() - $2::interval)
"""
_BEGIN = """
insert into file_upload (sha256, subject, unit, size_bytes, piece_bytes)
values ($1, $2, $3, $4, $5)
on conflict (sha256, subject) do update set unit = excluded.unit, touched_at = now()
where file_upload.size_bytes = excluded.size_bytes
returning piece_bytes
"""
_STORE = """
insert into file (sha256, media_type, size_bytes) values ($1, $2, $3)
on conflict (sha256) do update set asked_at = now() returning erased_at is not null
"""
_TOUCH = "update file set asked_at = now() where sha256 = $1 returning erased_at is not null"
_ADD = """
with touched as (
    update file_upload set touched_at = now() where sha256 = $1 and subject = $2
    returning sha256, subject)
insert into file_piece (sha256, subject, number, bytes) select sha256, subject, $3, $4 from touched
on conflict (sha256, subject, number) do update set bytes = excluded.bytes
"""
_REFUSE = """
with gone as (delete from file_upload where sha256 = $1 and subject = $2 returning size_bytes)
insert into file_refused (subject, size_bytes) select $2, size_bytes from gone
"""
_NAME = """
update file set named_at = coalesce(named_at, now())
where sha256 = any($1) and erased_at is null returning sha256
"""
_UNNAMED = """
select sha256 from file where named_at is null and erased_at is null
and asked_at < now() - $1::interval order by asked_at limit 1 for update skip locked
"""


class Known(msgspec.Struct, frozen=True):
    """A stored file. `own`: the asker has sent it; `units`: for which it was sent."""

    sha256: str
    media_type: str
    erased: bool
    own: bool
    units: list[UUID]


class Upload(msgspec.Struct, frozen=True):
    """A file on its way: how its pieces are cut, and which are still missing."""

    sha256: str
    unit: UUID
    size_bytes: int
    piece_bytes: int
    missing: list[int]

    def length_of(self, number: int) -> int:
        """How long that piece is; 0 if there is none of that number."""
        return max(0, min(self.piece_bytes, self.size_bytes - number * self.piece_bytes))


class Ledger:
    """The tables of files in the portal's database, and the store that they speak of."""

    def __init__(self, sessions: Sessions, blobs: Blobs) -> None:
        self.sessions, self.blobs = sessions, blobs

    @property
    def pool(self) -> asyncpg.Pool[asyncpg.Record]:
        """The connections of the portal's database."""
        return self.sessions.pool

    async def known(self, hashes: Iterable[str], subject: str) -> dict[str, Known]:
        """What is stored of these, by hash."""
        rows = await self.pool.fetch(_KNOWN, list(map(bytes.fromhex, hashes)), subject)
        made = (Known(row["sha256"].hex(), *list(row)[1:]) for row in rows)
        return {one.sha256: one for one in made}

    async def place(self, sha256: str, unit: UUID, subject: str) -> None:
        """A stored file is that unit's, too; for some time it is not swept."""
        async with self.pool.acquire() as connection, connection.transaction():
            digest = bytes.fromhex(sha256)
            erased = await connection.fetchval(_TOUCH, digest)
            if erased is None:
                raise Problem("outcome_unknown")  # swept just now: asked again, it is sent anew
            await _place(connection, digest, unit, subject, erased)

    async def sent_today(self, subject: str, besides: str, least: int) -> int:
        """The bytes that somebody has sent within a day, stored or refused, or begun to send; each
        file counts for at least so many, so that there are not too many small ones either.
        """
        other = bytes.fromhex(besides)
        return int(await self.pool.fetchval(_SENT_TODAY, subject, DAY, other, least))

    async def begin(self, sha256: str, subject: str, unit: UUID, size: int, piece: int) -> Upload:
        """An upload begun, or the one begun before; one of another size is begun anew."""
        digest = bytes.fromhex(sha256)
        if await self.pool.fetchval(_BEGIN, digest, subject, unit, size, piece) is None:
            await self.give_up(sha256, subject)
            await self.pool.fetchval(_BEGIN, digest, subject, unit, size, piece)
        return await self.upload(sha256, subject)

    async def upload(self, sha256: str, subject: str) -> Upload:
        """Somebody's upload as it is; raises the problem `upload_unknown`."""
        row = await self.pool.fetchrow(
            "select unit, size_bytes, piece_bytes, array(select number from file_piece p where"
            " (p.sha256, p.subject) = (u.sha256, u.subject)) as here"
            " from file_upload u where sha256 = $1 and subject = $2",
            bytes.fromhex(sha256), subject,
        )  # fmt: skip
        if row is None:
            raise Problem("upload_unknown")
        pieces = range(-(-row["size_bytes"] // row["piece_bytes"]))
        missing = sorted(set(pieces) - set(row["here"]))
        return Upload(sha256, row["unit"], row["size_bytes"], row["piece_bytes"], missing)

    async def add_piece(self, sha256: str, subject: str, number: int, piece: bytes) -> None:
        """Keeps a piece of an upload; the same again is no harm."""
        await self.pool.execute(_ADD, bytes.fromhex(sha256), subject, number, piece)

    async def finish(self, upload: Upload, subject: str, picture_bytes_max: int) -> None:
        """Makes a file of an upload's pieces, if they are what they are said to be. If not, they
        go, and a problem is raised.
        """
        digest = bytes.fromhex(upload.sha256)
        whole = await self.pool.fetchval(
            "select string_agg(bytes, '' order by number) from file_piece"
            " where sha256 = $1 and subject = $2",
            digest, subject,
        )  # fmt: skip
        if whole is None:
            raise Problem("upload_unknown")
        try:
            # In a thread: whoever else asks must not wait while megabytes are looked through.
            kind = await asyncio.to_thread(_checked, whole, digest, picture_bytes_max)
        except Problem:
            await self._refuse(upload, subject)
            raise
        async with self.pool.acquire() as connection, connection.transaction():
            # The row first: who sweeps this name just now is waited for; then it is stored anew.
            erased = await connection.fetchval(_STORE, digest, kind, len(whole))
            await _place(connection, digest, upload.unit, subject, erased)
            await self.blobs.put(upload.sha256, whole)
            await connection.execute(
                "delete from file_upload where sha256 = $1 and subject = $2", digest, subject
            )

    async def _refuse(self, upload: Upload, subject: str) -> None:
        """Forgets an upload that must not be stored; that it was sent counts for a day. What two
        requests have finished at once counts once.
        """
        await self.pool.execute(_REFUSE, bytes.fromhex(upload.sha256), subject)

    async def give_up(self, sha256: str, subject: str) -> None:
        """Forgets what somebody has begun to send."""
        await self.pool.execute(
            "delete from file_upload where sha256 = $1 and subject = $2",
            bytes.fromhex(sha256), subject,
        )  # fmt: skip

    async def name(self, hashes: Iterable[str]) -> bool:
        """A command names these: they stay from now on. Whether all of them are there."""
        wanted = {bytes.fromhex(one) for one in hashes}
        return len(await self.pool.fetch(_NAME, list(wanted))) == len(wanted)

    async def sweep(self, unfinished: timedelta, unnamed: timedelta) -> int:
        """Removes uploads that nobody goes on with, and files that no command ever named; how many
        files. Several processes may do it at once.
        """
        await self.pool.execute(
            "delete from file_upload where touched_at < now() - $1::interval", unfinished
        )
        await self.pool.execute(
            "delete from file_refused where refused_at < now() - $1::interval", DAY
        )
        swept = 0
        while await self._sweep_one(unnamed):
            swept += 1
        return swept

    async def _sweep_one(self, unnamed: timedelta) -> bool:
        async with self.pool.acquire() as connection, connection.transaction():
            digest = await connection.fetchval(_UNNAMED, unnamed)
            if digest is None:
                return False
            await connection.execute("delete from file_place where sha256 = $1", digest)
            await connection.execute("delete from file where sha256 = $1", digest)
            await self.blobs.drop(digest.hex())
        return True

    async def erase(self, sha256: str, why: str) -> bool:
        """Destroys a file's bytes, and says whether there were any; why it went stays."""
        async with self.pool.acquire() as connection, connection.transaction():
            found = await connection.fetchval(
                "update file set erased_at = now(), erased_why = $2"
                " where sha256 = $1 and erased_at is null returning true",
                bytes.fromhex(sha256), why,
            )  # fmt: skip
            if found:
                await self.blobs.drop(sha256)
        return bool(found)


def _checked(whole: bytes, digest: bytes, picture_bytes_max: int) -> str:
    """The media type of what has arrived; a problem if it must not be stored."""
    if hashlib.sha256(whole).digest() != digest:
        raise Problem("file_hash_wrong")
    return content.media_type(whole, picture_bytes_max)


async def _place(
    connection: Connection, digest: bytes, unit: UUID, subject: str, erased: bool
) -> None:
    if erased:
        raise Problem("file_erased")
    await connection.execute(
        "insert into file_place (sha256, unit, subject) values ($1, $2, $3) on conflict do nothing",
        digest, unit, subject,
    )  # fmt: skip


async def erase(settings: Settings, sha256: str, why: str) -> bool:
    """Destroys a stored file from outside a running portal; whether there was one."""
    sessions = Sessions(settings)
    async with sessions.stored():
        return await Ledger(sessions, blobs_at(settings.file_place)).erase(sha256, why)
