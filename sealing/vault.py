"""Data keys, one for each person at each organisation, in a database of their own.

A key is committed before anything that it seals, so a crash between leaves a key that nobody
needs, never a value that nobody can open. A destroyed key leaves its row behind: erased is known
from lost.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg

from sealing import cipher
from sealing.cipher import DataKey
from sealing.secret_file import Secrets

CACHED_MAX = 20_000
"""Data keys kept in memory, at most."""

_LOCK = 0x6B657973
_REWRAPPED_AT_ONCE = 1_000

_SCHEMA = """
create table if not exists data_key (
    id uuid primary key,
    -- A keyed hash of organisation and person: the key database names nobody either.
    subject bytea not null,
    algorithm text not null,
    -- null: destroyed, and what it sealed is erased.
    wrapped bytea,
    wrapped_by int not null,
    fingerprint text not null,
    made_at timestamptz not null default now(),
    destroyed_at timestamptz
);
create unique index if not exists data_key_alive on data_key (subject) where wrapped is not null;
create index if not exists data_key_wrapped_by on data_key (wrapped_by) where wrapped is not null;
-- Each statement within sees what others have committed meanwhile: of two that make a key for the
-- same person, both get the one that was first.
create or replace function keys_for(
    subjects bytea[], ids uuid[], wraps bytea[], marks text[], kind text, by_key int
) returns setof data_key language plpgsql as $$
begin
    insert into data_key (id, subject, algorithm, wrapped, wrapped_by, fingerprint)
    select t.id, t.subject, kind, t.wrapped, by_key, t.mark
    from unnest(ids, subjects, wraps, marks) as t(id, subject, wrapped, mark)
    where not exists (
        select from data_key d where d.subject = t.subject and d.wrapped is not null
    )
    order by t.subject
    on conflict (subject) where wrapped is not null do nothing;
    return query select * from data_key d where d.subject = any(subjects) and d.wrapped is not null;
end $$;
"""

type Subject = tuple[UUID, str]
"""Whom a value is about: the organisation that keeps it, and the person (or thing) there."""


class KeyLost(LookupError):  # noqa: N818 - says what it is
    """What wraps a key is not in the file: give the process the newer (or older) file back."""


class KeysAway(ConnectionError):  # noqa: N818 - says what it is
    """The key database does not answer: what is not personal goes on without it."""


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What is left of a key, as a certificate of erasure states it."""

    id: UUID
    algorithm: str
    fingerprint: str
    made_at: datetime
    destroyed_at: datetime


