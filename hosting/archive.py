"""Months of a log or archive as files: taken out, checked, read and brought back.

A file is the month's rows as CSV, compressed with gzip; beside it lies a manifest: how many rows,
their columns, and SHA-256 of the file and of what is in it. `gunzip` and a text editor read it.
Only reporting's archive may leave the database; the services' own logs are copied (ADR 12).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path

import asyncpg
import msgspec

from shared.clock import this_moment
from shared.locks import Lock
from shared.store import Connection, month_of

type Pool = asyncpg.Pool[asyncpg.Record]

PIECE = 1 << 20
BLOCK = 8 << 20
PAGES = 1_000
"""How much goes into the database in one transaction: bytes of CSV, pages of a table."""

GZIP = 31
"""zlib's window size that stands for the gzip format."""


# A rebuild that was stopped knows what it has folded by where it then was.
_BEGIN_ANEW = "delete from rebuild"


class Wrong(Exception):  # noqa: N818 - says what it is
    """What is asked for cannot be done, or a file is not what its manifest says; in both words."""


class Manifest(msgspec.Struct, frozen=True):
    """What a file holds. `file`: its whole path when it was written; hashes are SHA-256."""

    table: str
    month: date
    columns: list[str]
    rows: int
    bytes: int
    sha256: str
    content_sha256: str
    file: str
    made_at: datetime

    @property
    def path(self) -> Path:
        """Where the file is."""
        return Path(self.file)


def month_named(text: str) -> date:
    """`2025-03` as the first day of that month; ValueError for anything else."""
    return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()


async def months(pool: Pool, table: str) -> list[date]:
    """The months that a partitioned table has, oldest first."""
    rows = await pool.fetch(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = $1::text::regclass order by 1",
        table,
    )
    return [month_named(f"{row[0][-6:-2]}-{row[0][-2:]}") for row in rows]


async def detached(pool: Pool) -> list[Manifest]:
    """The months of the archive that are in files, oldest first."""
    rows = await pool.fetch("select manifest from detached_month order by month")
    return [msgspec.json.decode(row[0], type=Manifest) for row in rows]


def read_manifest(path: Path) -> Manifest:
    """The manifest beside a file (or the file's own path given); `Wrong` if there is none."""
    path = path if path.suffix == ".json" else path.with_suffix(".json")
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise Wrong(f"读不到清单 · no manifest: {path}: {error}") from error
    moved = path.with_name(found.path.name)
    return msgspec.structs.replace(found, file=str(moved))


async def export(connection: Connection, table: str, month: date, folder: Path) -> Manifest:
    """Writes a month's rows and its manifest; both are whole or not there. Returns what it wrote,
    read back and checked.
    """
    partition = f"{table}_{month:%Y%m}"
    database = await connection.fetchval("select current_database()")
    target = folder / f"{database}.{table}.{month:%Y-%m}.csv.gz"
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    columns = [
        row[0]
        for row in await connection.fetch(
            "select attname from pg_attribute where attrelid = $1::text::regclass and attnum > 0"
            " and not attisdropped order by attnum",
            partition,
        )
    ]
    fresh = target.with_suffix(".new")
    with fresh.open("wb") as stream:
        squeeze, content = zlib.compressobj(6, wbits=GZIP), hashlib.sha256()

        async def take(piece: bytes) -> None:
            content.update(piece)
            stream.write(await asyncio.to_thread(squeeze.compress, piece))

        told = await connection.copy_from_table(
            partition, output=take, columns=columns, format="csv"
        )
        stream.write(squeeze.flush())
        stream.flush()
        os.fsync(stream.fileno())
    made = Manifest(
        table=table, month=month, columns=columns, rows=int(told.split()[-1]),
        bytes=fresh.stat().st_size, sha256=_sha256(fresh), content_sha256=content.hexdigest(),
        file=str(target.resolve()), made_at=this_moment(),
    )  # fmt: skip
    fresh.replace(target)
    note = target.with_suffix(".json.new")
    note.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1))
    note.replace(target.with_suffix(".json"))
    await asyncio.to_thread(verify, made)
    return made


def verify(manifest: Manifest) -> None:
    """Reads a file through; `Wrong` if it is not what its manifest says."""
    path = manifest.path
    if not path.exists():
        raise Wrong(f"文件不在 · the file is not there: {path}")
    if path.stat().st_size != manifest.bytes or _sha256(path) != manifest.sha256:
        raise Wrong(f"文件与清单不符 · the file is not what its manifest says: {path}")
    content = hashlib.sha256()
    for piece in _pieces(path):
        content.update(piece)
    if content.hexdigest() != manifest.content_sha256:
        raise Wrong(f"内容与清单不符 · the content is not what its manifest says: {path}")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    """What is in a file, piece by piece."""
    loosen = zlib.decompressobj(wbits=GZIP)
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield loosen.decompress(piece)
    yield loosen.flush()


@asynccontextmanager
async def loaded(pool: Pool, manifest: Manifest) -> AsyncIterator[str]:
    """A table of a file's rows (less what is in the database as well), for as long as it is needed.

    It is filled bit by bit: a long transaction would hold up every relay of the server.
    """
    await asyncio.to_thread(verify, manifest)
    table, month = f"{manifest.table}_read", f"{manifest.table}_{manifest.month:%Y%m}"
    await pool.execute(
        f"drop table if exists {table};"
        f"create unlogged table {table} (like {manifest.table} including defaults)"
    )
    try:
        rows = 0
        for block in _blocks(manifest.path):
            async with pool.acquire() as connection:
                told = await connection.copy_to_table(
                    table, source=BytesIO(block), columns=manifest.columns, format="csv"
                )
            rows += int(told.split()[-1])
        if rows != manifest.rows:
            raise Wrong(f"行数与清单不符 · not {manifest.rows} rows: {manifest.file}")
        await pool.execute(f"create index on {table} (source, epoch, tx, seq)")
        await pool.execute(
            f"delete from {table} r using {month} m"
            " where (r.source, r.epoch, r.tx, r.seq) = (m.source, m.epoch, m.tx, m.seq)"
        )
        yield table
    finally:
        await pool.execute(f"drop table if exists {table}")


