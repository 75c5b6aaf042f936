"""Every no in words: what, why, what next, in both languages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from pydantic import TypeAdapter, ValidationError

from services.procurement import procurement
from services.procurement.budget import AdoptBudget, Fund
from services.procurement.requisition.draft import RaiseRequisition
from shared.decide import StepRefused
from shared.http import parse
from shared.kernel import Command, Refused
from shared.organisation import Level, Role
from shared.problems import STATUS, FieldError, Problem, invalid, problem_of, response
from shared.store import Conflict
from shared.testing import school
from shared.words import Words, words_of
from tests.services import SERVICES

WORDS = words_of("procurement")
ADOPT = procurement.decisions()[AdoptBudget]
LINE = {"code": "A", "name": "办公", "fund": "public", "amount_cny": "100.00"}


def body_of(problem: Problem) -> dict[str, Any]:
    """The problem as the caller gets it."""
    made: dict[str, Any] = msgspec.json.decode(response(problem, WORDS, "/x").body)
    return made


def in_both_languages(body: dict[str, Any]) -> None:
    for language in ("zh", "en"):
        assert body[language]["reason"].strip() and body[language]["next_step"].strip()
    assert body["zh"]["reason"] != body["en"]["reason"]
    texts = [body["zh"]["reason"], body["en"]["reason"], body["detail"]]
    assert not any("{" in text for text in texts), texts


@pytest.mark.parametrize("slug", sorted(STATUS))
def test_each_slug_is_an_answer(slug: str) -> None:
    values: dict[str, Any] = {
        "unit": "某校", "roles": "校长 Principal", "version": 3, "rule": "r",
        "day": date(2026, 9, 1), "count_max": 1000, "allowed": "a, b", "why": "?", "command": "X",
        "bytes": 1, "kilobytes_max": 1, "megabytes_max": 1, "megapixels_max": 1,
    }  # fmt: skip
    answer = response(Problem(slug, field="f", **values), WORDS, "/where")
    body = msgspec.json.decode(answer.body)
    in_both_languages(body)
    assert answer.status_code == body["status"] == STATUS[slug]
    assert answer.media_type == "application/problem+json"
    assert body["type"] == f"urn:houqin:problem:{slug}" and body["slug"] == slug
    assert body["instance"] == "/where"
    assert body["errors"] == [
        {"field": "f", "zh": body["zh"]["reason"], "en": body["en"]["reason"]}
    ]
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)
    assert ("retry-after" in answer.headers) == (answer.status_code in {429, 503})


FORBIDDEN = Refused(
    "forbidden", field="organisation", unit=school.name, roles=(Role.PRINCIPAL, Role.BUYER)
)


def test_errors_become_their_problems() -> None:
    cases: list[tuple[BaseException, str, int, str | None]] = [
        (
            Refused("budget_line_unknown", field="line", line="Z"),
            "budget_line_unknown",
            422,
            "line",
        ),
        (FORBIDDEN, "forbidden", 403, "organisation"),
        (Refused("not_found", field="id"), "not_found", 404, "id"),
        (Refused("stale", field="If-Match", version=4), "stale", 412, "If-Match"),
        (Refused("posts_too_old"), "posts_too_old", 503, None),
        (Refused("rule_missing", rule="a", day=date(1990, 1, 1)), "rule_missing", 503, None),
        (Conflict(), "conflict", 409, None),
        (ConnectionResetError(), "outcome_unknown", 503, None),
        (asyncpg.ConnectionDoesNotExistError(), "outcome_unknown", 503, None),
        (asyncpg.InterfaceError("closed"), "outcome_unknown", 503, None),
        (asyncpg.AdminShutdownError(), "outcome_unknown", 503, None),
        (asyncpg.CannotConnectNowError(), "outcome_unknown", 503, None),
        (asyncpg.DiskFullError(), "outcome_unknown", 503, None),
        (asyncpg.InvalidTextRepresentationError(), "filter_malformed", 400, None),
    ]
    for error, slug, status, field in cases:
        problem = problem_of(error, WORDS)
        assert problem is not None
        assert (problem.slug, problem.status, problem.field) == (slug, status, field)
        in_both_languages(body_of(problem))
    assert problem_of(ZeroDivisionError(), WORDS) is None, (
        "what nobody foresaw is not explained away"
    )


def test_whoever_is_denied_learns_who_may() -> None:
    problem = problem_of(FORBIDDEN, WORDS)
    assert problem is not None
    body = body_of(problem)
    assert "测试小学" in body["zh"]["reason"] and "校长" in body["zh"]["next_step"]
    assert "测试小学" in body["en"]["reason"] and "Principal" in body["en"]["next_step"]


def test_values_are_named_by_their_labels() -> None:
    refused = Refused("fund_not_of_line", field="fund", line="A", fund=Fund.CANTEEN)
    problem = problem_of(refused, WORDS)
    assert problem is not None
    body = body_of(problem)
    label = WORDS.word("values", "Fund.canteen")
    assert label.zh in body["zh"]["reason"] and label.en in body["en"]["reason"]
    at = Problem("decided_higher_up", level=Level.COUNTY)
    texts = at.body(words_of("safety"))
    assert "县" in texts["zh"]["reason"] and "County" in texts["en"]["reason"]


def test_one_of_several_commands_is_named() -> None:
    refused = StepRefused(2)
    refused.__cause__ = Refused("budget_line_unknown", field="line", line="Z")
    problem = problem_of(refused, WORDS)
    assert problem is not None and (problem.slug, problem.status) == ("budget_line_unknown", 422)
    (error_,) = body_of(problem)["errors"]
    assert error_["field"] == "commands.2.line", "as a wrong field of it would be"
    advice = WORDS.refusal("budget_line_unknown").next_step
    assert advice.zh in error_["zh"] and advice.en in error_["en"], "and what to do"
    refused.__cause__ = Refused("posts_too_old")
    problem = problem_of(refused, WORDS)
    assert problem is not None and problem.status == 503
    assert [one["field"] for one in body_of(problem)["errors"]] == ["commands.2"]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"lines": [{**LINE, "amount_cny": "-1"}]}, "lines.0.amount_cny", "at least 0"),
    ({"lines": [{**LINE, "amount_cny": "1.005"}]}, "lines.0.amount_cny", "at most 2 decimals"),
    ({"lines": [{**LINE, "amount_cny": 0.1}]}, "lines.0.amount_cny", "decimal number as text"),
    ({"lines": [{**LINE, "amount_cny": "ten"}]}, "lines.0.amount_cny", "decimal number as text"),
    ({"lines": [{**LINE, "amount_cny": True}]}, "lines.0.amount_cny", "decimal number as text"),
    ({"lines": [{**LINE, "amount_cny": "NaN"}]}, "lines.0.amount_cny", "finite"),
    ({"lines": [{**LINE, "amount_cny": "1e20"}]}, "lines.0.amount_cny", "digits"),
    ({"lines": [{**LINE, "fund": "gift"}]}, "lines.0.fund", "must be one of"),
    ({"lines": [{**LINE, "name": "  "}]}, "lines.0.name", "not be blank"),
    ({"lines": [{**LINE, "note": "x"}]}, "lines.0.note", "no such field"),
    ({"lines": []}, "lines", "at least 1"),
    ({"lines": "x"}, "lines", "enter a list"),
    ({"year": 1999}, "year", "at least 2000"),
    ({"year": "2026"}, "year", "whole number"),
    ({"year": 2026.5}, "year", "whole number"),
    ({"year": None}, "year", "whole number"),
    ({"organisation": "x"}, "organisation", "UUID"),
    ({"colour": "red"}, "colour", "no such field"),
    ({"occurred_at": "2026-09-01T08:00:00"}, "occurred_at", "time zone"),
    ({"occurred_at": "yesterday"}, "occurred_at", "enter a moment"),
]


@pytest.mark.parametrize(("wrong", "field", "words"), WRONG, ids=lambda case: str(case)[:40])
def test_wrong_fields_say_what_would_be_right(
    wrong: dict[str, Any], field: str, words: str
) -> None:
    sent = {"organisation": str(uuid4()), "year": 2026, "lines": [LINE]} | wrong
    with pytest.raises(ValidationError) as refused:
        parse(ADOPT, msgspec.json.encode(sent))
    body = body_of(invalid(refused.value, WORDS))
    assert (body["status"], body["slug"]) == (422, "invalid")
    (error,) = body["errors"]
    assert error["field"] == field
    assert words in error["en"]
    assert error["zh"] != error["en"] and any(letter >= "\u4e00" for letter in error["zh"])


def told(error: ValidationError, words: Words) -> FieldError:
    (made,) = invalid(error, words).errors
    return made


def test_choices_are_listed_in_the_readers_language() -> None:
    sent = {"organisation": str(uuid4()), "year": 2026, "lines": [{**LINE, "fund": "gift"}]}
    with pytest.raises(ValidationError) as refused:
        parse(ADOPT, msgspec.json.encode(sent))
    error = told(refused.value, WORDS)
    labels = [WORDS.word("values", f"Fund.{fund}") for fund in Fund]
    assert error.zh.endswith("只能是：" + "、".join(label.zh for label in labels))
    assert error.en.endswith("must be one of: " + ", ".join(label.en for label in labels))


def test_choices_without_labels_are_listed_as_they_are() -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Literal["north", "south", 3]).validate_python("west")
    error = told(refused.value, WORDS)
    assert (error.zh, error.en) == ("只能是：north、south、3", "must be one of: north, south, 3")


def enumerations(schema: object) -> set[type[Enum]]:
    """Every enumeration within a core schema of pydantic's."""
    inner = schema.values() if isinstance(schema, dict) else schema
    if not isinstance(inner, Iterable) or isinstance(schema, str):
        return set()
    found = set[type[Enum]]().union(*map(enumerations, inner))
    if isinstance(schema, dict) and schema.get("type") == "enum":
        found.add(schema["cls"])
    return found


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_choice_of_a_command_has_its_own_labels(service: Any) -> None:
    words = words_of(service.name)
    for decision in service.decisions().values():
        for choice in enumerations(decision.command.__pydantic_core_schema__):
            with pytest.raises(ValidationError) as refused:
                TypeAdapter(choice).validate_python("nobody's choice")
            labels = [words.word("values", f"{choice.__name__}.{one.value}") for one in choice]
            error = told(refused.value, words)
            assert error.zh.endswith("、".join(label.zh for label in labels)), choice
            assert error.en.endswith(", ".join(label.en for label in labels)), choice


