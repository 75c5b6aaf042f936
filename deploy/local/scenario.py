"""An example is a file: units, people, calendar, commands and what must come out, in YAML.

Everything in it is entered through the public APIs. Whatever is wrong is said with file and line,
in Chinese and English, all at once and before the first command is sent. docs: examples/README.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    field_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

FREE_FORM = frozenset({"body", "values", "dims", "items"})
"""Keys under which the file says what it likes: no structure of ours, only values."""

RESERVED = frozenset({"n", "day", "item", "up", "sha256"})
"""Words of expressions; nothing can be called so."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong, where, and in both languages why."""

    line: int
    zh: str
    en: str
    more: tuple[str, ...] = ()


class Wrong(Exception):  # noqa: N818 - says what the file is
    """A scenario that cannot be entered as it stands."""

    def __init__(self, file: Path, complaints: Sequence[Complaint]) -> None:
        self.file = file
        self.complaints = tuple(sorted(complaints, key=lambda one: one.line))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> Iterator[str]:
        """What people read: `file:line: zh · en`, and below it what more there is to say."""
        for one in self.complaints:
            yield f"{self.file}:{one.line}: {one.zh} · {one.en}"
            yield from (f"    {text}" for text in one.more)


class Template(str):
    """A text with `${...}` in it, and the line where it stands."""

    __slots__ = ("line",)
    line: int

    @classmethod
    def at(cls, text: str, line: int) -> Template:
        """The text at that line."""
        made = cls(text)
        made.line = line
        return made


type Code = Annotated[str, StringConstraints(pattern=r"^[\w-]{1,60}$")]
type Called = Annotated[str, StringConstraints(pattern=r"^[^\W\d]\w{0,59}$")]
"""What something is called in the file."""


class Node(BaseModel):
    """A mapping of the file: its keys are known, and each knows its line."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    lines: dict[str, int] = Field(default_factory=dict, alias="@lines")

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.lines.get("", 0)

    def line_of(self, key: str) -> int:
        """Where a key of it stands."""
        return self.lines.get(key, self.line)


class Both(Node):
    """A text in both languages."""

    zh: str
    en: str


class UnitEntry(Node):
    """A unit to register; `parent` by code or by what it is called here."""

    code: Code
    name: str
    level: str
    parent: Code | None = None
    called: Called | None = Field(None, alias="as")
    kind: str | None = None
    stage: str | None = None
    boarding: bool = False
    division_code: str | None = None
    since: date


class Contract(Node):
    """A labour contract, for posts that need one."""

    signed_on: date
    first_day: date
    last_day: date | None = None
    number: str = ""


class PostEntry(Node):
    """A post: a role at a unit from a day on."""

    role: str
    at: Code
    since: date
    last_day: date | None = None
    contract: Contract | None = None


class PersonEntry(Node):
    """Somebody who signs in as `subject` and holds posts."""

    subject: str
    name: str = ""
    posts: tuple[PostEntry, ...] = ()


class TermEntry(Node):
    """A term of a region's school year."""

    at: Code
    school_year: int
    term: Literal[1, 2]
    first_day: date
    last_day: date


class HolidayEntry(Node):
    """Days without school."""

    at: Code
    school_year: int
    first_day: date
    last_day: date
    name: str


class MakeUpEntry(Node):
    """A day at the weekend on which there is school."""

    at: Code
    school_year: int
    day: date
    name: str


class CalendarEntry(Node):
    """What the schools' calendar says."""

    terms: tuple[TermEntry, ...] = ()
    holidays: tuple[HolidayEntry, ...] = ()
    make_up_days: tuple[MakeUpEntry, ...] = ()


class RuleEntry(Node):
    """A region's own rule (see the services' rules.toml)."""

    at: Code
    slug: str
    since: date
    values: dict[str, Any]
    source_zh: str
    source_en: str
    mark: str = "to be confirmed"
    reason: str = ""


class CommandEntry(Node):
    """What somebody sends: `command` (`assets.ReportRepair`) or `route` (`/assets/repairs`).

    `at` is whose it is (`organisation`), `to` the thing it is about, `as` what it is called from
    now on. `expect_refusal`: the slug with which it must be refused.
    """

    who: str
    when: str | datetime | date | None = None
    command: str | None = None
    route: str | None = None
    at: str | None = None
    to: str | None = None
    body: dict[str, Any] = Field(default_factory=dict)
    called: Called | None = Field(None, alias="as")
    expect_refusal: str | None = None
    note: str = ""


class RepeatSpec(Node):
    """How often: `count` times, over days of the calendar, over a list, or both.

    Over days: as evenly as it goes between `from` and `to` (else over the first term). `weeks` and
    `months`: the first school day of each. `items` are taken in turn.
    """

    count: Annotated[int, Field(ge=1, le=100_000)] | None = None
    over: Literal["school-days", "days", "weeks", "months"] | None = None
    start: date | None = Field(None, alias="from")
    end: date | None = Field(None, alias="to")
    items: tuple[Any, ...] = ()


class RepeatEntry(Node):
    """A small block of commands, again and again; in it `${n}`, `${day}`, `${item}` are known."""

    repeat: RepeatSpec
    steps: Annotated[tuple[Entry, ...], Field(min_length=1)]
    note: str = ""


