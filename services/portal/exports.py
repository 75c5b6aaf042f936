"""Any list as a spreadsheet (导出): the rows that whoever asks may see, as their page shows them.

Page after page is asked of the service as the person who is signed in, and written to a file on
disk, so that a long list needs no more memory than a short one.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import batched
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import xlsxwriter
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from services.portal.catalogue import UNITS, shown_as
from services.portal.cells import Cell, Cells, name_of_row, references
from services.portal.fields import Made
from services.portal.imports import PROBLEM, XLSX
from services.portal.proxy import Gateway
from services.portal.settings import Settings
from services.portal.sheet import ID, Sheet, heading
from services.portal.shelf import Shelf
from services.portal.signing_in import LANGUAGES, SigningIn
from shared.clock import this_moment
from shared.fields import SHANGHAI
from shared.problems import Problem

PAGE_ROWS = 500
"""As many rows as a service gives at once."""

AT_ONCE = 3
"""Exports of one process at a time; others wait their turn."""

LOOKED_UP_AT_ONCE = 8
IDS_MAX = 100
NAMES_MAX = 5_000
"""Things named in one export; whatever more is pointed at stands there by its id."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that some program may take for a formula."""

OWN = ("columns", "lang", "cursor", "limit", "as")
"""What of the request is meant for us; the rest is the list's own question."""

CUT = {
    "zh": "只含前 {count} 行，后面还有：请缩小查询范围后分次导出。",
    "en": "Only the first {count} rows are here and there are more: narrow the list, export parts.",
}
ABOUT = {
    "zh": ("说明", "列表", "导出时间", "导出人", "行数", "查询条件"),
    "en": ("About", "List", "Exported at", "Exported by", "Rows", "Asked for"),
}
ANSWERED = ("content-type", "retry-after", "www-authenticate")

type Fill = Callable[[Book], Awaitable[None]]
"""Writes all rows into a file, and ends it."""


class Declined(Exception):  # noqa: N818 - says what is, as the house's names do
    """A service said no: its own answer is passed on."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


class Exports:
    """Every list of every service as a file."""

    def __init__(
        self, settings: Settings, gateway: Gateway, shelf: Shelf, own: SigningIn,
        sheets: Mapping[str, Sheet],
    ) -> None:  # fmt: skip
        self.rows_max = settings.export_rows
        self.gateway, self.shelf, self.own, self.sheets = gateway, shelf, own, sheets
        self.turns = asyncio.Semaphore(AT_ONCE)

    async def give(self, request: Request) -> Response:
        """`GET /portal/exports/{view}.xlsx?`: with the same question as the list's."""
        lang = self.language(request)
        person = str((await self.own.posts(request))["subject"])
        whole = await asyncio.to_thread(self.shelf.whole, lang)
        view = whole["views"].get(request.path_params["view"])
        if view is None:
            raise Problem("route_unknown")
        again = self._sheet(request, view)
        columns = columns_again(view, again) if again else _columns(view, request, lang)
        source = Source(self.gateway, request, whole["views"], codes=again is not None)
        fill = partial(self._fill, source, person)
        return await self.file(request, view, columns, lang, fill)

    def language(self, request: Request) -> str:
        """The language that is asked for, else the session's."""
        lang = request.query_params.get("lang", self.own.language(request))
        if lang not in LANGUAGES:
            raise Problem("language_unknown", field="lang")
        return lang

    async def file(
        self, request: Request, view: Made, columns: Sequence[Made], lang: str, fill: Fill
    ) -> Response:
        """A file as `fill` writes it; a service's no is the answer."""
        folder = tempfile.TemporaryDirectory(prefix="houqin-export-")
        try:
            async with self.turns:
                book = Book(Path(folder.name), view, columns, lang)
                await fill(book)
        except Declined as no:
            folder.cleanup()
            return passed_on(no.answer, request.url.path)
        except BaseException:
            folder.cleanup()
            raise
        name = f"{view['name']}-{this_moment().astimezone(SHANGHAI):%Y%m%d-%H%M}.xlsx"
        return FileResponse(
            book.path, 200, {"Cache-Control": "no-store"}, XLSX,
            BackgroundTask(folder.cleanup), name,
        )  # fmt: skip

    def _sheet(self, request: Request, view: Made) -> Sheet | None:
        """The command as whose template the list is wanted, to be changed and imported again."""
        name = request.query_params.get("as")
        if name is not None and name != view["sheet"]:
            raise Problem("command_unknown", field="as", command=name)
        return self.sheets[name] if name else None

    async def _fill(self, source: Source, person: str, book: Book) -> None:
        cut = False
        async for rows in source.pages(book.view):
            room = self.rows_max - book.count
            cut = len(rows) > room
            await source.learn(book.columns, rows[:room])
            # In a thread: others must not wait while thousands of cells are written.
            await asyncio.to_thread(book.write, rows[:room], source.names.get)
            if cut:
                break
        await asyncio.to_thread(book.close, person, source.asked, cut=cut)


