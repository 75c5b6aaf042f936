"""Every label and message in Chinese and English, read from each service's `words.toml`.

A section holds `key = ["中文", "English"]`. In `[refusals]` two more texts say the next step:
`slug = ["原因", "reason", "怎么办", "what to do"]`; `{name}` is filled from the refusal's values.
`[statuses]` of the shared words holds the HTTP status of a slug.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

SECTIONS = (
    "names", "commands", "events", "views", "fields", "values", "refusals", "measures", "dims",
    "alerts", "validation", "help",
)  # fmt: skip

SHARED = Path(__file__).parent / "words.toml"


class Word(NamedTuple):
    """One text in both languages."""

    zh: str
    en: str


class Advice(NamedTuple):
    """A refusal in words: why, and what to do next."""

    reason: Word
    next_step: Word


class Words:
    """The words of one service over those that all share."""

    def __init__(self, sections: dict[str, dict[str, list[str]]]) -> None:
        self.sections = sections

    def word(self, section: str, key: str) -> Word:
        """The text of `key`; KeyError names the missing one (the conformance test finds it)."""
        zh, en = self.sections[section][key][:2]
        return Word(zh, en)

    def find(self, section: str, key: str) -> Word | None:
        """The text of `key`, or None."""
        return self.word(section, key) if key in self.sections[section] else None

    def refusal(self, slug: str) -> Advice:
        """Reason and next step of a refusal slug."""
        zh, en, next_zh, next_en = self.sections["refusals"][slug]
        return Advice(Word(zh, en), Word(next_zh, next_en))


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The sections of one `words.toml` (an absent file has none)."""
    if not path.exists():
        return {}
    return tomllib.loads(path.read_text("utf-8"))


@cache
def words_of(service: str) -> Words:
    """The words of a service; its own win over the shared ones."""
    shared = read(SHARED)
    own = read(Path(__file__).parent.parent / "services" / service / "words.toml")
    return Words({name: shared.get(name, {}) | own.get(name, {}) for name in SECTIONS})