def test_every_wrong_field_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as refused:
        parse(ADOPT, b'{"year":"x","lines":[{"code":""}],"colour":1}')
    fields = [error["field"] for error in body_of(invalid(refused.value, WORDS))["errors"]]
    assert set(fields) == {
        "organisation", "year", "lines.0.code", "lines.0.name", "lines.0.fund",
        "lines.0.amount_cny", "colour",
    }  # fmt: skip


def test_broken_json_is_another_matter() -> None:
    for body in (b"{", b"\xff\xfe", b"[1,]", b"nonsense"):
        with pytest.raises(Problem) as refused:
            parse(ADOPT, body)
        assert refused.value.slug == "body_not_json"


def test_money_keeps_its_cents() -> None:
    sent = {"organisation": str(uuid4()), "year": 2026, "lines": [{**LINE, "amount_cny": "0.10"}]}
    command = parse(ADOPT, msgspec.json.encode(sent))
    assert isinstance(command, AdoptBudget)
    assert str(command.lines[0].amount_cny) == "0.10"
    whole = {**sent, "lines": [{**LINE, "amount_cny": 12}]}
    command = parse(ADOPT, msgspec.json.encode(whole))
    assert isinstance(command, AdoptBudget)
    assert command.lines[0].amount_cny == Decimal(12)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_no_command_takes_what_it_does_not_know(service: Any) -> None:
    for decision in service.decisions().values():
        with pytest.raises(ValidationError) as refused:
            decision.command.model_validate_json(b'{"nobody_knows":1}')
        kinds = {(e["loc"], e["type"]) for e in refused.value.errors()}
        assert (("nobody_knows",), "extra_forbidden") in kinds, decision.name
        assert issubclass(decision.command, Command)


def test_an_empty_body_is_a_command_without_fields() -> None:
    submit = next(d for d in procurement.decisions().values() if d.name == "SubmitRequisition")
    assert parse(submit, b"") == parse(submit, b"{}")
    raised = procurement.decisions()[RaiseRequisition]
    with pytest.raises(ValidationError):
        parse(raised, b"")
