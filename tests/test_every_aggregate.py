"""What holds for every aggregate, decision, view and word of every service."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from copy import replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from contracts.discovery import refusals
from contracts.openapi import COMMON
from contracts.schemas import command_schemas
from sealing.cipher import DataKey, new_secret
from sealing.record import kept, sealed
from shared.fields import Subject
from shared.kernel import Aggregate, Decision, Event, Recorded, Service, ViewOf
from shared.personal import carries, is_personal, marked, marks_of
from shared.problems import STATUS
from shared.rules import decode, shipped
from shared.signature import hints_of, members, without_none
from shared.views import columns
from shared.words import words_of
from tests.services import AGGREGATES, DECISIONS, SERVICES

ROOT = Path(__file__).parent.parent

st.register_type_strategy(
    Decimal, st.decimals(min_value=0, max_value=10**9, places=2, allow_nan=False)
)
st.register_type_strategy(str, st.text(st.characters(codec="utf-8"), max_size=8))


def name_of(case: tuple[Service, Any]) -> str:
    return f"{case[0].name}.{case[1].name}"


def test_event_names_are_unique_on_the_platform() -> None:
    names = Counter(name for _, aggregate in AGGREGATES for name in aggregate.events)
    assert [name for name, count in names.items() if count > 1] == []


def test_view_and_command_names_are_unique_on_the_platform() -> None:
    names = Counter(decision.name for _, decision in DECISIONS if decision.path)
    names.update(view.name for service in SERVICES for view in service.views())
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("case", AGGREGATES, ids=name_of)
def test_events_round_trip(case: tuple[Service, Aggregate]) -> None:
    for event_type in case[1].events.values():
        _round_trips(event_type)


@pytest.mark.parametrize("case", AGGREGATES, ids=name_of)
def test_snapshots_round_trip(case: tuple[Service, Aggregate]) -> None:
    """A state must come back from JSON as it was, or snapshots would change what is decided."""
    _round_trips(case[1].state)


def _made_of(type_: type[Any]) -> None:
    """Lets Hypothesis fill every field of the structs within, also those with a default."""
    for inner in _classes(type_):
        if issubclass(inner, msgspec.Struct) and inner not in _KNOWN:
            _KNOWN.add(inner)
            hints = {n: h for n, h in hints_of(inner).items() if "ClassVar" not in str(h)}
            for hint in hints.values():
                _made_of(hint)
            filled = {name: st.from_type(hint) for name, hint in hints.items()}
            st.register_type_strategy(inner, st.builds(inner, **filled))


_KNOWN: set[type[Any]] = set()


def _round_trips(type_: type[Any]) -> None:
    _made_of(type_)

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_type(type_))
    def check(value: Any) -> None:
        assert msgspec.json.decode(msgspec.json.encode(value), type=type_) == value

    check()


@pytest.mark.parametrize("case", AGGREGATES, ids=name_of)
def test_evolve_is_deterministic_from_birth(case: tuple[Service, Aggregate]) -> None:
    """Every aggregate has an event that starts it, and folding twice gives the same."""
    aggregate, born = case[1], 0
    for event_type in aggregate.events.values():
        event = _example(event_type)
        try:
            first = aggregate.evolve(None, event)
        except (AssertionError, AttributeError, KeyError):
            continue
        born += 1
        assert aggregate.evolve(None, event) == first
    assert born > 0


def _example(event_type: type[Event]) -> Event:
    _made_of(event_type)
    found: list[Event] = []

    @settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.from_type(event_type))
    def take(event: Event) -> None:
        found.append(event)

    take()
    return found[0]


@pytest.mark.parametrize("case", AGGREGATES, ids=name_of)
def test_every_aggregate_is_seen_in_a_list(case: tuple[Service, Aggregate]) -> None:
    for view in case[1].views:
        names = hints_of(view.row)
        assert {"id", "organisation"} <= set(names), view.name
        for column in (*view.filters, *view.sorts, *view.search):
            assert column in columns(view), f"{view.name}: {column}"
            assert column not in marks_of(view.row), f"{view.name}: {column} is sealed"
        assert view.allow, view.name


def mentions(hint: Any, wanted: object) -> bool:
    """Whether a type is made with an alias."""
    inner = (*getattr(hint, "__args__", ()), *filter(None, [getattr(hint, "__value__", None)]))
    return hint is wanted or any(mentions(one, wanted) for one in inner)


PERSONS = {
    name
    for _, decision in DECISIONS
    for name, hint in hints_of(decision.command).items()
    if mentions(hint, Subject)
}
"""Under these names somebody is named anywhere on the platform."""

INSIDE = re.compile(r".*_by|actor|signed|photos|.*_photos|signature|note|place")
"""Names of what stays inside: who did it, and what may show or tell who or where."""

PUBLIC = [
    (service, view) for service in SERVICES for view in service.views() if view.public
]  # fmt: skip


@pytest.mark.parametrize("case", PUBLIC, ids=name_of)
def test_what_is_public_tells_nothing_of_anybody(case: tuple[Service, ViewOf]) -> None:
    view = case[1]
    assert not carries(view.row)
    rows = [one for one in (view.row, *_within(view.row)) if issubclass(one, msgspec.Struct)]
    names = {name for row in rows for name in hints_of(row)}
    assert names & PERSONS == set()
    assert [name for name in names if INSIDE.fullmatch(name)] == []
    newest = hints_of(view.row)[view.sorts[0]]
    assert without_none(newest) is newest, "a row without it would never be shown"
    assert view is not view.aggregate.views[0], "what a command answers is for those inside"


def _within(owner: type[Any]) -> set[type[Any]]:
    found = set().union(*(_classes(hint) for hint in hints_of(owner).values()))
    return found.union(*(_within(one) for one in found if issubclass(one, msgspec.Struct)))


def test_the_names_of_persons_are_known() -> None:
    assert {"inspectors", "rectifier", "person"} <= PERSONS
    assert len(PUBLIC) >= 3


PLANTED = "张三-13800000000"


@pytest.mark.parametrize("case", [c for c in AGGREGATES if is_personal(c[1])], ids=name_of)
def test_what_is_personal_is_never_kept_in_clear(case: tuple[Service, Aggregate]) -> None:
    """Neither in the log, and so in nothing that is made of it, nor in any list."""
    aggregate, stream = case[1], uuid4()
    states: list[Any] = [None]
    events = [planted(event_type, stream) for event_type in aggregate.events.values()]
    for event in events:
        data = kept(event)
        assert PLANTED not in data.decode()
        assert (b"sealed:1:" in data) == carries(aggregate.events[type(event).__name__])
    for state in states:  # what starts it first, then what may follow
        for event in events:
            with suppress(AssertionError, AttributeError, KeyError, IndexError):
                after = aggregate.evolve(state, event)
                states += [after] if state is None else []
                undeclared = set(kept_in_clear(aggregate, stream, after))
                if undeclared:
                    pytest.fail(f"personal, and not declared so: {undeclared}")
    assert len(states) > 1


def planted(event_type: type[Event], stream: UUID) -> Any:
    """An event about somebody, sealed."""
    made, values = marked(filled(_example(event_type)), stream, uuid4())
    key = DataKey(uuid4(), "sm4-gcm", new_secret("sm4-gcm"))
    for value in values:
        value.record = sealed(value, value.place, stream, key)
    return made


def filled(value: Any) -> Any:
    """The same, with something in every personal field."""
    if isinstance(value, tuple):
        return tuple(map(filled, value))
    if not isinstance(value, msgspec.Struct):
        return value
    marks = marks_of(type(value))
    fields = msgspec.structs.asdict(value).items()
    return replace(value, **{n: PLANTED if n in marks else filled(v) for n, v in fields})


def kept_in_clear(aggregate: Aggregate, stream: UUID, state: Any) -> Iterator[str]:
    """Columns that take a personal value without saying so."""
    moment = datetime(2026, 9, 7, tzinfo=UTC)
    last = Recorded(
        id=uuid4(), stream=stream, version=1, organisation=uuid4(), actor="li",
        occurred_at=moment, recorded_at=moment,
    )  # fmt: skip
    for view in aggregate.views:
        with suppress(AttributeError, ValueError, StopIteration, ArithmeticError):
            for row in view.rows(state, last).values():
                for name, value in msgspec.structs.asdict(row).items():
                    if PLANTED in str(value) and name not in marks_of(view.row):
                        yield f"{view.name}.{name}"


@pytest.mark.parametrize("case", DECISIONS, ids=name_of)
def test_every_route_says_who_may(case: tuple[Service, Decision]) -> None:
    decision = case[1]
    if decision.path is not None:
        assert decision.allow
        assert ("{id}" in decision.path) != decision.creates


@pytest.mark.parametrize("case", DECISIONS, ids=name_of)
def test_every_refusal_has_words_and_a_test(case: tuple[Service, Decision]) -> None:
    service, decision = case
    words = words_of(service.name)
    tests = "".join(
        path.read_text("utf-8") for path in (ROOT / "tests" / service.name).rglob("test_*.py")
    )
    for slug in refusals(decision, service):
        advice = words.refusal(slug)
        for text in (*advice.reason, *advice.next_step):
            assert text.strip(), slug
        assert f'"{slug}"' in tests, f"no test refuses with {slug}"


def test_problem_slugs_have_words() -> None:
    words = words_of("organisation")
    for slug in {*COMMON, *STATUS, "no_post", "posts_too_old", "command_unknown"}:
        assert words.refusal(slug)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_everything_has_words_in_both_languages(service: Service) -> None:
    words, missing = words_of(service.name), []

    def want(section: str, key: str) -> None:
        found = words.find(section, key)
        if found is None or not (found.zh.strip() and found.en.strip()):
            missing.append(f"[{section}] {key}")

    want("names", service.name)
    for aggregate in service.aggregates:
        want("names", aggregate.name)
        for name, event in aggregate.events.items():
            want("events", name)
            _fields(event, want)
        for view in aggregate.views:
            want("views", view.name)
            _fields(view.row, want)
    for decision in service.decisions().values():
        want("commands", decision.name)
        if decision.path is not None and decision.command.__doc__ is not None:
            want("help", decision.name)  # what is worth saying to us is worth saying to its users
        _fields(decision.command, want)
    for policy in service.policies:
        want("names", policy.slug)
        _fields(policy, want)
    assert sorted(set(missing)) == []


def _fields(owner: type[Any], want: Any, seen: set[type[Any]] | None = None) -> None:
    """Every field of a class and of the classes within it, and every value of its enumerations."""
    seen = set() if seen is None else seen
    if owner in seen:
        return
    seen.add(owner)
    for name, hint in hints_of(owner).items():
        if "ClassVar" in str(hint) or name.startswith(("model_", "__")):
            continue
        want("fields", name)
        for inner in _classes(hint):
            if issubclass(inner, Enum):
                for value in inner:
                    want("values", f"{inner.__name__}.{value}")
            elif issubclass(inner, msgspec.Struct | BaseModel):
                _fields(inner, want, seen)


def _classes(hint: Any) -> set[type[Any]]:
    found: set[type[Any]] = set()
    waiting = [hint]
    while waiting:
        one = waiting.pop()
        if isinstance(one, type):
            found.add(one)
        waiting.extend(getattr(one, "__args__", ()))
        if hasattr(one, "__value__"):
            waiting.append(one.__value__)
        waiting.extend(part for part in members(one) if part is not one)
    return {one for one in found if isinstance(one, type)}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_shipped_rules_fit_their_policies(service: Service) -> None:
    policies = {policy.slug: policy for policy in service.policies}
    rules = shipped(service.name)
    assert {rule.slug for rule in rules} == set(policies)
    for rule in rules:
        decode(policies[rule.slug], rule.values)
        assert rule.source_zh and rule.source_en
        assert rule.mark in {"confirmed", "to be confirmed"}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_policies_in_use_are_listed(service: Service) -> None:
    used = {
        fact.type
        for decision in service.decisions().values()
        for fact in decision.facts
        if fact.kind == "policy"
    }
    used |= {
        fact.type
        for reaction in service.reactions()
        for fact in reaction.facts
        if fact.kind == "policy"
    }
    assert used <= set(service.policies)


@pytest.mark.parametrize("case", DECISIONS, ids=name_of)
def test_commands_have_a_schema_with_labels(case: tuple[Service, Decision]) -> None:
    service, decision = case
    schemas = command_schemas(decision, words_of(service.name))
    assert schemas[decision.name]["additionalProperties"] is False
    for schema in schemas.values():
        assert schema.get("additionalProperties", False) is False or "enum" in schema


DOMAIN = [
    path
    for service in SERVICES
    for path in (ROOT / "services" / service.name).rglob("*.py")
    if path.name != "__main__.py"
]
WORDS_OF_THE_KERNEL = {
    "shared.kernel", "shared.fields", "shared.organisation", "shared.rules", "pydantic", "msgspec",
}  # fmt: skip
STANDARD = {
    "__future__", "calendar", "collections", "collections.abc", "copy", "datetime", "decimal",
    "enum", "functools", "hashlib", "itertools", "math", "operator", "re", "statistics", "string",
    "typing", "uuid", "random",
}  # fmt: skip


def is_domain(path: Path) -> bool:
    return "Aggregate(" in path.read_text("utf-8")


@pytest.mark.parametrize(
    "path",
    [path for path in DOMAIN if is_domain(path)],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_domain_files_import_only_words_and_never_wait(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    service = path.relative_to(ROOT / "services").parts[0]
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Await | ast.AsyncFunctionDef), node.lineno
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            own = module.startswith(f"services.{service}")
            assert own or module in WORDS_OF_THE_KERNEL | STANDARD, module
        if isinstance(node, ast.Attribute) and node.attr in {"now", "today", "uuid4"}:
            asked = node.value
            assert not (isinstance(asked, ast.Name) and asked.id in {"datetime", "date", "uuid"})
    assert tree.body and isinstance(tree.body[0], ast.Expr), "a domain file begins with its story"
    assert re.search(r"[一-鿿]", ast.get_docstring(tree) or ""), "and names it in Chinese"


SHARED_LINES_MAX = 3_999
"""Lines of code in `shared/` (no blank lines, comments, docstrings): a kernel stays under 4,000."""


def test_sizes() -> None:
    """Functions up to 70 lines, modules up to 400, and the kernel stays small."""
    long: list[str] = []
    total = 0
    for folder in ("shared", "hosting", "evidence", "sealing", "services", "deploy", "contracts"):
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text("utf-8")
            tree = ast.parse(source)
            if folder == "shared":
                total += code_lines(source, tree)
            # The verifier is one file, so that it can be copied to another machine.
            lines_max = 750 if path.name == "verify.py" else 400
            if len(source.splitlines()) > lines_max:
                long.append(f"{path.relative_to(ROOT)}: {len(source.splitlines())} lines")
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    size = (node.end_lineno or 0) - node.lineno + 1
                    if size > 70:
                        long.append(f"{path.relative_to(ROOT)}:{node.name}: {size} lines")
    assert long == []
    assert total <= SHARED_LINES_MAX


def code_lines(source: str, tree: ast.Module) -> int:
    """Lines that hold code: not blank, no comment, no docstring."""
    texts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and number not in texts
        for number, line in lines
    )


def test_shipped_files_name_no_machine_and_no_registry() -> None:
    """Lock files hold names, versions and hashes; nothing names a folder of some machine."""
    for path in [*ROOT.glob("requirements/*"), *ROOT.glob("deploy/local/*.lock")]:
        assert not re.search(r"https?://", path.read_text("utf-8")), path
    for folder in (
        "shared", "hosting", "evidence", "sealing", "services", "deploy", "examples", "docs", "contracts"
    ):  # fmt: skip
        for path in (ROOT / folder).rglob("*.*"):
            if path.suffix in {".py", ".toml", ".yaml", ".md", ".json"}:
                assert str(ROOT) not in path.read_text("utf-8"), path
