"""Every text of the web application exists in both languages, and every text that it asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).parents[2] / "web" / "src"
NAMED = re.compile(r"""(?<!=)["'`]([a-zA-Z]+\.[A-Za-z]+(?:\.[A-Za-z]+)*)["'`]""")
"""A text's name as it stands in the sources: `form.choose`."""
PLAIN = re.compile(r"""\bt\(["']([a-z]+)["']""")
MADE = re.compile(r"`([a-z]+\.)\$\{")
"""The beginning of a name that is put together: `state.${record.state}`."""
PLACE = re.compile(r"\{(\w+)\}")


def flat(texts: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in texts.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{name}.")
        else:
            yield path + name, value


def texts(language: str) -> dict[str, str]:
    """The application's own texts, and those that come with a part of it."""
    paths = sorted(SOURCES.rglob(f"{language}.json"))
    return {k: v for path in paths for k, v in flat(json.loads(path.read_text("utf-8")))}


def code() -> str:
    paths = [*SOURCES.rglob("*.vue"), *SOURCES.rglob("*.ts")]
    return "\n".join(path.read_text("utf-8") for path in paths)


ZH, EN = texts("zh"), texts("en")


def test_both_languages_have_the_same_texts() -> None:
    assert ZH.keys() == EN.keys()
    assert [name for name, text in {**ZH, **EN}.items() if not text.strip()] == []


@pytest.mark.parametrize("name", ZH)
def test_a_text_says_the_same_values_in_both_languages(name: str) -> None:
    assert set(PLACE.findall(ZH[name])) == set(PLACE.findall(EN[name]))


def test_every_text_that_is_asked_for_is_there() -> None:
    sections = {name.partition(".")[0] for name in ZH if "." in name}
    asked = {name for name in NAMED.findall(code()) if name.partition(".")[0] in sections}
    assert sorted((asked | set(PLAIN.findall(code()))) - ZH.keys()) == []


def test_no_text_is_left_over() -> None:
    source = code()
    made = set(MADE.findall(source))
    asked = set(NAMED.findall(source)) | set(PLAIN.findall(source))
    assert [n for n in ZH if n not in asked and not n.startswith(tuple(made))] == []
