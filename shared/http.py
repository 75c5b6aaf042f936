"""The edge: every declared command and view as an HTTP route, with its refusals as problems.

The order of checks is the caller's: who are you (401), may you (403), is the command right (422),
does the thing stand where you think (404, 412), and then what the decision says.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from typing import Any, Never
from uuid import UUID

import msgspec
from pydantic import ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from sealing import record
from shared import asked, observe, personal, views
from shared.access import scope_of
from shared.clock import this_moment
from shared.decide import Decided, Known, Request, Step
from shared.ids import new_id
from shared.kernel import Command, Creation, Decision, Refused, ViewOf
from shared.may import chances
from shared.problems import Endpoint, Problem, answering, errors_of, foreseen, invalid
from shared.runtime import Runtime
from shared.store import Connection, decode
from shared.writer import Answer, Key

BATCH_MAX, TOGETHER_MAX = 1_000, 10_000

type Decisions = Mapping[str, Decision]


class Row(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One command as it came, by itself or in a batch (where all have one key, without its own)."""

    command: str
    key: str = ""
    id: UUID | None = None
    if_match: int | None = None
    body: msgspec.Raw = msgspec.Raw(b"{}")


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Commands, each with a key of its own and answered by itself; or `together`, under the key of
    the request: all are written or none. `dry_run`: what would come of it, and nothing is written.
    """

    commands: list[Row]
    together: bool = False
    dry_run: bool = False


_BATCH = msgspec.json.Decoder(Batch)


class Owned(msgspec.Struct):
    """What is looked at in a creation that is wrong: whose it would be."""

    organisation: UUID


def routes(rt: Runtime) -> list[Route]:
    """Every route that follows from the service's declarations."""
    known = {d.name: d for d in rt.service.decisions().values() if d.path is not None}
    made: list[tuple[str, str | None, str, Endpoint]] = [
        ("POST", "/batch", "batch", partial(_batch, rt, known)),
        *(("POST", one.path, n, partial(_command, rt, known, n)) for n, one in known.items()),
    ]
    for view in rt.service.views():
        one = f"{view.path}/{{id:uuid}}"
        made += [
            ("GET", view.path, view.name, partial(_list, rt, view)),
            ("GET", f"{one}/history", view.name, partial(_history, rt, view)),
            ("GET", f"{one}/can", view.name, partial(_can, rt, view)),
            ("GET", one, view.name, partial(_detail, rt, view)),
        ]
    told = partial(answering, rt.service.name, rt.words)
    return [
        Route(f"/{rt.service.name}{path}", told(endpoint, name), methods=[method])
        for method, path, name, endpoint in made
    ]


async def _command(rt: Runtime, known: Decisions, name: str, request: HttpRequest) -> Response:
    person = await asked.person_of(rt, request)
    named = request.path_params.get("id")
    row = Row(
        key=asked.key_of(request),
        command=name,
        id=None if named is None else asked.uuid_of(named),
        if_match=asked.expected(request),
        body=msgspec.Raw(await asked.body_of(request)),
    )
    return _respond(await _ask(rt, known, row, person))


async def _batch(rt: Runtime, known: Decisions, request: HttpRequest) -> Response:
    person = await asked.person_of(rt, request)
    content = await asked.body_of(request, asked.BODY_BYTES_MAX * 8)
    try:
        batch = _BATCH.decode(content)
    except msgspec.ValidationError as error:
        raise Problem("batch_malformed", why=str(error)) from error
    except msgspec.DecodeError as error:
        raise Problem("body_not_json") from error
    count_max = TOGETHER_MAX if batch.together else BATCH_MAX
    if len(batch.commands) > count_max:
        raise Problem("too_many_commands", field="commands", count_max=count_max)
    if batch.together:
        key = Key(person, asked.key_of(request), "batch", asked.fingerprint(rt, content))
        return await _together(rt, known, batch, key)
    if batch.dry_run:
        raise Problem("dry_run_alone", field="dry_run")
    # What came in one batch may build on what stands before it there.
    order = object()
    answers = (_answer(rt, known, row, person, order) for row in batch.commands)
    return _json({"results": await asyncio.gather(*answers)})


