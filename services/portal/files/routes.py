"""How files come and go: `/portal/files`, `/portal/files/{sha256}`, `…/pieces/{number}`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import msgspec
import structlog
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.portal.caller import People
from services.portal.files.content import SUFFIX
from services.portal.files.ledger import Known, Ledger, Upload
from services.portal.page import NO_STORE
from services.portal.proxy import bounded_body
from services.portal.settings import Settings
from services.portal.signing_in import Edge, SigningIn
from shared.problems import Problem

log = structlog.get_logger(__name__)

SWEEP_S = 3600.0
INERT = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
"""A file is somebody's, and never a page of ours: nothing in it runs, or leads anywhere."""


class Sha256(StringConvertor):
    """A file's name in an address."""

    regex = "[0-9a-f]{64}"


register_url_convertor("sha256", Sha256())


class Announced(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that somebody is about to send."""

    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, msgspec.Meta(gt=0)]
    unit: UUID


class Files:
    """The endpoints. Who asks is known by `people`, and by `own` at which units he holds a post."""

    def __init__(self, settings: Settings, ledger: Ledger, people: People, own: SigningIn) -> None:
        self.settings, self.ledger, self.people, self.own = settings, ledger, people, own

    async def announce(self, request: Request) -> Response:
        """`POST /portal/files`: what of a file is still to be sent, if anything. Who only knows
        its hash must send it: knowing is not having.
        """
        subject = await self.people.subject(request)
        try:
            asked = msgspec.json.decode(await bounded_body(request, 10_000), type=Announced)
        except msgspec.MsgspecError as error:
            raise Problem("upload_malformed", why=str(error)) from error
        if not await self.covers(request, asked.unit):
            raise Problem("no_post", field="unit")
        found = (await self.ledger.known([asked.sha256], subject)).get(asked.sha256)
        if found and (found.erased or found.own or asked.unit in found.units):
            await self.ledger.place(asked.sha256, asked.unit, subject)
            return _progress(None)
        await self._check_size(asked, subject)
        upload = await self.ledger.begin(
            asked.sha256, subject, asked.unit, asked.size_bytes, self.settings.file_piece_bytes
        )
        return await self._whole_or_missing(upload, subject)

    async def piece(self, request: Request) -> Response:
        """`PUT /portal/files/{sha256}/pieces/{number}`: one piece; with the last the file is
        stored, if it is what it was said to be.
        """
        subject = await self.people.subject(request)
        sha256, number = request.path_params["sha256"], request.path_params["number"]
        upload = await self.ledger.upload(sha256, subject)
        piece = await bounded_body(request, upload.piece_bytes)
        if not piece or len(piece) != upload.length_of(number):
            raise Problem("piece_unfit", bytes=upload.length_of(number))
        await self.ledger.add_piece(sha256, subject, number, piece)
        return await self._whole_or_missing(await self.ledger.upload(sha256, subject), subject)

    async def show(self, request: Request) -> Response:
        """`GET /portal/files/{sha256}`: the file, for whoever may see it."""
        subject = await self.people.subject(request)
        sha256 = request.path_params["sha256"]
        known = (await self.ledger.known([sha256], subject)).get(sha256)
        if known is None or not await self.visible(request, known):
            raise Problem("file_unknown")
        if known.erased:
            raise Problem("file_erased")
        name = f"{sha256[:12]}.{SUFFIX[known.media_type]}"
        place = "inline" if known.media_type.startswith("image/") else "attachment"
        headers = {
            # Kept by the browser, and asked for each time whether its person may still see it.
            "Cache-Control": "private, no-cache", "ETag": f'"{sha256}"', "Vary": "Cookie",
            "Content-Disposition": f'{place}; filename="{name}"',
            "Content-Security-Policy": INERT, "Cross-Origin-Resource-Policy": "same-origin",
        }  # fmt: skip
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(None, 304, headers)
        try:
            content = await self.ledger.blobs.get(sha256)
        except FileNotFoundError as error:
            log.exception("file_lost", sha256=sha256)
            raise Problem("file_lost") from error
        return Response(content, 200, headers, known.media_type)

    async def visible(self, request: Request, known: Known) -> bool:
        """Whether who asks holds a post at a unit for which it was sent, or above."""
        for unit in known.units:
            if await self.covers(request, unit):
                return True
        return False

    async def covers(self, request: Request, unit: UUID) -> bool:
        """Whether who asks holds a post at that unit or above it, today."""
        return (await self.own.posts(request, unit=str(unit)))["unit"] is not None

    @asynccontextmanager
    async def swept(self) -> AsyncIterator[None]:
        """What nobody goes on with is removed from time to time, for as long as this is open."""
        task = asyncio.create_task(self._keep_sweeping())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep_sweeping(self) -> None:
        unfinished = timedelta(hours=self.settings.file_unfinished_hours)
        unnamed = timedelta(days=self.settings.file_unnamed_days)
        while True:
            try:
                if count := await self.ledger.sweep(unfinished, unnamed):
                    log.info("files_swept", count=count)
            except Exception:
                log.exception("files_not_swept")
            await asyncio.sleep(SWEEP_S)

    async def _check_size(self, asked: Announced, subject: str) -> None:
        settings = self.settings
        if asked.size_bytes > settings.file_bytes_max:
            raise Problem("file_too_large", kilobytes_max=settings.file_bytes_max // 1000)
        least = settings.file_piece_bytes
        sent = await self.ledger.sent_today(subject, asked.sha256, least)
        if sent + asked.size_bytes > settings.file_bytes_a_day:
            raise Problem("files_too_many", megabytes_max=settings.file_bytes_a_day // 1_000_000)

    async def _whole_or_missing(self, upload: Upload, subject: str) -> Response:
        if not upload.missing:
            await self.ledger.finish(upload, subject, self.settings.picture_bytes_max)
            return _progress(None)
        return _progress(upload)


def _progress(upload: Upload | None) -> Response:
    """What is still to be sent; nothing of a file that is stored."""
    told = {
        "stored": upload is None,
        "piece_bytes": upload.piece_bytes if upload else 0,
        "missing": upload.missing if upload else [],
    }
    return Response(msgspec.json.encode(told), 200, NO_STORE, "application/json")


def routes(files: Files, edge: Edge) -> list[Route]:
    """The endpoints with their paths; `edge` turns what they raise into problem answers."""
    one = "/portal/files/{sha256:sha256}"
    return [
        Route("/portal/files", edge(files.announce, "file_announce"), methods=["POST"]),
        Route(f"{one}/pieces/{{number:int}}", edge(files.piece, "file_piece"), methods=["PUT"]),
        Route(one, edge(files.show, "file"), methods=["GET"]),
    ]
