"""The edge: every declared command and view as an HTTP route, with its refusals as problems.

The order of checks is the caller's: who are you (401), may you (403), is the command right (422),
does the thing stand where you think (404, 412), and then what the decision says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from pydantic import ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from uuid_utils.compat import uuid7

from shared import observe, views
from shared.access import scope_of
from shared.asked import (
    BODY_BYTES_MAX,
    body_of,
    check_key,
    expected,
    fingerprint,
    key_of,
    person_of,
    uuid_of,
    whole_of,
)  # fmt: skip
from shared.decide import Known, Missing, Request, Run, Step
from shared.kernel import Command, Creation, Decision, Refused, ViewOf
from shared.problems import Problem, invalid, problem_of, response
from shared.runtime import Runtime
from shared.store import decode, fold
from shared.writer import Answer, Key

BATCH_MAX = 1000

type Endpoint = Callable[[HttpRequest], Awaitable[Response]]


class Row(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One command of a batch."""

    key: str
    command: str
    id: UUID | None = None
    if_match: int | None = None
    body: msgspec.Raw = msgspec.Raw(b"{}")


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Up to 1,000 commands, each with a key of its own, each answered by itself."""

    commands: list[Row]


_BATCH = msgspec.json.Decoder(Batch)


def routes(rt: Runtime) -> list[Route]:
    """Every route that follows from the service's declarations."""
    base = f"/{rt.service.name}"
    made = [Route(f"{base}/batch", answering(rt, _batch(rt), "batch"), methods=["POST"])]
    for decision in rt.service.decisions().values():
        if decision.path is not None:
            endpoint = answering(rt, _command(rt, decision), decision.name)
            made.append(Route(base + decision.path, endpoint, methods=["POST"]))
    for view in rt.service.views():
        for path, endpoint in (
            (view.path, _list(rt, view)),
            (f"{view.path}/{{id:uuid}}/history", _history(rt, view)),
            (f"{view.path}/{{id:uuid}}", _detail(rt, view)),
        ):
            made.append(Route(base + path, answering(rt, endpoint, view.name), methods=["GET"]))
    return made


def answering(rt: Runtime, endpoint: Endpoint, operation: str) -> Endpoint:
    """The endpoint with whatever it raises turned into a problem answer, measured and traced."""

    async def answer(request: HttpRequest) -> Response:
        with observe.request(rt.service.name, operation, request) as seen:
            try:
                made = await endpoint(request)
            except Exception as error:  # noqa: BLE001 - the caller gets a problem, we get a log
                problem = foreseen(error, rt, operation)
                seen.refused(problem.slug)
                made = response(problem, rt.words, request.url.path)
            seen.status = made.status_code
            return made

    return answer


def _command(rt: Runtime, decision: Decision) -> Endpoint:
    async def endpoint(request: HttpRequest) -> Response:
        person = await person_of(rt, request)
        key = key_of(request)
        body = await body_of(request)
        named = request.path_params.get("id")
        stream = uuid_of(named) if named is not None else None
        try:
            command = parse(decision, body)
        except ValidationError as error:
            await _refuse_denied(rt, decision, stream, person, body)
            raise invalid(error, rt.words) from error
        step = Step(decision, _stream_id(decision, command, stream), command, expected(request))
        _refuse_future(rt, command)
        answer = await rt.writer.ask(
            Request([step], person, trace=observe.traceparent()),
            Key(person, key, f"{decision.name}:{named or ''}", fingerprint(body)),
        )
        return respond(answer)

    return endpoint


def _batch(rt: Runtime) -> Endpoint:
    by_name = {
        decision.name: decision
        for decision in rt.service.decisions().values()
        if decision.path is not None
    }

    async def endpoint(request: HttpRequest) -> Response:
        person = await person_of(rt, request)
        try:
            batch = _BATCH.decode(await body_of(request, BODY_BYTES_MAX * 8))
        except msgspec.ValidationError as error:
            raise Problem("batch_malformed", why=str(error)) from error
        except msgspec.DecodeError as error:
            raise Problem("body_not_json") from error
        if len(batch.commands) > BATCH_MAX:
            raise Problem("too_many_commands", field="commands", count_max=BATCH_MAX)
        # What came in one batch may build on what stands before it there.
        order = object()
        answers = await asyncio.gather(
            *(_row(rt, by_name, row, person, order) for row in batch.commands)
        )
        return _json(b'{"results":[' + b",".join(answers) + b"]}")

    return endpoint


async def _row(
    rt: Runtime, by_name: dict[str, Decision], row: Row, person: str, order: object
) -> bytes:
    """One command of a batch, answered by itself: status and body (or problem)."""
    key = msgspec.json.encode(row.key)
    try:
        decision = by_name.get(row.command)
        if decision is None:
            raise Problem("command_unknown", field="command", command=row.command)  # noqa: TRY301
        check_key(row.key)
        body = bytes(row.body)
        command = parse(decision, body)
        _refuse_future(rt, command)
        step = Step(decision, _stream_id(decision, command, row.id), command, row.if_match)
        answer = await rt.writer.ask(
            Request([step], person, trace=observe.traceparent()),
            Key(person, row.key, f"{decision.name}:{row.id or ''}", fingerprint(body)),
            order,
        )
    except ValidationError as error:
        problem = invalid(error, rt.words)
    except Exception as error:  # noqa: BLE001 - each row is answered by itself
        problem = foreseen(error, rt, row.command)
    else:
        return b'{"key":%b,"status":%d,"body":%b}' % (key, answer.status, answer.content)
    told = msgspec.json.encode(problem.body(rt.words))
    return b'{"key":%b,"status":%d,"problem":%b}' % (key, problem.status, told)


