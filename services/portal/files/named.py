"""Which stored files a command names: a command that names one that is not there is not passed on.

Services know files by their names alone. So whoever sends a record sends its files first.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request

from services.portal.fields import Made
from services.portal.files.routes import Files
from services.portal.shelf import Shelf
from shared.problems import FieldError, Problem
from shared.words import Words

PLACE = re.compile(r"\\\{\w+\\\}")
NAME = re.compile("[0-9a-f]{64}")
HASH = re.compile(rb'"[0-9a-f]{64}"|\\u')
"""What a body holds that names files: a hash, or what may be one with its letters escaped."""

NAMES_MAX = 1_000
"""Files that one request names; each is looked up."""


class Named(NamedTuple):
    """A file where a command names it. `kind`: what it must be (photo, signature, document)."""

    path: str
    kind: str
    sha256: str


class Naming:
    """The commands that may name files, by their addresses and by their names."""

    def __init__(self, commands: Iterable[Made]) -> None:
        self.fields: dict[str, Sequence[Made]] = {}
        self.paths: list[tuple[re.Pattern[str], str]] = []
        for one in commands:
            if any(map(holds_file, one["fields"])):
                self.fields[one["name"]] = one["fields"]
                pattern = PLACE.sub("[^/]+", re.escape(one["path"]))
                self.paths.append((re.compile(pattern), one["name"]))

    def named(self, path: str, content: bytes) -> list[Named]:
        """The files that a request names: a command's, or a batch's. Whatever it does not
        understand it leaves to the service.
        """
        if not HASH.search(content):
            return []
        command = next((name for pattern, name in self.paths if pattern.fullmatch(path)), None)
        batch = path.endswith("/batch")
        if command is None and not batch:
            return []
        try:
            body = msgspec.json.decode(content)
        except msgspec.DecodeError:
            return []
        if command is not None:
            return list(named_in(self.fields[command], body))
        return list(self._in_batch(body))

    def _in_batch(self, body: Any) -> Iterator[Named]:
        commands = body.get("commands") if isinstance(body, dict) else None
        for n, step in enumerate(commands if isinstance(commands, list) else ()):
            if isinstance(step, dict) and isinstance(step.get("command"), str):
                fields = self.fields.get(step["command"], ())
                yield from named_in(fields, step.get("body"), f"commands.{n}.")


def holds_file(field: Made) -> bool:
    """Whether a file may stand in the field, or in one within it."""
    parts = [*field.get("fields", ()), *field.get("kinds", ())]
    if "item" in field:
        parts.append(field["item"])
    return field["kind"] == "file" or any(map(holds_file, parts))


def named_in(fields: Sequence[Made], body: Any, path: str = "") -> Iterator[Named]:
    """The files that a command names, each with where (`findings.0.photos.1`)."""
    if isinstance(body, Mapping):
        for field in fields:
            yield from _in_field(field, body.get(field["name"]), path + field["name"])


def _in_field(field: Made, value: Any, path: str) -> Iterator[Named]:
    if field["kind"] == "file" and isinstance(value, str) and NAME.fullmatch(value):
        yield Named(path, field["file"], value)
    elif field["kind"] == "list" and isinstance(value, list):
        for n, one in enumerate(value):
            yield from _in_field(field["item"], one, f"{path}.{n}")
    elif field["kind"] == "object":
        yield from named_in(field["fields"], value, f"{path}.")
    elif field["kind"] == "union":
        for kind in field["kinds"]:
            yield from _in_field(kind, value, path)


class Check:
    """Looks at what is sent to a service before it is passed on."""

    def __init__(self, shelf: Shelf, files: Files, words: Words) -> None:
        self.shelf, self.files, self.words = shelf, files, words
        self._naming: Naming | None = None

    async def __call__(self, request: Request, content: bytes) -> None:
        """Raises the problem `file_not_stored` or `file_unfit`, with every file that it is about,
        `invalid` where there are too many, and what `subject` raises of whoever names any; else
        the files that the request names stay from now on.
        """
        if request.method != "POST" or not content:
            return
        if not HASH.search(content):
            return
        # Nothing is taken apart for somebody who is nobody here, and nobody else waits for it.
        subject = await self.files.people.subject(request)
        naming = await self.naming()
        named = await asyncio.to_thread(naming.named, request.url.path, content)
        hashes = {one.sha256 for one in named}
        if not hashes:
            return
        if len(hashes) > NAMES_MAX:
            raise Problem("invalid", errors=[_too_many(named[NAMES_MAX])])
        usable = await self._usable(request, subject, hashes)
        wrong = {one: slug for one in named if (slug := _wrong(one, usable))}
        if wrong:
            errors = [self._error(one, slug) for one, slug in wrong.items()]
            raise Problem(next(iter(wrong.values())), errors=errors)
        if not await self.files.ledger.name(hashes):
            raise Problem("file_not_stored")

    async def naming(self) -> Naming:
        """Made when the first command comes; in a thread, since it takes a while."""
        if self._naming is None:
            whole = await asyncio.to_thread(self.shelf.whole, "zh")
            self._naming = Naming(whole["commands"].values())
        return self._naming

    async def _usable(self, request: Request, subject: str, hashes: set[str]) -> dict[str, str]:
        """The media types of those that are stored, and sent by who asks or his to see."""
        known = await self.files.ledger.known(hashes, subject)
        return {
            sha256: one.media_type
            for sha256, one in known.items()
            if not one.erased and (one.own or await self.files.visible(request, one))
        }

    def _error(self, one: Named, slug: str) -> FieldError:
        reason, next_step = self.words.refusal(slug)
        zh, en = f"{reason.zh}。{next_step.zh}。", f"{reason.en}. {next_step.en}."
        return FieldError(one.path, zh, en)


def _too_many(one: Named) -> FieldError:
    return FieldError(
        one.path, f"一次最多附{NAMES_MAX}个文件，请分几次提交",
        f"a request names at most {NAMES_MAX} files; send it in parts",
    )  # fmt: skip


def _wrong(one: Named, usable: Mapping[str, str]) -> str:
    """Why it cannot be named there, as a slug; empty if it can."""
    if one.sha256 not in usable:
        return "file_not_stored"
    fits = one.kind == "document" or usable[one.sha256].startswith("image/")
    return "" if fits else "file_unfit"
