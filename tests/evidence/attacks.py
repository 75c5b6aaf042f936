"""What somebody with every right on the database, but without the signing key, does to a log.

Each attack takes a connection and the seed's dice, changes the log, and says which leaves' places
must be named: for an event that was put in, its position; else the number of the leaf.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg

from evidence.verify import Finding
from hosting import proof_store

type Connection = Any


@dataclass
class Attack:
    """`leaves`: what must be named, and nothing else, each by one of `kinds`; `positions`: of
    events that were put in.
    """

    kinds: frozenset[str]
    leaves: set[int] = field(default_factory=set)
    positions: set[str] = field(default_factory=set)

    def missed(self, findings: Iterable[Finding]) -> str:
        """Why the findings are not those of this attack; nothing where they are."""
        found = list(findings)
        if not found:
            return "found nothing"
        if strange := {one.kind for one in found} - self.kinds:
            return f"said {strange}"
        named = {
            number
            for one in found
            if one.kind != "inserted" and one.first is not None and one.last is not None
            for number in range(one.first, one.last + 1)
        }
        put_in = {one.position for one in found if one.kind == "inserted"}
        if named != self.leaves or put_in != self.positions:
            return f"named {named} {put_in}, not {self.leaves} {self.positions}"
        return ""


COLUMNS: dict[str, Callable[[Any, random.Random], Any]] = {
    "data": lambda row, dice: flipped(row["data"], dice),
    "actor": lambda row, _: row["actor"] + "x",
    "type": lambda row, _: row["type"] + "x",
    "version": lambda row, _: row["version"] + 1_000_000,
    "stream": lambda *_: uuid4(),
    "id": lambda *_: uuid4(),
    "organisation": lambda *_: uuid4(),
    "correlation": lambda *_: uuid4(),
    "causation": lambda *_: uuid4(),
    "trace": lambda row, _: (row["trace"] or "") + "0",
}
MOMENTS = ("occurred_at", "recorded_at")
MOMENTS_AFTER = ("interval '1 microsecond'", "interval '-3000 years'")


def flipped(data: bytes, dice: random.Random) -> bytes:
    """With one bit of it changed."""
    bit = dice.randrange(len(data) * 8)
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


async def event_of(connection: Connection, number: int) -> asyncpg.Record:
    row = await connection.fetchrow(
        "select e.* from event e join log_leaf l using (epoch, tx, seq) where l.number = $1",
        number,
    )
    assert row is not None, number
    return row


def place(row: asyncpg.Record) -> tuple[int, int, int]:
    return row["epoch"], row["tx"], row["seq"]


async def update(connection: Connection, dice: random.Random, size: int) -> Attack:
    """One column of one event, by as little as can be."""
    number = dice.randrange(size)
    row = await event_of(connection, number)
    column = dice.choice([*COLUMNS, *MOMENTS])
    if column in MOMENTS:
        by = dice.choice(MOMENTS_AFTER)
        change, values = f"{column} = {column} + {by}", []
    else:
        change, values = f"{column} = $4", [COLUMNS[column](row, dice)]
    done = await connection.execute(
        f"update event set {change} where epoch = $1 and tx = $2 and seq = $3", *place(row), *values
    )
    assert done == "UPDATE 1"
    return Attack(frozenset({"altered"}), {number})


async def delete(connection: Connection, dice: random.Random, size: int) -> Attack:
    """One event, or several in a row."""
    first = dice.randrange(size)
    numbers = range(first, min(size, first + dice.choice((1, 1, 2, 7))))
    for number in numbers:
        row = await event_of(connection, number)
        await connection.execute(
            "delete from event where epoch = $1 and tx = $2 and seq = $3", *place(row)
        )
    return Attack(frozenset({"removed"}), set(numbers))


async def copied(connection: Connection, row: asyncpg.Record, **other: Any) -> None:
    values = dict(row) | other
    await connection.execute(
        f"insert into event ({', '.join(values)}) overriding system value"
        f" values ({', '.join(f'${n}' for n in range(1, len(values) + 1))})",
        *values.values(),
    )


async def insert(connection: Connection, dice: random.Random, size: int) -> Attack:
    """An event between two others, or at the very position of one."""
    row = await event_of(connection, dice.randrange(size))
    seq = row["seq"] + dice.choice((0, -(10**9)))
    await copied(connection, row, seq=seq, id=uuid4(), stream=uuid4())
    return Attack(frozenset({"inserted"}), set(), {f"{row['epoch']}.{row['tx']}.{seq}"})


async def reorder(connection: Connection, dice: random.Random, size: int) -> Attack:
    """Two events change places."""
    one, other = dice.sample(range(size), 2)
    first, second = await event_of(connection, one), await event_of(connection, other)
    for row in (first, second):
        await connection.execute(
            "delete from event where epoch = $1 and tx = $2 and seq = $3", *place(row)
        )
    for row, other_row in ((first, second), (second, first)):
        epoch, tx, seq = place(other_row)
        await copied(connection, row, epoch=epoch, tx=tx, seq=seq)
    return Attack(frozenset({"altered"}), {one, other})


async def truncate(connection: Connection, dice: random.Random, size: int) -> Attack:
    """The end of the log is gone, and of its leaves and checkpoints' memory nothing is."""
    first = dice.randrange(max(0, size - 50), size)
    row = await event_of(connection, first)
    await connection.execute(
        "delete from event where (epoch, tx, seq) >= ($1, $2, $3)", *place(row)
    )
    last = await connection.fetchval("select max(number) from log_leaf")
    return Attack(frozenset({"removed"}), set(range(first, last + 1)))