async def _together(rt: Runtime, known: Decisions, batch: Batch, key: Key) -> Response:
    """Commands that stand or fall together, in their order; all that is wrong is told at once."""
    steps: list[Step] = []
    wrong: list[tuple[int, Row, Problem]] = []
    for n, row in enumerate(batch.commands):
        try:
            steps.append(_step(rt, known, row))
        except Problem as error:
            wrong.append((n, row, error))
    if wrong:
        errors = [one for n, _, problem in wrong for one in errors_of(n, problem, rt.words)]
        told = Problem("invalid", errors=errors)
        _, row, problem = wrong[0]
        if problem.slug == "invalid":
            await _refuse(rt, known[row.command], row, key.subject, None, told)
        raise told
    request = Request(steps, key.subject, together=True, trace=observe.traceparent())
    if not batch.dry_run:
        answer = await rt.writer.ask(request, key)
        return _respond(await _shown(rt, [step.decision for step in steps], answer))
    async with rt.pool.acquire() as connection:
        (outcome,) = await rt.writer.decide(connection, [request], Known())
    if not isinstance(outcome, Decided):
        raise outcome
    return _json({"count": len(steps), "events": len(outcome.events), "dry_run": True})


async def _answer(
    rt: Runtime, known: Decisions, row: Row, person: str, order: object
) -> dict[str, object]:
    """One command of a batch, answered by itself: status and body (or problem)."""
    try:
        asked.check_key(row.key)
        answer = await _ask(rt, known, row, person, order)
    except Exception as error:  # noqa: BLE001 - each row is answered by itself
        problem = foreseen(error, rt.words, row.command)
        return {"key": row.key, "status": problem.status, "problem": problem.body(rt.words)}
    return {"key": row.key, "status": answer.status, "body": msgspec.Raw(answer.content)}


async def _ask(
    rt: Runtime, known: Decisions, row: Row, person: str, order: object = None
) -> Answer:
    """The one way of a command to its decision, whether it came by itself or in a batch."""
    try:
        step = _step(rt, known, row)
    except Problem as wrong:
        if wrong.slug == "invalid":
            await _refuse(rt, known[row.command], row, person, order, wrong)
        raise
    operation = f"{row.command}:{row.id or ''}"
    answer = await rt.writer.ask(
        Request([step], person, trace=observe.traceparent()),
        Key(person, row.key, operation, asked.fingerprint(rt, bytes(row.body))),
        order,
    )
    return await _shown(rt, [step.decision], answer)


async def _shown(rt: Runtime, decisions: Sequence[Decision], answer: Answer) -> Answer:
    """The answer with the personal columns of its rows open, for whoever asked."""
    shown = [one.aggregate.views[:1] for one in decisions]
    if not any(personal.marks_of(view.row) for some in shown for view in some):
        return answer
    body = msgspec.json.decode(answer.body)
    for some, result in zip(shown, body.get("results", [body]), strict=True):
        found = result.get("row") or []
        rows: list[dict[str, Any]] = found if isinstance(found, list) else [found]
        for view in some:
            await personal.reveal(rt.vault, view.row, rows)
    return copy.replace(answer, body=msgspec.json.encode(body))


def _step(rt: Runtime, known: Decisions, row: Row) -> Step:
    """The command as it is decided; raises what is wrong with it by itself."""
    if row.command not in known:
        raise Problem("command_unknown", field="command", command=row.command)
    decision = known[row.command]
    try:
        command = parse(decision, bytes(row.body))
    except ValidationError as error:
        raise invalid(error, rt.words) from error
    ahead = timedelta(seconds=rt.settings.clock_skew_s)
    if command.occurred_at is not None and command.occurred_at > this_moment() + ahead:
        raise Problem("occurred_in_future", field="occurred_at")
    return Step(decision, _stream_id(decision, command, row.id), command, row.if_match)