class Source:
    """The services behind one export: a list's pages, and the names of what they point at; with
    `codes` those of units alone, by which an import knows them.
    """

    def __init__(
        self, gateway: Gateway, request: Request, views: Mapping[str, Made], *, codes: bool
    ) -> None:
        self.gateway, self.request, self.views, self.codes = gateway, request, views, codes
        self.asked = {n: v for n, v in request.query_params.items() if n not in OWN}
        self.names: dict[str, str] = {}
        self._known: set[str] = set()
        self._turns = asyncio.Semaphore(LOOKED_UP_AT_ONCE)

    async def pages(self, view: Made) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """The list's rows, page by page; raises `Declined`."""
        cursor: str | None = ""
        while cursor is not None and not await self.request.is_disconnected():
            more = {"cursor": cursor} if cursor else {}
            query = urlencode({**self.asked, "limit": PAGE_ROWS, **more})
            answer = await self._get(view, f"{view['path']}?{query}")
            if not answer.is_success:
                raise Declined(answer)
            page = msgspec.json.decode(answer.content)
            cursor = page["next"]
            yield page["items"]

    async def learn(self, columns: Sequence[Made], rows: Sequence[Mapping[str, Any]]) -> None:
        """Looks up what these rows point at and is not known yet, as far as the caller may."""
        new = {
            (view, id_)
            for row in rows
            for column in columns
            for view, id_ in references(column, row.get(column["name"]))
            if id_ not in self._known and (view == UNITS or not self.codes)
        }
        chosen = sorted(new)[: max(0, NAMES_MAX - len(self._known))]
        self._known.update(id_ for _, id_ in chosen)
        people = [id_ for where, id_ in chosen if where not in self.views]
        finder = next((where for where, _ in chosen if where not in self.views), "")
        await asyncio.gather(
            *(self._look(self.views[view], id_) for view, id_ in chosen if view in self.views),
            *(self._look_people(finder, some) for some in batched(people, IDS_MAX, strict=False)),
        )

    async def _look_people(self, finder: str, ids: Sequence[str]) -> None:
        async with self._turns:
            path = f"{finder.removeprefix('/api')}?{urlencode({'ids': ','.join(ids)})}"
            service = path.split("/")[1]
            answer = await self.gateway.read(service, self.request, path, method="GET")
        if answer.is_success:
            items = msgspec.json.decode(answer.content)["items"]
            self.names |= {one["id"]: one["name"] for one in items if one["name"]}

    async def _look(self, view: Made, id_: str) -> None:
        async with self._turns:
            answer = await self._get(view, view["detail"].replace("{id}", id_))
        if not answer.is_success:
            return  # not theirs to see, or gone: the id stands for it
        found = msgspec.json.decode(answer.content)
        row = found["items"][0] if view["many"] else found
        if name := row["code"] if self.codes else name_of_row(view, row):
            self.names[id_] = name

    async def _get(self, view: Made, path: str) -> httpx.Response:
        path = path.removeprefix("/api")
        return await self.gateway.read(view["service"], self.request, path, method="GET")