def _blocks(path: Path) -> Iterator[bytes]:
    """A CSV file's content in blocks of whole records: a line ends one unless within quotes."""
    held = b""
    for piece in _pieces(path):
        held += piece
        if len(held) < BLOCK:
            continue
        end = held.rfind(b"\n") + 1
        while end and held.count(b'"', 0, end) % 2:
            end = held.rfind(b"\n", 0, end - 1) + 1
        if end:
            yield held[:end]
            held = held[end:]
    if held:
        yield held


async def listed(pool: Pool, table: str) -> list[str]:
    """Each month in a line: rows as the database estimates them, size, and where it is."""
    lines = []
    for month in await months(pool, table):
        row = await pool.fetchrow(
            "select greatest(reltuples, 0)::bigint as rows,"
            " pg_size_pretty(pg_total_relation_size(oid)) as size"
            " from pg_class where oid = $1::text::regclass",
            f"{table}_{month:%Y%m}",
        )
        assert row is not None
        lines.append(f"{month:%Y-%m}  ~{row['rows']:,}  {row['size']}  数据库 database")
    if table == "archive":
        lines += [
            f"{one.month:%Y-%m}  {one.rows:,}  {one.bytes:,} bytes  {one.file}"
            f"{'' if one.path.exists() else '  不在 MISSING'}"
            for one in await detached(pool)
        ]
    return sorted(lines)


async def copy(pool: Pool, table: str, month: date, folder: Path) -> Manifest:
    """Writes a month's file from one snapshot; the month stays where it is."""
    if month not in await months(pool, table):
        raise Wrong(f"没有这个月 · no such month: {month:%Y-%m}")
    async with pool.acquire() as connection:
        return await export(connection, table, month, folder)


async def detach(pool: Pool, month: date, folder: Path) -> Manifest:
    """Takes a month of the archive out into a file: written, read back, and only then removed.
    Whoever would write into that month meanwhile waits; readers do not.
    """
    table = f"archive_{month:%Y%m}"
    if month not in await months(pool, "archive"):
        raise Wrong(f"没有这个月 · no such month: {month:%Y-%m}")
    if month >= month_of(this_moment().date()):
        raise Wrong(f"这个月还没结束 · the month has not ended: {month:%Y-%m}")
    async with pool.acquire() as connection, connection.transaction():
        await _alone(connection)
        # Reading a large file back takes longer than servers let a transaction be idle.
        await connection.execute("set local idle_in_transaction_session_timeout = 0")
        if await connection.fetchval("select true from detached_month where month = $1", month):
            raise Wrong(f"已经取出 · is in a file already: {month:%Y-%m}")
        await connection.execute(f"lock table {table} in exclusive mode")
        days = await connection.fetchrow(
            f"select min(day), max(day) from (select day from {table} union all"
            " select day from stray where month = $1) days",
            month,
        )
        assert days is not None
        if days[0] is None:
            raise Wrong(f"这个月没有数据 · the month is empty: {month:%Y-%m}")
        made = await export(connection, "archive", month, folder)
        await connection.execute(
            "insert into detached_month (month, first_day, last_day, manifest)"
            " values ($1, $2, $3, $4)",
            month, days[0], days[1], msgspec.json.encode(made).decode(),
        )  # fmt: skip
        await connection.execute(f"truncate {table}")
        await connection.execute(_BEGIN_ANEW)
    return made


async def attach(pool: Pool, manifest: Manifest) -> int:
    """Brings a month back from its file, which stays; returns how many rows. Stopped half-way it
    can be asked again.
    """
    month = f"archive_{manifest.month:%Y%m}"
    async with pool.acquire() as connection:
        await _alone(connection)
        known = await connection.fetchval(
            "select manifest from detached_month where month = $1", manifest.month
        )
        if known is None:
            raise Wrong(f"这个月没有取出 · the month is not in a file: {manifest.month:%Y-%m}")
        if msgspec.json.decode(known, type=Manifest).content_sha256 != manifest.content_sha256:
            raise Wrong("不是取出的那个文件 · not the file that was taken out")
        await connection.execute(_BEGIN_ANEW)
        async with loaded(pool, manifest) as table:
            pages = await pool.fetchval(f"select pg_relation_size('{table}') / 8192")
            for page in range(0, pages, PAGES):
                await pool.execute(
                    f"insert into {month} select * from {table}"
                    f" where ctid >= '({page},0)' and ctid < '({page + PAGES},0)'"
                )
        await connection.execute("delete from detached_month where month = $1", manifest.month)
    return manifest.rows


async def _alone(connection: Connection) -> None:
    """No rebuild reads the archive while a month of it goes or comes. The lock goes with the
    connection, as the pool does with all that it takes back.
    """
    if not await connection.fetchval("select pg_try_advisory_lock($1)", Lock.REBUILD):
        raise Wrong("正在重建，请稍后 · a rebuild is under way: try again later")