def _sort(value: Any) -> str:
    keys = value if isinstance(value, Mapping) else ()
    return "«repeat»" if "repeat" in keys or "steps" in keys else "«command»"


type Entry = Annotated[
    Annotated[CommandEntry, Tag("«command»")] | Annotated[RepeatEntry, Tag("«repeat»")],
    Discriminator(_sort),
]


class Expected(Node):
    """A figure that must come out: at `unit`, and the same at each of `same_at`.

    `at_least`: the source says "N and some" (余, 多). `invented`: nobody has published it.
    """

    name: Both
    measure: str
    unit: Code
    same_at: tuple[Code, ...] = ()
    period: str
    dims: dict[str, str] = Field(default_factory=dict)
    value: str
    bound: Literal["exact", "at_least"] = "exact"
    source: str = ""
    note: str = ""
    invented: bool = False


class Watched(Both):
    """A thing whose history is shown after the table, and what to call it there."""

    thing: str


class Scenario(Node):
    """The whole file."""

    title: Both
    source: str
    timezone: str = "Asia/Shanghai"
    units: tuple[UnitEntry, ...] = ()
    people: tuple[PersonEntry, ...] = ()
    calendar: CalendarEntry = CalendarEntry()
    rules: tuple[RuleEntry, ...] = ()
    commands: tuple[Entry, ...] = ()
    expected: tuple[Expected, ...] = ()
    watch: tuple[Watched, ...] = ()

    @field_validator("timezone")
    @classmethod
    def known_zone(cls, name: str) -> str:
        """Refuses a time zone that nobody knows."""
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("时区不存在 · unknown time zone") from error
        return name

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of its days."""
        return ZoneInfo(self.timezone)


RepeatEntry.model_rebuild()
Scenario.model_rebuild()


def read(file: Path) -> Scenario:
    """The scenario in a file; raises `Wrong` with everything that is not as it should be."""
    try:
        raw = YAML(typ="rt").load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Wrong(file, [Complaint(1, "读不到文件", f"cannot be read: {error}")]) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = " ".join(str(error.problem or error.context).split())
        raise Wrong(
            file, [Complaint(line, "不是有效的 YAML", f"not valid YAML: {what}")]
        ) from error
    except (YAMLError, UnicodeDecodeError) as error:
        complaint = Complaint(1, "不是有效的 YAML", f"not valid YAML: {error}")
        raise Wrong(file, [complaint]) from error
    if not isinstance(raw, CommentedMap):
        raise Wrong(file, [Complaint(1, "文件应是一个映射", "the file must be a mapping")])
    try:
        return Scenario.model_validate(plain(raw, free=False))
    except ValidationError as error:
        raise Wrong(file, [_complaint(raw, item) for item in error.errors()]) from error


def plain(raw: Any, *, free: bool, line: int = 1) -> Any:
    """The tree as plain values; structure gets its lines, texts with `${` keep theirs."""
    if isinstance(raw, CommentedMap):
        made = {
            str(key): plain(value, free=free or key in FREE_FORM, line=raw.lc.value(key)[0] + 1)
            for key, value in raw.items()
        }
        if free:
            return made
        lines = {str(key): raw.lc.key(key)[0] + 1 for key in raw}
        return {**made, "@lines": {"": min(lines.values(), default=line), **lines}}
    if isinstance(raw, CommentedSeq):
        return [plain(one, free=free, line=raw.lc.item(at)[0] + 1) for at, one in enumerate(raw)]
    if isinstance(raw, str):
        return Template.at(str(raw), line) if free and "${" in raw else str(raw)
    if free and isinstance(raw, date):
        return raw.isoformat()
    if isinstance(raw, ScalarBoolean):
        return bool(raw)
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return int(raw) if isinstance(raw, int) else float(raw)
    return raw


_KINDS = {
    "missing": ("缺少 {key}", "{key} is missing"),
    "extra_forbidden": ("不认识的键 {key}", "unknown key {key}"),
}


def _complaint(raw: CommentedMap, item: Any) -> Complaint:
    """What pydantic found, at the line where it stands."""
    line, key = locate(raw, item["loc"])
    if item["type"] in _KINDS:
        zh, en = _KINDS[item["type"]]
        return Complaint(line, zh.format(key=key), en.format(key=key))
    message = item["msg"].removeprefix("Value error, ")
    return Complaint(line, f"{key} 的值不对", f"{key}: {message}")


def locate(raw: Any, path: Sequence[int | str]) -> tuple[int, str]:
    """The line of a place in the tree, and the name of its last key. What does not exist is at the
    line of what should hold it; names of alternatives (not in the tree) are passed over.
    """
    line, node, key = 1, raw, ""
    for part in path:
        if isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line, node = node.lc.item(part)[0] + 1, node[part]
        elif isinstance(node, CommentedMap) and part in node:
            line, node, key = node.lc.key(part)[0] + 1, node[part], str(part)
        elif isinstance(node, CommentedMap) and isinstance(part, str) and not part.startswith("«"):
            key = part
    return line, key
