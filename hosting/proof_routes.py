"""The log's proofs over HTTP: `/<service>/log/...`.

Checkpoints, keys and consistency proofs hold nothing but hashes and are for everybody: a witness
needs no account. Events are for auditors, each for the units at and below their post; of all others
they get the hash, so that they too can verify the whole tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from evidence.verify import Unverifiable, consistency_ranges, inclusion_ranges, open_note
from hosting import proof_store
from hosting.routing import refusing, routing
from shared.access import scope_of
from shared.asked import person_of
from shared.envelope import position_of
from shared.organisation import Role
from shared.problems import Problem
from shared.runtime import Runtime
from shared.store import Connection

AUDITORS = (Role.ADMINISTRATOR, Role.BUREAU_OFFICER, Role.SUPERVISOR)
"""Who may read events whole, of whatever kind, at their unit and below it."""

PAGE_MAX = 4_096

type SizeParameter = Annotated[int, Query(ge=1, description="叶数 · number of leaves")]


class KeysAnswer(BaseModel):
    """The log's public keys, the oldest first."""

    keys: list[str]


class ConsistencyAnswer(BaseModel):
    """RFC 6962, 2.1.2: hashes in base64."""

    first: int
    second: int
    hashes: list[str]


class InclusionAnswer(BaseModel):
    """An event, its leaf's number, and RFC 6962, 2.1.1 up to the checkpoint's root: a receipt that
    `verify.py` takes as a file.
    """

    leaf: int
    position: str
    hash: str
    event: dict[str, str | None]
    size: int
    hashes: list[str]
    checkpoint: str


def router(rt: Runtime) -> APIRouter:
    """Every route of proofs."""
    made = APIRouter(prefix=f"/{rt.service.name}/log", route_class=routing(rt), tags=["proofs"])
    api = ProofApi(rt)
    signed_in = ("unauthenticated", "no_post", "filter_malformed", "after_unreached")
    routes: tuple[tuple[str, Any, Any, tuple[str, ...], Sequence[Role]], ...] = (
        ("/checkpoint", api.checkpoint, None, ("log_unsigned",), ()),
        ("/keys", api.keys, KeysAnswer, (), ()),
        ("/proofs/consistency", api.consistency, ConsistencyAnswer,
         ("filter_malformed", "size_beyond", "tree_damaged"), ()),
        ("/proofs/inclusion", api.inclusion, InclusionAnswer,
         (*signed_in, "leaf_unknown", "size_beyond", "tree_damaged"), AUDITORS),
        ("/leaves", api.leaves, None, signed_in, AUDITORS),
    )  # fmt: skip
    for path, endpoint, answer, slugs, allow in routes:
        made.add_api_route(
            path, endpoint, methods=["GET"], response_model=answer, responses=refusing(*slugs),
            openapi_extra={"x-roles": list(allow)} if allow else {"security": []},
        )  # fmt: skip
    return made


class ProofApi:
    """The handlers. Those that show events ask first who it is."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt

    async def checkpoint(self) -> Response:
        """最新的签名检查点 · the newest signed checkpoint (C2SP tlog-checkpoint)."""
        async with self.rt.pool.acquire() as connection:
            note = await proof_store.last_note(connection)
        if note is None:
            raise Problem("log_unsigned")
        return PlainTextResponse(note)

    async def keys(self) -> KeysAnswer:
        """验证检查点的公钥 · the public keys that checkpoints are signed with."""
        async with self.rt.pool.acquire() as connection:
            return KeysAnswer(keys=await proof_store.keys_of(connection))

    async def consistency(self, first: SizeParameter, second: SizeParameter) -> ConsistencyAnswer:
        """前一棵树是后一棵的开头 · that the first tree is the beginning of the second."""
        async with self.rt.pool.acquire() as connection:
            size = (await proof_store.tree_of(connection)).size
            if not first <= second <= size:
                raise Problem("size_beyond", field="second" if first <= second else "first")
            hashes = await _hashes(connection, consistency_ranges(first, 0, second))
        return ConsistencyAnswer(first=first, second=second, hashes=hashes)

    async def inclusion(
        self,
        request: Request,
        event: Annotated[str, Query(description="事件的位置 · its order key, as 1.7411.92")],
        size: Annotated[int | None, Query(ge=1, description="检查点 · of a checkpoint")] = None,
    ) -> InclusionAnswer:
        """一条事件及其证明 · an event and the proof that it is in the log."""
        person = await person_of(self.rt, request)
        scope = await scope_of(self.rt.directory, person, AUDITORS)
        try:
            # As it stands in answers (`procurement;1.7411.92;<school>`), or the key alone.
            epoch, tx, seq = position_of(event.split(";")[1] if ";" in event else event)
        except ValueError as error:
            raise Problem("filter_malformed", field="event") from error
        async with self.rt.pool.acquire() as connection:
            row = await proof_store.leaf_at(connection, (epoch, tx, seq), scope)
            if row is None:
                raise Problem("leaf_unknown", field="event")
            if not row["allowed"]:
                raise Problem("no_post", field="event")
            return await _receipt(connection, row["number"], size)

    async def leaves(
        self,
        request: Request,
        first: Annotated[int, Query(ge=0, description="从第几条起 · the first leaf's number")] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    ) -> Response:
        """日志的一页，每行一条 JSON · a page of the log, a line of JSON each."""
        person = await person_of(self.rt, request)
        scope = await scope_of(self.rt.directory, person, AUDITORS)
        # One moment for a whole page: the log grows meanwhile.
        async with (
            self.rt.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            shown = None if scope == "*" else await _units(connection, scope)
            found = await proof_store.lines(connection, first, first + limit, shown)
        content = b"".join(line + b"\n" for line in found)
        return Response(content, media_type="application/x-ndjson")


async def _units(connection: Connection, scope: str) -> list[UUID]:
    return [row[0] for row in await connection.fetch("select unit_id from units_below($1)", scope)]


async def _hashes(connection: Connection, ranges: Sequence[tuple[int, int]]) -> list[str]:
    try:
        found = await proof_store.hashes_of(connection, ranges)
    except KeyError as error:
        raise Problem("tree_damaged") from error
    return [proof_store.text_of(one) for one in found]


async def _receipt(connection: Connection, number: int, size: int | None) -> InclusionAnswer:
    note = await proof_store.last_note(connection, size or proof_store.ENDLESS)
    keys = await proof_store.keys_of(connection)
    try:
        point = open_note(note or "", keys)
    except Unverifiable as error:
        raise Problem("leaf_unknown", field="event") from error
    if size not in {None, point.size}:
        raise Problem("size_beyond", field="size")
    if number >= point.size:
        raise Problem("leaf_unknown", field="event")
    rows = await proof_store.beside(connection, number, number + 1)
    row = next(row for row in rows if row["leaf"] == number)
    return InclusionAnswer(
        **proof_store.leaf_line(row),
        size=point.size,
        hashes=await _hashes(connection, inclusion_ranges(number, 0, point.size)),
        checkpoint=note or "",
    )
