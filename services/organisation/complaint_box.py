"""Where whoever has no account files a complaint, and follows it by its receipt (投诉信箱).

The receipt is a secret that the form was made with; the complaint's id follows from it and nothing
leads back. So filing the same form again files nothing, and nobody needs a list of receipts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from hosting.allowance import Allowance, Allowances
from hosting.disclosure import school_of
from services.organisation.complaint import FileComplaint, complaint_list, complaints
from shared import asked, personal, views
from shared.decide import SYSTEM, Step
from shared.decide import Request as Asked
from shared.http import parse
from shared.problems import Problem, answering, invalid
from shared.runtime import Runtime

RECEIPT = re.compile(r"[0-9A-HJKMNP-TV-Z]{16}")
"""80 bits, in letters that nobody mixes up with others (Crockford's base 32)."""

ALIKE = str.maketrans("OIL", "011", " -")
BYTES_MAX = 16 * 1024
SHOWN = ("topic", "kind", "status", "filed_on", "due_on", "answered_on", "answer")
"""What whoever has the receipt reads."""


class Filed(msgspec.Struct):
    """What is filed beside the complaint itself: where, and under which receipt."""

    unit: str = ""
    receipt: str = ""


class Followed(msgspec.Struct):
    receipt: str = ""


class Box:
    """The complaint box of every school."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.schools = Allowances(rt.settings.complaints_per_school_h, "too_many_complaints")
        # Apart from each other: whoever asks for receipts without end keeps nobody from filing.
        self.filing = Allowance(rt.settings.public_reads_per_s, "too_many_readers")
        self.following = Allowance(rt.settings.public_reads_per_s, "too_many_readers")
        self.view = next(view for view in complaints.views if view.function is complaint_list)

    async def file(self, request: Request) -> Response:
        """`POST /organisation/public/complaints`: the day by which it is answered."""
        self.filing.take(time.monotonic())
        content = await asked.body_of(request, BYTES_MAX)
        filed = _read(content, Filed)
        school, id_ = school_of(self.rt, filed.unit), complaints.id_of(_receipt(filed.receipt))
        body = msgspec.json.decode(content) | {"organisation": school.id, "id": id_}
        for name in Filed.__struct_fields__:
            body.pop(name, None)
        decision = complaints.decisions[FileComplaint]
        try:
            command = parse(decision, msgspec.json.encode(body))
        except ValidationError as error:
            raise invalid(error, self.rt.words) from error
        self.schools.take(str(school.id), time.monotonic())
        await self.rt.writer.ask(Asked([Step(decision, id_, command)], SYSTEM))
        return await self._shown(filed.receipt, 201)

    async def follow(self, request: Request) -> Response:
        """`POST /organisation/public/complaints/status`: how far it has come; asked for in a body,
        since addresses are kept in more places than bodies are.
        """
        self.following.take(time.monotonic())
        content = await asked.body_of(request, BYTES_MAX)
        return await self._shown(_read(content, Followed).receipt, 200)

    async def _shown(self, receipt: str, status: int) -> Response:
        id_ = complaints.id_of(_receipt(receipt))
        async with views.reading(self.rt.pool, "*") as connection:
            rows, _ = await views.rows_of(connection, self.view, id_)
        if not rows:
            raise Problem("not_found", field="receipt")
        await personal.reveal(self.rt.vault, self.view.row, rows)
        shown = {name: rows[0][name] for name in SHOWN}
        headers = {"Cache-Control": "no-store"}
        return Response(msgspec.json.encode(shown), status, headers, "application/json")


def router(rt: Runtime) -> APIRouter:
    """The two routes, for everybody."""
    made, box = APIRouter(prefix=f"/{rt.service.name}", tags=["public"]), Box(rt)
    slugs = (
        "body_not_json", "body_too_large", "not_found", "invalid", "complaint_exists",
        "too_many_readers", "too_many_complaints", "outcome_unknown",
    )  # fmt: skip
    text = {"type": "string"}
    filed = dict.fromkeys(("unit", "receipt", "kind", "topic", "text", "contact"), text)
    routes: list[tuple[str, str, str, Callable[[Request], Awaitable[Response]], Any]] = [
        ("", "file_publicly", "投诉与建议 / File a complaint", box.file, filed),
        ("/status", "follow", "凭回执查询 / Follow it", box.follow, {"receipt": text}),
    ]
    for path, name, summary, endpoint, fields in routes:
        schema = {"type": "object", "properties": fields}
        made.add_api_route(
            f"/public/complaints{path}",
            answering(rt.service.name, rt.words, endpoint, name),
            methods=["POST"], name=name, operation_id=name, summary=summary,
            responses={"default": {"x-refusals": slugs}},
            openapi_extra={
                "security": [],
                "requestBody": {"content": {"application/json": {"schema": schema}}},
            },
        )  # fmt: skip
    return made


def _read[T](content: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=type_)
    except msgspec.MsgspecError as error:
        raise Problem("body_not_json") from error


def _receipt(text: str) -> str:
    """A receipt as people copy it; raises `not_found` for what can be none."""
    plain = text.upper().translate(ALIKE)
    if not RECEIPT.fullmatch(plain):
        raise Problem("not_found", field="receipt")
    return plain
