"""Figures in words and with links: what a number is called, and where it is taken apart."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec

from sealing.record import veiled
from services.reporting import answers
from services.reporting.figures import read as stored
from services.reporting.figures import shape
from services.reporting.figures.recount import Behind
from services.reporting.measure import Derived, Figure, Measure, Ratio
from services.reporting.period import Period
from services.reporting.reader import Reader
from shared.organisation import Unit
from shared.runtime import Runtime
from shared.words import Word, words_of


class Show:
    """Answers' parts in words, for one process."""

    def __init__(self, rt: Runtime, reader: Reader) -> None:
        self.own, self.reader = rt.words, reader
        self.base = f"/{rt.service.name}"

    def words(self, figure: Figure) -> answers.MeasureWords:
        """What it is called and counted in."""
        return answers.MeasureWords(
            measure=figure.name,
            words=_words(self.own.word("measures", figure.name)),
            unit=figure.unit,
            unit_words=_words(self.own.word("values", f"MeasureUnit.{figure.unit}")),
            dims={name: _words(self.own.word("dims", name)) for name in figure.dims},
            balance=not isinstance(figure, Ratio) and figure.balance,
            ratio=isinstance(figure, Ratio),
            formula=formula(figure),
        )

    def link(self, figure: Figure, unit: UUID, period: str, dims: str = "", tail: str = "") -> str:
        """Where a number is taken apart."""
        path = f"{self.base}/figures/{figure.name}{'/' + tail if tail else ''}"
        query = f"?unit={unit}&period={quote(period, safe='')}"
        return path + query + (f"&dims={quote(dims, safe=':,')}" if dims else "")

    def parts(
        self, figure: Figure, found: stored.Read, unit: Unit, period: Period, dims: str
    ) -> list[answers.OfUnit]:
        """The shares of the units below, of those without any too, and of the unit itself."""
        top, bottom = found.parts[0, stored.NUMERATOR], found.parts[0, stored.DENOMINATOR]
        nothing = list(shape.NOTHING)
        made = [
            answers.OfUnit(
                **shape.shown(figure, top.get(below, nothing), bottom.get(below, nothing))
                .model_dump(),
                unit=self.reader.where(below), own=False,
                link=self.link(figure, below, period.text, dims),
            )
            for below in {*top, *bottom, *self.reader.children(unit, period)}
        ]  # fmt: skip
        own = [
            shape.own_part(shape.total(found.own[0, side].values()), found.parts[0, side].values())
            for side in (stored.NUMERATOR, stored.DENOMINATOR)
        ]
        if any(own[0]) or any(own[1]):
            made.append(
                answers.OfUnit(
                    **shape.shown(figure, *own).model_dump(), unit=self.reader.where(unit.id),
                    own=True, link=self.link(figure, unit.id, period.text, dims, "events"),
                )
            )  # fmt: skip
        return sorted(made, key=lambda part: (part.own, part.unit.name, str(part.unit.id)))

    def dims(
        self, figure: Figure, found: stored.Read, unit: UUID, period: str
    ) -> list[answers.OfLabels]:
        """The figure by its dimensions."""
        if not figure.dims:
            return []
        made = []
        for labels, value in shape.by_labels(figure, found).items():
            named = dict(zip(figure.dims, labels, strict=True))
            dims = ",".join(f"{name}:{label}" for name, label in named.items())
            made.append(
                answers.OfLabels(
                    **value.model_dump(), dims=named, link=self.link(figure, unit, period, dims),
                    words={name: self.label(figure, name, label) for name, label in named.items()},
                )
            )  # fmt: skip
        return made

    def label(self, figure: Figure, name: str, label: str) -> answers.Words:
        """A dimension's value in words, as the service that it comes from calls it."""
        key = f"{figure.values.get(name)}.{label}"
        source = words_of(figure.name.partition(".")[0])
        found = source.find("values", key) or self.own.find("values", key)
        return _words(found or Word(label, label))

    def ranked(self, figure: Figure, row: Any, period: str, dims: str) -> answers.Ranked:
        """A unit with its place; none where there is no value."""
        value = shape.ranked(figure, row["top"], row["bottom"], row["entries"])
        return answers.Ranked(
            **value.model_dump(), place=None if value.value is None else row["rank"],
            unit=self.reader.where(row["unit"]), link=self.link(figure, row["unit"], period, dims),
        )  # fmt: skip

    def behind(self, one: Behind) -> answers.EventBehind:
        """An event with what it adds."""
        row = one.row
        words = words_of(row["source"]).find("events", row["type"]) or Word(
            row["type"], row["type"]
        )
        facts = [
            answers.GivenFact(
                measure=placed.measure.name, unit=self.reader.where(placed.unit), day=placed.day,
                dims=dict(zip(placed.measure.dims, placed.labels, strict=True)), sign=counted.sign,
                count=placed.fact.count, amount=placed.fact.amount, quantity=placed.fact.quantity,
            )
            for counted in one.facts
            for placed in (counted.placed,)
        ]  # fmt: skip
        return answers.EventBehind(
            id=row["id"], source=row["source"],
            position=f"{row['epoch']}.{row['tx']}.{row['seq']}", type=row["type"],
            words=_words(words), stream=row["stream"], version=row["version"],
            organisation=self.reader.where(row["organisation"]), actor=row["actor"],
            occurred_at=row["occurred_at"], recorded_at=row["recorded_at"], day=row["day"],
            data=veiled(msgspec.json.decode(row["data"])), facts=facts,
        )  # fmt: skip


def formula(figure: Figure) -> list[str]:
    """What a figure is formed from, in the names of measures: `a`, `-b`, `a / b`."""
    match figure:
        case Measure():
            return []
        case Derived(terms=terms):
            return [f"{'-' if term.sign < 0 else ''}{term.measure.name}" for term in terms]
        case Ratio(numerator=top, denominator=bottom):
            return [f"{top.name} / {bottom.name}"]


def days_of(period: Period) -> answers.Days:
    """The period as it is answered."""
    return answers.Days(text=period.text, first=period.first, last=period.last)


def _words(word: Word) -> answers.Words:
    return answers.Words(zh=word.zh, en=word.en)