def foreseen(error: Exception, rt: Runtime, operation: str) -> Problem:
    """The problem that an error stands for; one that nobody foresaw is logged whole."""
    problem = problem_of(error, rt.words)
    if problem is None:
        observe.log.exception("unforeseen", operation=operation)
        problem = Problem("internal")
    return problem


def _list(rt: Runtime, view: ViewOf) -> Endpoint:
    known = {"sort", "q", "unit", "limit", "cursor"}

    async def endpoint(request: HttpRequest) -> Response:
        scope = await _scope(rt, view, request)
        asked = request.query_params
        query = views.Query(
            filters={name: value for name, value in asked.items() if name not in known},
            sort=asked.get("sort", ""),
            search=asked.get("q", ""),
            unit=uuid_of(asked["unit"], "unit") if "unit" in asked else None,
            limit=whole_of(asked.get("limit", "50"), "limit"),
            cursor=asked.get("cursor", ""),
        )
        async with views.reading(rt.pool, scope) as connection:
            rows, following = await views.page(connection, view, query)
        return _json(msgspec.json.encode({"items": rows, "next": following}))

    return endpoint


def _detail(rt: Runtime, view: ViewOf) -> Endpoint:
    async def endpoint(request: HttpRequest) -> Response:
        scope = await _scope(rt, view, request)
        async with views.reading(rt.pool, scope) as connection:
            rows, version = await views.rows_of(connection, view, request.path_params["id"])
        if not rows:
            raise Problem("not_found", field="id")
        body = {"items": rows} if view.many else rows[0]
        return _json(msgspec.json.encode(body), {"ETag": f'"{version}"'})

    return endpoint


def _history(rt: Runtime, view: ViewOf) -> Endpoint:
    """Every event of a thing in words: who, when, what. Seen by whoever sees the thing."""

    async def endpoint(request: HttpRequest) -> Response:
        scope = await _scope(rt, view, request)
        stream: UUID = request.path_params["id"]
        async with views.reading(rt.pool, scope) as connection:
            rows, _ = await views.rows_of(connection, view, stream)
        if not rows:
            raise Problem("not_found", field="id")
        events = await rt.pool.fetch(
            "select id, version, type, data, actor, occurred_at, recorded_at from event"
            " where stream = $1 order by version",
            stream,
        )
        items = [
            {
                "id": event["id"], "version": event["version"], "type": event["type"],
                "words": rt.words.word("events", event["type"])._asdict(),
                "actor": event["actor"], "occurred_at": event["occurred_at"],
                "recorded_at": event["recorded_at"],
                "data": msgspec.Raw(
                    msgspec.json.encode(decode(view.aggregate, event["type"], event["data"]))
                ),
            }
            for event in events
        ]  # fmt: skip
        return _json(msgspec.json.encode({"items": items}))

    return endpoint


async def _scope(rt: Runtime, view: ViewOf, request: HttpRequest) -> str:
    person = await person_of(rt, request)
    return await scope_of(rt.directory, person, view.allow)


def parse(decision: Decision, body: bytes) -> Command:
    """A command from its bytes; an empty body is a command without fields."""
    try:
        return decision.command.model_validate_json(body or b"{}")
    except ValidationError as error:
        if any(item["type"] == "json_invalid" for item in error.errors()):
            raise Problem("body_not_json") from error
        raise


def _stream_id(decision: Decision, command: Command, named: UUID | None) -> UUID:
    """The stream that a command is about: named, chosen by the client, of its key, or new."""
    if not decision.creates:
        if named is None:
            raise Problem("not_found", field="id")
        return named
    assert isinstance(command, Creation)
    if decision.aggregate.key is not None:
        return decision.aggregate.id_of(decision.aggregate.key(command))
    return command.id or uuid7()


async def _refuse_denied(
    rt: Runtime, decision: Decision, stream: UUID | None, person: str, body: bytes
) -> None:
    """Before a wrong command is explained: whoever may not send it at all is told that."""
    if decision.creates:
        try:
            owner = UUID(msgspec.json.decode(body)["organisation"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        command: Command = Creation.model_construct(organisation=owner, occurred_at=None)
    else:
        command = Command.model_construct(occurred_at=None)
    step = Step(decision, stream or UUID(int=0), command)
    known = Known()
    async with rt.pool.acquire() as connection:
        while True:
            run = Run(rt.writer.decider, Request([step], person), known)
            try:
                run.authorise(step)
            except Missing as missing:
                wanted = list(missing.streams)
                found = await fold(connection, rt.writer.aggregates, wanted)
                known.load({id_: found.get(id_) for id_ in wanted})
                continue
            except (AttributeError, Refused):
                # The command itself names the unit, and names it wrongly: the fields say so.
                return
            return


def _refuse_future(rt: Runtime, command: Command) -> None:
    ahead = timedelta(seconds=rt.settings.clock_skew_s)
    if command.occurred_at is not None and command.occurred_at > datetime.now(UTC) + ahead:
        raise Problem("occurred_in_future", field="occurred_at")


def _json(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, 200, headers, "application/json")


def respond(answer: Answer) -> Response:
    """The HTTP answer of a request that was taken, now or before."""
    headers = {}
    if answer.etag is not None:
        headers["ETag"] = f'"{answer.etag}"'
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(answer.content, answer.status, headers, "application/json")
