"""Every no as a problem answer (RFC 9457): which field, why, and what to do, in zh and en."""

from __future__ import annotations

import copy
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Any

import asyncpg
import msgspec
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from shared import observe
from shared.decide import StepRefused
from shared.effect import transient
from shared.kernel import Refused
from shared.store import Conflict
from shared.words import SHARED, Word, Words, read

STATUS = read(SHARED)["statuses"]
"""HTTP status by slug; a decision's refusal is 422."""

AGAIN = {"Retry-After": "2"}
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 429: AGAIN, 503: AGAIN}
"""What goes with a status: how to sign in, when to come again."""

type Endpoint = Callable[[Request], Awaitable[Response]]


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field, and what would be right."""

    field: str
    zh: str
    en: str


class Problem(Refused):
    """A no on its way to the caller."""

    def __init__(self, slug: str, *, errors: Sequence[FieldError] = (), **more: Any) -> None:
        super().__init__(slug, **more)
        self.errors, self.status = errors, STATUS.get(slug, 422)

    def body(self, words: Words, instance: str = "") -> dict[str, Any]:
        """The problem as JSON: standard members in Chinese, both languages beside them."""
        reason, next_step = words.refusal(self.slug)
        zh, en = _fill(reason, self.values, words), _fill(next_step, self.values, words)
        own = [FieldError(self.field, zh.zh, zh.en)] if self.field else []
        return {
            "type": f"urn:houqin:problem:{self.slug}",
            "title": zh.zh,
            "status": self.status,
            "detail": f"{zh.zh}。{en.zh}。" if en.zh else zh.zh,
            "instance": instance,
            "slug": self.slug,
            "zh": {"reason": zh.zh, "next_step": en.zh},
            "en": {"reason": zh.en, "next_step": en.en},
            "errors": self.errors or own,
        }


def _fill(word: Word, values: Mapping[str, object], words: Words) -> Word:
    """The text with its values; enumerations are named by their labels."""
    shown = {name: _shown(value, words) for name, value in values.items()}
    zh = {name: label.zh for name, label in shown.items()}
    en = {name: label.en for name, label in shown.items()}
    return Word(word.zh.format_map(zh), word.en.format_map(en))


def _shown(value: object, words: Words) -> Word:
    if isinstance(value, Word):
        return value
    if isinstance(value, tuple):
        zh, en = zip(*(_shown(one, words) for one in value), strict=True)
        return Word("、".join(zh), ", ".join(en))
    text = str(value)
    return words.find("values", f"{type(value).__name__}.{text}") or Word(text, text)


def response(problem: Problem, words: Words, instance: str = "") -> Response:
    """The HTTP answer of a problem."""
    content, status = msgspec.json.encode(problem.body(words, instance)), problem.status
    return Response(content, status, HEADERS.get(status), "application/problem+json")


def answering(service: str, words: Words, endpoint: Endpoint, operation: str) -> Endpoint:
    """The endpoint with whatever it raises turned into a problem answer, measured and traced."""

    async def answer(request: Request) -> Response:
        began, slug = time.perf_counter(), ""
        with observe.span(operation, request.headers.get("traceparent")):
            try:
                made = await endpoint(request)
            except Exception as error:  # noqa: BLE001 - the caller gets a problem, we get a log
                problem = foreseen(error, words, operation)
                slug, made = problem.slug, response(problem, words, request.url.path)
        observe.answered(service, operation, began, made.status_code, slug)
        return made

    return answer


def elsewhere(words: Words) -> Callable[[Request, Exception], Awaitable[Response]]:
    """A path or method that nobody declared: a problem answer like every other no."""

    async def answer(request: Request, error: Exception) -> Response:
        slug = "method_unknown" if getattr(error, "status_code", 404) == 405 else "route_unknown"
        return response(Problem(slug), words, request.url.path)

    return answer


def foreseen(error: Exception, words: Words, operation: str) -> Problem:
    """The problem that an error stands for; one that nobody foresaw is logged whole."""
    problem = problem_of(error, words)
    if problem is None:
        observe.log.exception("unforeseen", operation=operation)
        problem = Problem("internal")
    return problem


def problem_of(error: BaseException, words: Words) -> Problem | None:
    """The problem that an error stands for; None for one that nobody foresaw."""
    match error:
        case Problem():
            return error
        case Refused():
            return Problem(error.slug, field=error.field, **error.values)  # type: ignore[arg-type]
        case StepRefused(__cause__=Exception() as cause):
            problem = problem_of(cause, words)
            if problem is None:
                return None
            errors = errors_of(error.index, problem, words)
            return Problem(problem.slug, errors=errors, **problem.values)
        case Conflict():
            return Problem("conflict")
        case asyncpg.DataError():
            return Problem("filter_malformed")
        case asyncpg.ReadOnlySQLTransactionError():
            return Problem("log_closed")
        case Exception() if transient(error):
            return Problem("outcome_unknown")
        case _:
            return None


def errors_of(index: int, problem: Problem, words: Words) -> list[FieldError]:
    """What is wrong with one of several commands: `commands.3.amount_cny`, counted from 0."""
    place, body = f"commands.{index}.", problem.body(words)
    zh = "{reason}。{next_step}".format(**body["zh"])
    en = "{reason}. {next_step}".format(**body["en"])
    errors = problem.errors or [FieldError(problem.field or "", zh, en)]
    return [copy.replace(one, field=(place + one.field).rstrip(".")) for one in errors]


def invalid(error: ValidationError, words: Words) -> Problem:
    """Every wrong field of a command, each with what would be right."""
    found = error.errors()
    # Items that are wrong count as absent, so that their list would be called too short as well.
    within = {item["loc"][:length] for item in found for length in range(len(item["loc"]))}
    told = [item for item in found if item["type"] != "too_short" or item["loc"] not in within]
    return Problem("invalid", errors=[_field_error(item, words) for item in told])


def _field_error(item: Mapping[str, Any], words: Words) -> FieldError:
    kind, context = item["type"], {**item.get("ctx", {}), "message": item["msg"]}
    if kind == "value_error":
        kind = str(context["error"])
    if "expected" in context:
        context["expected"] = _choices(context["expected"], words)
    known = words.find("validation", kind) or words.word("validation", "other")
    zh, en = _fill(known, context, words)
    path = ".".join(map(str, item["loc"]))
    name = next((part for part in reversed(item["loc"]) if isinstance(part, str)), None)
    if name is None:
        return FieldError(path, zh, en)
    label = words.find("fields", name) or Word(name, name)
    return FieldError(path, f"{label.zh}：{zh}", f"{label.en}: {en}")


@cache
def _choices(expected: str, words: Words) -> tuple[Word, ...]:
    """What pydantic lists as "'a', 'b' or 'c'", by the labels of the enumeration that has just
    these values, else as it is.
    """
    values = [text.strip("'") for text in re.split(", | or ", expected)]
    kinds: dict[str, dict[str, Word]] = defaultdict(dict)
    for name in words.sections["values"]:
        kind, _, value = name.partition(".")
        kinds[kind][value] = words.word("values", name)
    labels = next((known for known in kinds.values() if known.keys() == set(values)), {})
    return tuple(labels.get(value, Word(value, value)) for value in values)
