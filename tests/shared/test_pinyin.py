"""Initials of pinyin as a pattern."""

import re

import pytest

from shared import pinyin


@pytest.mark.parametrize(
    ("search", "text", "found"),
    [
        ("cgy", "采购员", True),
        ("CGY", "校采购员王", True),
        ("gy", "采购员", True),
        ("cy", "采购员", False),
        ("zq", "重庆", True),  # 重: chóng and zhòng
        ("cq", "重庆", True),
        ("an", "安宁小学", True),
        ("ls", "绿色", True),  # lǜ: the initial is a letter like others
        ("b1", "一班", False),
        ("ab", "a栋B座", False),
        ("ad", "A栋", True),
    ],
)
def test_initials(search: str, text: str, found: bool) -> None:
    pattern = pinyin.pattern(search)
    assert (pattern is not None and re.search(pattern, text) is not None) is found


@pytest.mark.parametrize("search", ["", "采购", "c g", "c.", "a" * 21, "(a", "１"])
def test_what_is_no_initials_is_searched_as_it_is(search: str) -> None:
    assert pinyin.pattern(search) is None
