"""Every no as a problem answer (RFC 9457): which field, why, and what to do, in zh and en."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
from pydantic import ValidationError
from starlette.responses import Response

from shared.decide import Denied, NotFound, PostsTooOld, Stale, StepRefused
from shared.kernel import Refused
from shared.rules import RuleMissing
from shared.store import Conflict
from shared.words import Word, Words
from shared.writer import KeyReused

STATUS = {
    "route_unknown": 404, "method_unknown": 405,
    "unauthenticated": 401, "forbidden": 403, "not_found": 404, "stale": 412, "conflict": 409,
    "key_missing": 400, "key_malformed": 400, "key_reused": 422, "match_malformed": 400,
    "body_not_json": 400, "body_too_large": 413, "posts_too_old": 503, "rule_missing": 503,
    "outcome_unknown": 503, "provider_away": 503, "no_post": 403, "after_unreached": 504,
    "after_malformed": 400, "internal": 500,
    "too_many_commands": 422, "filter_unknown": 400, "filter_malformed": 400,
    "sort_unknown": 400, "cursor_broken": 400, "file_unreadable": 400,
}  # fmt: skip
"""HTTP status by slug; a decision's refusal is 422."""

COMMON = (
    "unauthenticated", "forbidden", "not_found", "stale", "conflict", "key_missing",
    "key_malformed", "key_reused", "match_malformed", "body_not_json", "body_too_large", "invalid",
    "unit_unknown", "occurred_in_future", "event_too_large", "rule_missing", "outcome_unknown",
    "unstorable",
)  # fmt: skip
"""Slugs that every command may answer with."""


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field, and what would be right."""

    field: str
    zh: str
    en: str


class Problem(Exception):  # noqa: N818 - the field's own word (RFC 9457)
    """A no on its way to the caller."""

    def __init__(
        self,
        slug: str,
        *,
        errors: Sequence[FieldError] = (),
        field: str | None = None,
        status: int | None = None,
        values: Mapping[str, object] | None = None,
        **more: object,
    ) -> None:
        super().__init__(slug)
        self.slug, self.errors, self.field = slug, tuple(errors), field
        self.values = {**(values or {}), **more}
        self.status = status or STATUS.get(slug, 422)

    def body(self, words: Words, instance: str = "") -> dict[str, Any]:
        """The problem as JSON: standard members in Chinese, both languages beside them."""
        reason, next_step = words.refusal(self.slug)
        zh, en = _fill(reason, self.values, words), _fill(next_step, self.values, words)
        errors = list(self.errors)
        if self.field and not errors:
            errors.append(FieldError(self.field, zh.zh, zh.en))
        return {
            "type": f"urn:houqin:problem:{self.slug}",
            "title": zh.zh,
            "status": self.status,
            "detail": f"{zh.zh}。{en.zh}。" if en.zh else zh.zh,
            "instance": instance,
            "slug": self.slug,
            "zh": {"reason": zh.zh, "next_step": en.zh},
            "en": {"reason": zh.en, "next_step": en.en},
            "errors": errors,
        }


def _fill(word: Word, values: Mapping[str, object], words: Words) -> Word:
    """The text with its values; enumerations are named by their labels."""

    def shown(language: int) -> dict[str, str]:
        return {name: _shown(value, words, language) for name, value in values.items()}

    return Word(word.zh.format_map(shown(0)), word.en.format_map(shown(1)))


def _shown(value: object, words: Words, language: int) -> str:
    label = words.find("values", f"{type(value).__name__}.{value}")
    return label[language] if label else str(value)


def response(problem: Problem, words: Words, instance: str = "") -> Response:
    """The HTTP answer of a problem."""
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    if problem.status == 503:
        headers["Retry-After"] = "2"
    return Response(
        msgspec.json.encode(problem.body(words, instance)),
        problem.status,
        headers,
        "application/problem+json",
    )


def problem_of(  # noqa: C901, PLR0912 - one flat table
    error: BaseException, words: Words
) -> Problem | None:
    """The problem that an error stands for; None for one that nobody foresaw."""
    match error:
        case Problem():
            return error
        case Refused(slug=slug, field=field, values=values):
            return Problem(slug, field=field, values=values)
        case Denied(unit=unit, decision=decision):
            roles = decision.allow
            denial = _denial(words, unit.name, roles)
            return Problem("forbidden", field="organisation", values=denial)
        case NotFound():
            return Problem("not_found", field="id")
        case Stale(version=version):
            return Problem("stale", field="If-Match", version=version)
        case KeyReused():
            return Problem("key_reused", field="Idempotency-Key")
        case PostsTooOld():
            return Problem("posts_too_old")
        case RuleMissing(slug=slug, day=day):
            return Problem("rule_missing", rule=slug, day=day)
        case StepRefused(index=index, __cause__=cause) if cause is not None:
            return _of_step(index, problem_of(cause, words), words)
        case Conflict():
            return Problem("conflict")
        case asyncpg.PostgresConnectionError() | asyncpg.InterfaceError() | OSError():
            return Problem("outcome_unknown")
        case asyncpg.DataError():
            return Problem("filter_malformed")
        case _:
            return None


def _of_step(index: int, problem: Problem | None, words: Words) -> Problem | None:
    """The problem of one command of several: its row (the heading is row 1) is named."""
    if problem is None:
        return None
    body = problem.body(words)
    zh, en = body["zh"], body["en"]
    place = f"{index + 2} {problem.field or ''}".strip()
    error = FieldError(
        place,
        f"第{index + 2}行：{zh['reason']}。{zh['next_step']}",
        f"row {index + 2}: {en['reason']}. {en['next_step']}",
    )
    return Problem(problem.slug, errors=[error], status=problem.status, values=problem.values)


def _denial(words: Words, unit: str, roles: Sequence[str]) -> dict[str, object]:
    labels = [words.word("values", f"Role.{role}") for role in roles]
    return {
        "unit": unit,
        "roles_zh": "、".join(label.zh for label in labels),
        "roles_en": ", ".join(label.en for label in labels),
    }


def invalid(error: ValidationError, words: Words) -> Problem:
    """Every wrong field of a command, each with what would be right."""
    found = error.errors()
    # Items that are wrong count as absent, so that their list would be called too short as well.
    within = {item["loc"][:length] for item in found for length in range(len(item["loc"]))}
    told = [item for item in found if item["type"] != "too_short" or item["loc"] not in within]
    return Problem("invalid", errors=[_field_error(item, words) for item in told])


def _field_error(item: Mapping[str, Any], words: Words) -> FieldError:
    path = ".".join(str(part) for part in item["loc"])
    kind, context = item["type"], dict(item.get("ctx") or {})
    if kind == "value_error":
        kind = str(context.get("error", ""))
    known = words.find("validation", kind) or words.word("validation", "other")
    context = {name: str(value) for name, value in context.items()} | {"message": item["msg"]}
    name = next((str(p) for p in reversed(item["loc"]) if isinstance(p, str)), "")
    label = words.find("fields", name) or Word(name, name)
    zh, en = known.zh.format_map(context), known.en.format_map(context)
    return FieldError(
        path, f"{label.zh}：{zh}" if name else zh, f"{label.en}: {en}" if name else en
    )
