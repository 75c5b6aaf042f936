"""A school's public page and labels: drawn from declarations, safe, and for everybody to read."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
import segno

from services.nutrition.menu import Meal, MenuStatus
from services.nutrition.menu.views import PublishedMeal, PublishedMenuRow
from services.portal import labels, leaflet, public_page
from services.portal.public import owner_of
from services.portal.public_page import Reader, Section
from services.portal.shelf import Shelf
from services.safety.grades import HazardCategory, HazardGrade
from services.safety.hazard.views import Correction, PublishedCorrectionRow
from services.safety.inspection import InspectionStatus, UnitAnswer
from services.safety.inspection.views import PublishedFailing, PublishedInspectionRow
from services.safety.programme import ProgrammeKind
from tests.services import SERVICES

SHELF = Shelf([service.name for service in SERVICES])
SCHOOL, STREAM, OTHER = (UUID(int=n) for n in (1, 2, 3))
WEEK = date(2026, 9, 7)


def rows(*made: msgspec.Struct) -> list[dict[str, Any]]:
    """As a service answers them."""
    return [msgspec.json.decode(msgspec.json.encode(one)) for one in made]


def menu(version: int, status: MenuStatus, reason: str = "") -> PublishedMenuRow:
    lunch = PublishedMeal(
        day=WEEK, meal=Meal.LUNCH, dishes=("红烧肉", "<b>汤</b>"), allergens=("fish", "kiwi")
    )
    return PublishedMenuRow(
        id=STREAM, organisation=SCHOOL, week=WEEK, canteen="", menu_version=version, status=status,
        published_on=date(2026, 9, 4), superseded_on=WEEK if reason else None, reason=reason,
        age_groups=(), meals=(lunch,),
    )  # fmt: skip


INSPECTED = PublishedInspectionRow(
    id=STREAM, organisation=SCHOOL, programme="食品安全检查", kind=ProgrammeKind.FOOD_SAFETY,
    planned_on=WEEK, status=InspectionStatus.FAILED, score=Decimal(70), full_points=Decimal(100),
    pass_score=Decimal(80), veto=False, answer=UnitAnswer.DISPUTED,
    failed_items=(
        PublishedFailing(
            code="B", text="冰箱生熟分开", category=HazardCategory.FOOD,
            severity=HazardGrade.GENERAL, points_lost=Decimal(30),
        ),
    ),
)  # fmt: skip


def correction(inspection: UUID, item: str) -> PublishedCorrectionRow:
    return PublishedCorrectionRow(
        id=OTHER, organisation=SCHOOL, inspection=inspection, item=item,
        category=HazardCategory.FOOD, grade=None, status=Correction.VERIFIED, found_on=WEEK,
        due_on=WEEK, rectified_on=WEEK, verified_on=WEEK,
    )  # fmt: skip


def views(lang: str) -> dict[str, Any]:
    return dict(SHELF.whole(lang)["views"])


def shown(lang: str = "zh") -> str:
    known = views(lang)
    superseded = menu(1, MenuStatus.SUPERSEDED, "供应商缺货")
    menus = rows(menu(2, MenuStatus.PUBLISHED), superseded)
    parts = rows(correction(STREAM, "B"), correction(OTHER, "X-9"))
    corrections = (known["published_corrections"], "inspection", parts)
    inspections = Section(known["published_inspections"], rows(INSPECTED), "more=", (corrections,))
    sections = [Section(known["published_menus"], menus), inspections]
    return Reader(lang).page("/public/1", "一小<script>", sections, older=False)


def test_a_page_shows_what_is_published_and_what_it_superseded() -> None:
    text = shown()
    assert '<html lang="zh-CN">' in text and "<h1>一小&lt;script&gt; 公示</h1>" in text
    assert text.index('data-status="published"') < text.index('data-status="superseded"')
    for wanted in (
        "食谱公示", "2026-09-07（周一）", "红烧肉、&lt;b&gt;汤&lt;/b&gt;", "鱼类、kiwi", "午餐",
        "已更正", "供应商缺货",
    ):  # fmt: skip
        assert wanted in text, wanted
    assert "<script" not in text and "<b>" not in text
    assert str(SCHOOL) not in text


def test_an_inspection_stands_with_its_own_corrections() -> None:
    text = shown()
    for wanted in ("食品安全检查", "不合格", "冰箱生熟分开", "已整改，复查通过", "整改情况公示"):
        assert wanted in text, wanted
    assert "X-9" not in text, "another inspection's"
    assert "view=published_inspections&amp;cursor=more%3D" in text


def test_the_page_in_english_has_no_chinese_of_its_own() -> None:
    text = shown("en")
    own = re.sub(r"红烧肉|汤|供应商缺货|食品安全检查|冰箱生熟分开|一小|中文", "", text)
    assert re.findall(r"[一-鿿]+", own.partition("<body>")[2]) == []
    for wanted in ("Put right and verified", "Superseded", "Mon 2026-09-07", "Fish"):
        assert wanted in text, wanted


def test_what_cannot_be_had_and_what_is_not_there_is_said() -> None:
    view = views("zh")["published_menus"]
    page = Reader("zh").page(
        "/public/1", "一小", [Section(view, None), Section(view, [])], older=True
    )
    assert "暂时无法显示" in page and "还没有公示" in page and "最新的" in page


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_catalogue_says_what_is_public_and_what_belongs_to_what(lang: str) -> None:
    known = [view for view in views(lang).values() if view["public"]]
    declared = {view.name for service in SERVICES for view in service.views() if view.public}
    assert {view["name"] for view in known} == declared
    owners = {view["name"]: owner_of(view, known) for view in known}
    assert owners == {
        "published_menus": None, "published_inspections": None, "published_complaints": None,
        "published_corrections": ("published_inspections", "inspection"),
    }  # fmt: skip


def test_a_code_is_drawn_and_its_policy_allows_no_script() -> None:
    drawn = leaflet.code("https://example.cn/go/asset_ledger/1", 'desk "7"')
    path = segno.make("https://example.cn/go/asset_ledger/1", error="q", micro=False)
    assert path.svg_inline(border=4, omitsize=True, svgclass=None, lineclass=None) in drawn
    assert 'aria-label="desk &quot;7&quot;"' in drawn and "style=" not in drawn
    answer = leaflet.answer("<p>", labels.STYLE)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy
    assert policy != leaflet.answer("<p>", public_page.STYLE).headers["content-security-policy"]


def test_a_poster_leads_to_the_page() -> None:
    text = Reader("zh").poster("一小", "https://example.cn/public/1")
    assert "https://example.cn/public/1" in text and "<svg" in text
    assert "扫码" in text and "Scan" in text