async def _refuse(
    rt: Runtime, decision: Decision, row: Row, person: str, order: object, wrong: Problem
) -> Never:
    """A wrong command is asked like any other, and its decision is that it is wrong: whoever may
    not send it at all is told that instead.
    """

    def refuse(*_: object) -> Never:
        raise wrong

    refusing = copy.replace(decision, function=refuse, facts=())
    try:
        owner = UUID(int=0)
        if decision.creates:
            owner = msgspec.json.decode(row.body, type=Owned).organisation
        command = Creation.model_construct(organisation=owner, occurred_at=None)
        step = Step(refusing, row.id or new_id(), command)
        await rt.writer.ask(Request([step], person), order=order)
    except (AttributeError, msgspec.MsgspecError, Refused) as error:
        # The command itself may name the unit, and wrongly: then the fields say so.
        if getattr(error, "slug", "unit_unknown") != "unit_unknown":
            raise
    raise wrong


async def _list(rt: Runtime, view: ViewOf, request: HttpRequest) -> Response:
    async with await _reading(rt, view, request) as connection:
        rows, following = await views.page(connection, view, asked.query_of(request))
    await personal.reveal(rt.vault, view.row, rows)
    return _json({"items": rows, "next": following})


async def _detail(rt: Runtime, view: ViewOf, request: HttpRequest) -> Response:
    rows, version = await _rows(rt, view, request)
    return _json({"items": rows} if view.many else rows[0], {"ETag": f'"{version}"'})


async def _history(rt: Runtime, view: ViewOf, request: HttpRequest) -> Response:
    """Every event of a thing in words: who, when, what. Seen by whoever sees the thing."""
    await _rows(rt, view, request)
    events = await rt.pool.fetch(
        "select id, stream, version, type, data, actor, occurred_at, recorded_at from event"
        " where stream = $1 order by version",
        request.path_params["id"],
    )
    keys = await record.keys_in(rt.vault, (event["data"] for event in events))
    items = [
        dict(event)
        | {
            "words": rt.words.word("events", event["type"])._asdict(),
            "data": decode(view.aggregate, event, keys),
        }
        for event in events
    ]
    return _json({"items": items})


async def _can(rt: Runtime, view: ViewOf, request: HttpRequest) -> Response:
    """Which commands the caller may send to a thing as it is now. Seen by whoever sees it."""
    _, version = await _rows(rt, view, request)
    person = await rt.tokens.person(request.headers.get("authorization"))
    items = await chances(rt, view.aggregate, request.path_params["id"], person)
    return _json({"version": version, "items": items})


async def _rows(
    rt: Runtime, view: ViewOf, request: HttpRequest
) -> tuple[list[dict[str, Any]], int]:
    """The rows of one thing and its version, for whoever may see it."""
    async with await _reading(rt, view, request) as connection:
        rows, version = await views.rows_of(connection, view, request.path_params["id"])
    if not rows:
        raise Problem("not_found", field="id")
    await personal.reveal(rt.vault, view.row, rows)
    return rows, version


async def _reading(
    rt: Runtime, view: ViewOf, request: HttpRequest
) -> AbstractAsyncContextManager[Connection]:
    """A connection that sees of a view what the caller may see."""
    person = await asked.person_of(rt, request)
    return views.reading(rt.pool, await scope_of(rt.directory, person, view.allow))


def parse(decision: Decision, body: bytes) -> Command:
    """A command from its bytes; an empty body is a command without fields."""
    try:
        return decision.command.model_validate_json(body or b"{}")
    except ValidationError as error:
        if any(item["type"] == "json_invalid" for item in error.errors()):
            raise Problem("body_not_json") from error
        raise


def _stream_id(decision: Decision, command: Command, named: UUID | None) -> UUID:
    """The stream that a command is about: of its key, chosen by the client, new, or named."""
    if isinstance(command, Creation):
        key = decision.aggregate.key
        return decision.aggregate.id_of(key(command)) if key else command.id or new_id()
    if named is None:
        raise Problem("not_found", field="id")
    return named


def _json(body: object, headers: dict[str, str] | None = None) -> Response:
    content = msgspec.json.encode(body, enc_hook=record.clear_of)
    return Response(content, 200, headers, "application/json")


def _respond(answer: Answer) -> Response:
    """The HTTP answer of a request that was taken, now or before."""
    headers = {}
    if answer.etag is not None:
        headers["ETag"] = f'"{answer.etag}"'
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(answer.content, answer.status, headers, "application/json")