class Vault:
    """The keys of all services. `life_s`: how long a key is used from memory, and so how long an
    erasure may take to be seen by every process. `algorithm`: of the keys made from now on.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        secrets: Secrets,
        algorithm: str = "aes-256-gcm",
        life_s: float = 10.0,
    ) -> None:
        self.pool, self.secrets, self.algorithm, self.life_s = pool, secrets, algorithm, life_s
        self._known: OrderedDict[UUID, tuple[float, DataKey | None]] = OrderedDict()

    async def prepare(self) -> None:
        """Makes the tables if they are not there."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_SCHEMA)

    async def keys_for(self, subjects: Collection[Subject]) -> dict[Subject, DataKey]:
        """The key of each subject, made where there is none: one round trip, always asked anew, so
        that nothing is sealed with a key that is known to be destroyed.
        """
        hashed = {self._hash(subject): subject for subject in subjects}
        in_order = sorted(hashed)
        fresh = [
            DataKey(uuid4(), self.algorithm, cipher.new_secret(self.algorithm)) for _ in in_order
        ]
        rows = await self._fetch(
            "select * from keys_for($1, $2, $3, $4, $5, $6)",
            in_order,
            [key.id for key in fresh],
            [self._wrap(key) for key in fresh],
            [key.fingerprint for key in fresh],
            self.algorithm,
            self.secrets.newest,
        )
        return {hashed[row["subject"]]: self._unwrap(row) for row in rows}

    async def keys(self, ids: Iterable[UUID]) -> Mapping[UUID, DataKey | None]:
        """Keys by id, None for those that were destroyed; unknown ones are left out. One round trip
        for all that are not in memory, none if all are.
        """
        now, found, asked = time.monotonic(), {}, []
        for id_ in set(ids):
            known = self._known.get(id_)
            if known is not None and known[0] > now:
                found[id_] = known[1]
            else:
                asked.append(id_)
        if asked:
            rows = await self._fetch("select * from data_key where id = any($1)", asked)
            for row in rows:
                key = None if row["wrapped"] is None else self._unwrap(row)
                found[row["id"]] = key
                self._known[row["id"]] = now + self.life_s, key
                self._known.move_to_end(row["id"])
            while len(self._known) > CACHED_MAX:
                self._known.popitem(last=False)
        return found

    async def _fetch(self, text: str, *values: object) -> list[asyncpg.Record]:
        try:
            return list(await self.pool.fetch(text, *values))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise KeysAway("the key database does not answer") from error

    async def destroy(self, id_: UUID) -> list[Destroyed]:
        """Destroys the key of whomever that key is or was; returns every key that they ever had,
        all destroyed now.
        """
        theirs = "subject = (select subject from data_key where id = $1)"
        await self._destroy(theirs, id_)
        rows = await self.pool.fetch(
            f"select * from data_key where {theirs} and wrapped is null order by made_at, id", id_
        )
        return [_destroyed(row) for row in rows]

    async def destroy_again(self, ids: Sequence[UUID]) -> int:
        """Destroys keys that a restored back-up has brought back; returns how many there were."""
        return await self._destroy("id = any($1)", ids)

    async def _destroy(self, which: str, value: object) -> int:
        rows = await self.pool.fetch(
            "update data_key set wrapped = null, destroyed_at = now()"
            f" where {which} and wrapped is not null returning id",
            value,
        )
        for row in rows:
            self._known.pop(row["id"], None)
        if rows:
            await self.pool.execute("vacuum data_key")  # the row's older version goes as well
        return len(rows)

    async def rewrap(self) -> int:
        """Wraps every key with the newest wrapping key; returns how many were not yet."""
        total, newest = 0, self.secrets.newest
        while rows := await self.pool.fetch(
            "select * from data_key where wrapped is not null and wrapped_by < $1 limit $2",
            newest, _REWRAPPED_AT_ONCE,
        ):  # fmt: skip
            await self.pool.executemany(
                "update data_key set wrapped = $2, wrapped_by = $3"
                " where id = $1 and wrapped is not null",
                [(row["id"], self._wrap(self._unwrap(row)), newest) for row in rows],
            )
            total += len(rows)
        return total

    def _hash(self, subject: Subject) -> bytes:
        organisation, name = subject
        text = organisation.bytes + name.encode()
        return hmac.digest(self.secrets.index, text, "sha256")

    def fingerprint(self, text: bytes) -> bytes:
        """A keyed hash of a text: guessing what it was needs the secret. 16 bytes."""
        return hashlib.blake2b(text, key=self.secrets.index, digest_size=16).digest()

    def _wrap(self, key: DataKey) -> bytes:
        wrapping = self._wrapping(self.secrets.newest, key.algorithm)
        return cipher.seal(key.algorithm, wrapping, key.secret, key.id.bytes)

    def _unwrap(self, row: Mapping[str, object]) -> DataKey:
        id_, algorithm, wrapped = row["id"], row["algorithm"], row["wrapped"]
        assert isinstance(id_, UUID), "the column is uuid"
        assert isinstance(algorithm, str), "the column is text"
        assert isinstance(wrapped, bytes), "only asked of keys that are not destroyed"
        number = row["wrapped_by"]
        assert isinstance(number, int), "the column is int"
        if number not in self.secrets.wrapping:
            raise KeyLost(f"the key file has no wrapping key {number}")
        wrapping = self._wrapping(number, algorithm)
        return DataKey(id_, algorithm, cipher.unseal(algorithm, wrapping, wrapped, id_.bytes))

    def _wrapping(self, number: int, algorithm: str) -> bytes:
        """The wrapping key of an algorithm: one of its own, so that none serves two."""
        whole = hmac.digest(self.secrets.wrapping[number], algorithm.encode(), "sha256")
        return whole[: cipher.secret_bytes(algorithm)]


def _destroyed(row: Mapping[str, object]) -> Destroyed:
    names = ("id", "algorithm", "fingerprint", "made_at", "destroyed_at")
    return Destroyed(**{name: row[name] for name in names})  # type: ignore[arg-type]


@asynccontextmanager
async def opened(
    database: str, secrets: Secrets, algorithm: str, life_s: float
) -> AsyncIterator[Vault]:
    """A vault on its database, ready to use."""
    async with asyncpg.create_pool(
        database, min_size=0, max_size=4, timeout=5, command_timeout=5
    ) as pool:
        vault = Vault(pool, secrets, algorithm, life_s)
        await vault.prepare()
        yield vault
