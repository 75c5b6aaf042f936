"""Searching Chinese by the initials of its pinyin (拼音首字母): `cgy` finds 采购员."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from functools import cache

INITIALS = re.compile(r"[A-Za-z]{1,20}")


def pattern(search: str) -> str | None:
    """The regular expression of texts in which these initials follow each other; None for a
    search that is no initials. A character stands for the initial of each of its readings.
    """
    if not INITIALS.fullmatch(search):
        return None
    known = _characters()
    return "".join(f"[{one}{one.upper()}{known.get(one, '')}]" for one in search.lower())


@cache
def _characters() -> dict[str, str]:
    """Initial -> the characters of GB 2312 that may be read so."""
    # Only single characters are looked up: without its phrases the library needs a third of its
    # memory. It is loaded by whoever first searches so.
    os.environ["PYPINYIN_NO_PHRASES"] = "true"
    from pypinyin.pinyin_dict import pinyin_dict  # noqa: PLC0415

    found: dict[str, set[str]] = defaultdict(set)
    for code, readings in pinyin_dict.items():
        character = chr(code)
        if character.encode("gb2312", "ignore"):
            for reading in readings.split(","):
                found[unicodedata.normalize("NFD", reading)[0]].add(character)
    return {initial: "".join(sorted(characters)) for initial, characters in found.items()}
