"""What an inspection comes to: points, failed items, pass or fail. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated

import msgspec
from pydantic import Field

from services.safety.checklist import ChecklistItem, Points
from services.safety.inspection import FailedItem, ItemResult, Judgement
from shared.fields import Name, Photo, Text
from shared.kernel import Part, Refused


class ItemJudged(Part):
    """One item's judgement. `points` may be left out: met gives all, not met none."""

    code: Name
    judgement: Judgement
    points: Points | None = None
    note: Text = ""
    place: Annotated[str, Field(max_length=200)] = ""
    photos: Annotated[tuple[Photo, ...], Field(max_length=20)] = ()


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """`full`: the points of all items that apply."""

    score: Decimal
    full: Decimal
    pass_score: Decimal
    failed_items: tuple[FailedItem, ...]
    veto: bool

    @property
    def passed(self) -> bool:
        """Enough points, and no veto item failed."""
        return self.score >= self.pass_score and not self.veto


def results_of(
    items: Mapping[str, ChecklistItem], judged: Iterable[ItemJudged]
) -> tuple[ItemResult, ...]:
    """Judgements as they are kept; refuses those that do not fit the checklist."""
    results: dict[str, ItemResult] = {}
    for one in judged:
        if one.code not in items:
            raise Refused("item_unknown", field="results", code=one.code)
        if one.code in results:
            raise Refused("item_judged_twice", field="results", code=one.code)
        if one.judgement is not Judgement.MET and not one.note.strip():
            raise Refused("judgement_without_note", field="results", code=one.code)
        results[one.code] = ItemResult(
            code=one.code,
            judgement=one.judgement,
            points=points_given(items[one.code], one),
            note=one.note,
            place=one.place.strip(),
            photos=one.photos,
        )
    return tuple(results.values())


def points_given(item: ChecklistItem, judged: ItemJudged) -> Decimal:
    """The points of a judgement; refuses a number that contradicts it."""
    usual = item.points if judged.judgement is Judgement.MET else Decimal(0)
    given = usual if judged.points is None else judged.points
    partly = judged.judgement is Judgement.NOT_MET and given < item.points
    if given != usual and not partly:
        raise Refused("points_contradict", field="results", code=item.code, points=item.points)
    return given


def score_of(
    items: Mapping[str, ChecklistItem], results: Mapping[str, ItemResult], pass_share: Decimal
) -> Score:
    """The whole; refuses while an item is not judged, or when nothing applies."""
    left = [code for code in items if code not in results]
    if left:
        raise Refused("items_not_judged", field="results", codes="、".join(left))
    applying = [
        (item, results[code])
        for code, item in items.items()
        if results[code].judgement is not Judgement.NOT_APPLICABLE
    ]
    full = sum((item.points for item, _ in applying), Decimal(0))
    if full == 0:
        raise Refused("nothing_applicable", field="results")
    failed = tuple(
        failed_item(item, result)
        for item, result in applying
        if result.judgement is Judgement.NOT_MET
    )
    return Score(
        score=sum((result.points for _, result in applying), Decimal(0)),
        full=full,
        pass_score=full * pass_share,
        failed_items=failed,
        veto=any(item.veto for item in failed),
    )


def failed_item(item: ChecklistItem, result: ItemResult) -> FailedItem:
    """An item that was not met, as events and hazards carry it."""
    return FailedItem(
        code=item.code,
        text=item.text_zh,
        veto=item.veto,
        note=result.note,
        severity=item.severity,
        category=item.category,
        place=result.place,
        points_lost=item.points - result.points,
        photos=result.photos,
    )