async def truncate_with_leaves(connection: Connection, dice: random.Random, size: int) -> Attack:
    """The end of the log, and of its tree."""
    first = dice.randrange(max(1, size - 50), size)
    row = await event_of(connection, first)
    await connection.execute(
        "delete from event where (epoch, tx, seq) >= ($1, $2, $3)", *place(row)
    )
    await connection.execute("delete from log_leaf where number >= $1", first)
    await connection.execute("update log_tree set size = $1", first)
    last = await connection.fetchval("select max(size) from log_checkpoint")
    return Attack(frozenset({"cut"}), set(range(first, last)))


async def leaf(connection: Connection, dice: random.Random, size: int) -> Attack:
    """A leaf's record, and no event."""
    number = dice.randrange(size)
    statement = dice.choice(
        (
            "update log_leaf set hash = sha256(hash) where number = $1",
            "delete from log_leaf where number = $1",
        )
    )
    await connection.execute(statement, number)
    return Attack(frozenset({"leaf"}), {number})


async def delete_with_leaf(connection: Connection, dice: random.Random, size: int) -> Attack:
    """An event, and all that is known of its leaf."""
    number = dice.randrange(size - 1)
    row = await event_of(connection, number)
    await connection.execute(
        "delete from event where epoch = $1 and tx = $2 and seq = $3", *place(row)
    )
    await connection.execute("delete from log_leaf where number = $1", number)
    around = await between(connection, number)
    return Attack(frozenset({"removed", "rewritten"}), around)


async def between(connection: Connection, number: int) -> set[int]:
    """The leaves that signatures cannot tell from leaf `number`."""
    before = await connection.fetchval(
        "select coalesce(max(size), 0) from log_checkpoint where size <= $1", number
    )
    after = await connection.fetchval(
        "select min(size) from log_checkpoint where size > $1", number
    )
    ranges = proof_store.ranges_between(before, after) or [(0, after)]
    low, high = next(one for one in ranges if one[0] <= number < one[1])
    return set(range(low, high))


async def checkpoint(connection: Connection, _: random.Random, size: int) -> Attack:
    """A checkpoint that says of a larger log what was said of a smaller one."""
    await connection.execute(
        "update log_checkpoint set note = replace(note, E'\\n' || size || E'\\n',"
        " E'\\n' || size + 1 || E'\\n') where size = $1",
        size,
    )
    return Attack(frozenset({"checkpoint", "proof"}))


async def rewrite(connection: Connection, dice: random.Random, size: int) -> Attack:
    """An event and its leaf's hash: found by the signatures on either side of it, and narrowed
    down to the leaves between two of their hashes.
    """
    return await rewritten(connection, dice, dice.randrange(size))


async def rewritten(connection: Connection, dice: random.Random, number: int) -> Attack:
    """The same with a leaf of choice."""
    row = await event_of(connection, number)
    await connection.execute(
        "update event set data = $4 where epoch = $1 and tx = $2 and seq = $3",
        *place(row), flipped(row["data"], dice),
    )  # fmt: skip
    (beside,) = await proof_store.beside(connection, number, number + 1)
    position = proof_store.position_of(beside)
    await connection.execute(
        "update log_leaf set hash = $2 where number = $1",
        number, proof_store.leaf_hash_of(position, beside),
    )  # fmt: skip
    return Attack(frozenset({"rewritten"}), await between(connection, number))


ATTACKS: dict[str, Callable[[Connection, random.Random, int], Awaitable[Attack]]] = {
    "update": update, "delete": delete, "delete with leaf": delete_with_leaf, "insert": insert, "reorder": reorder,
    "truncate": truncate, "truncate with leaves": truncate_with_leaves, "leaf": leaf,
    "checkpoint": checkpoint, "rewrite": rewrite,
}  # fmt: skip
"""By name. `size`, of the last checkpoint: what is attacked lies below it."""