class Book:
    """The file as it grows: a heading, a row for each of the list's, and what was asked for."""

    def __init__(self, folder: Path, view: Made, columns: Sequence[Made], lang: str) -> None:
        self.view, self.columns, self.lang, self.count = view, columns, lang, 0
        self.path = folder / "export.xlsx"
        self.book = xlsxwriter.Workbook(
            str(self.path), {"constant_memory": True, "tmpdir": str(folder)}
        )
        self.formats = {
            "head": self.book.add_format({"bold": True, "bg_color": "#E8F0E8", "border": 1}),
            "text": self.book.add_format({"num_format": "@"}),
            "quoted": self.book.add_format({"num_format": "@", "quote_prefix": True}),
            "day": self.book.add_format({"num_format": "yyyy-mm-dd"}),
            "moment": self.book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
        }
        self.page = self.book.add_worksheet(_sheet_name(view["label"]))
        self.page.freeze_panes(1, 0)
        for n, column in enumerate(columns):
            texts = column["kind"] in {"id", "text", "ref"}
            self.page.set_column(n, n, 18, self.formats["text"] if texts else None)
            self.page.write_string(0, n, column["label"], self.formats["head"])

    def write(self, rows: Sequence[Mapping[str, Any]], name_of: Any) -> None:
        """The next rows."""
        cells = Cells(self.lang, name_of)
        for row in rows:
            self.count += 1
            for n, column in enumerate(self.columns):
                self._put(self.page, self.count, n, cells.cell(column, row.get(column["name"])))

    def close(self, person: str, asked: Mapping[str, str], *, cut: bool) -> None:
        """Ends the list, says how it came about, and writes the file."""
        if cut:
            note = CUT[self.lang].format(count=f"{self.count:,}")
            self.page.write_string(self.count + 1, 0, note, self.formats["head"])
        name, *labels = ABOUT[self.lang]
        page = self.book.add_worksheet(name)
        page.set_column(0, 1, 24)
        when = this_moment().astimezone(SHANGHAI).replace(tzinfo=None, microsecond=0)
        told = [self.view["label"], when, person, self.count, urlencode(asked)]
        for n, (label, value) in enumerate(zip(labels, told, strict=True)):
            page.write_string(n, 0, label, self.formats["head"])
            self._put(page, n, 1, value)
        self.book.close()

    def _put(self, page: Any, row: int, column: int, value: Cell | None) -> None:
        match value:
            case None:
                pass
            case datetime():
                page.write_datetime(row, column, value, self.formats["moment"])
            case date():
                page.write_datetime(row, column, value, self.formats["day"])
            case Decimal() | int():
                page.write_number(row, column, value)
            case _:
                # Written as a string it is none; the mark keeps it so when somebody edits it.
                form = "quoted" if value.startswith(FORMULA) else "text"
                page.write_string(row, column, value, self.formats[form])


def passed_on(answer: httpx.Response, path: str) -> Response:
    """A service's no, about our own address."""
    content, headers = answer.content, answer.headers
    if headers.get("content-type") == PROBLEM:
        content = msgspec.json.encode({**msgspec.json.decode(content), "instance": path})
    kept = {name: headers[name] for name in ANSWERED if name in headers}
    return Response(content, answer.status_code, kept)


def _columns(view: Made, request: Request, lang: str) -> list[Made]:
    """The columns asked for, else all; what a list says in both languages, in one."""
    other = "_en" if lang == "zh" else "_zh"
    own = [one for one in view["columns"] if not one["name"].endswith(other)]
    chosen = request.query_params.get("columns", "").split(",")
    return [one for one in own if one["name"] in chosen] or own


def columns_again(view: Made, sheet: Sheet) -> list[Made]:
    """The columns of a template, each with where the list's rows show it; and which thing it is."""
    shown, fields = shown_as(view), sheet.columns
    known = [shown[one.name] | {"label": heading(one)} for one in fields if one.name in shown]
    return [*known, {"name": ID.name, "label": ID.zh, "kind": "id"}]


def _sheet_name(label: str) -> str:
    """Excel's own limits of a sheet's name."""
    return "".join(" " if one in "[]:*?/\\" else one for one in label)[:31].strip("'")
