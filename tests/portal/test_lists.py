"""What waits for somebody on the first page: by name, by post, and at the level of that post."""

from __future__ import annotations

from typing import Any

import pytest

from services.portal.lists import waits_for
from shared.organisation import Level


def post(role: str, level: str) -> dict[str, Any]:
    return {"role": role, "unit": {"level": level}}


POSTS = [post("principal", "school"), post("finance_officer", "county")]
BY_POST = {"role": "waiting_role", "level": "waiting_level"}


@pytest.mark.parametrize(
    ("role", "level", "mine"),
    [
        ("principal", Level.SCHOOL, True),
        ("principal", Level.TOWNSHIP, False),
        ("finance_officer", Level.COUNTY, True),
        ("finance_officer", Level.SCHOOL, False),
        ("buyer", Level.SCHOOL, False),
        ("principal", None, False),
    ],
)
def test_a_row_waits_for_a_post_at_its_level(role: str, level: Level | None, mine: bool) -> None:
    row = {"waiting_role": role, "waiting_level": level}
    assert waits_for(BY_POST, row, "head", POSTS) is mine


def test_without_a_level_the_role_is_enough() -> None:
    row = {"waiting_role": "finance_officer"}
    assert waits_for({"role": "waiting_role"}, row, "head", POSTS)
    assert not waits_for({"role": "waiting_role"}, {"waiting_role": "cook"}, "head", POSTS)


def test_a_row_waits_for_a_person_by_name_whatever_the_posts() -> None:
    task = {"person": "rectifier"}
    assert waits_for(task, {"rectifier": "head"}, "head", [])
    assert not waits_for(task, {"rectifier": "buyer"}, "head", POSTS)


def test_what_names_nobody_waits_for_all_who_see_it() -> None:
    assert waits_for({}, {"id": "1"}, "head", [])
