"""A complaint box's pages: without a script, safe, in either language, and never filled in twice."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.portal.complaint_page import STYLE, Box
from services.portal.complaints import COMMAND, LIST
from services.portal.leaflet import form
from services.portal.shelf import Shelf
from shared.problems import FieldError
from tests.services import SERVICES

SHELF = Shelf([service.name for service in SERVICES])
RECEIPT = "0123456789ABCDEF"
VALUES = {"topic": "food", "text": "<b>肉</b>", "contact": '"138'}
SHOWN: dict[str, Any] = {
    "topic": "food", "kind": "complaint", "status": "answered", "filed_on": "2026-09-07",
    "due_on": "2026-11-06", "answered_on": "2026-09-08", "answer": "已更换<供货商>",
}  # fmt: skip


def box(lang: str = "zh") -> Box:
    whole = SHELF.whole(lang)
    return Box(lang, "一小<script>", "/public/1", whole["commands"][COMMAND], whole["views"][LIST])


def pages(lang: str) -> list[str]:
    wrong = [FieldError("text", "至少5个字", "at least 5")]
    made = box(lang)
    return [
        made.form(RECEIPT, {}, (), ""), made.form(RECEIPT, VALUES, wrong, ""),
        made.filed(RECEIPT, SHOWN), made.asked("", unknown=False), made.asked("<x>", unknown=True),
        made.status(SHOWN),
    ]  # fmt: skip


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_page_runs_or_repeats_what_somebody_typed(lang: str) -> None:
    for page in pages(lang):
        assert "<script" not in page and "<b>" not in page and "<供货商>" not in page
        assert "<x>" not in page


def test_a_form_sent_back_keeps_what_was_typed_and_says_what_is_wrong() -> None:
    first, again = pages("zh")[:2]
    assert f'name="receipt" value="{RECEIPT}"' in first and 'role="alert"' not in first
    for wanted in (
        "&lt;b&gt;肉&lt;/b&gt;", 'value="food" selected', "&quot;138", "有 1 处需要修改",
        'id="text-bad">至少5个字', 'aria-describedby="text-hint text-bad" aria-invalid="true"',
    ):  # fmt: skip
        assert wanted in again, wanted


def test_a_receipt_is_shown_to_copy_and_leads_to_the_answer() -> None:
    assert "0123-4567-89AB-CDEF" in box().filed(RECEIPT, SHOWN)
    status = box().status(SHOWN)
    for wanted in ("食堂与饮食", "已答复", "2026-11-06", "已更换&lt;供货商&gt;"):
        assert wanted in status, wanted


def test_the_pages_in_english_have_no_chinese_of_their_own() -> None:
    for page in pages("en"):
        own = re.sub(r"一小|肉|已更换|供货商|中文", "", page.partition("<body>")[2])
        assert re.findall(r"[一-鿿]+", own) == []


def test_the_policy_allows_its_own_form_and_no_script() -> None:
    policy = form("<p>", STYLE).headers["content-security-policy"]
    assert "form-action 'self'" in policy and "script-src" not in policy
