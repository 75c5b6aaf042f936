"""Files on their way in and out: in pieces, whole or not at all, seen by the unit's people alone,
and named by a command only if they are there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from deploy.local.token import demo_password
from services.portal.files.blobs import blobs_at
from services.portal.files.ledger import Ledger, erase
from services.portal.files.named import NAMES_MAX
from services.portal.sessions import Sessions
from tests.portal.pictures import EXIF, jpeg, png, segment, sha256
from tests.portal.place import (
    Place,
    at_provider_with,
    csrf,
    own_provider,
    place,
    sign_in,
)

pytestmark = pytest.mark.stack

PIECE, FILE_MAX, DAY_MAX = 1024, 20_000, 60_000
UNIT, ELSEWHERE = str(uuid4()), str(uuid4())
NOW, NEVER = timedelta(0), timedelta(days=1)


@pytest.fixture(scope="module")
async def portal(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("files")
    limits = {
        "file_piece_bytes": PIECE, "file_bytes_max": FILE_MAX, "picture_bytes_max": 10_000,
        "file_bytes_a_day": DAY_MAX,
    }  # fmt: skip
    async with own_provider(folder) as issuer, place(postgres, folder, issuer, **limits) as made:
        made.behind.closed = {ELSEWHERE}
        yield made


@pytest.fixture
async def browser(portal: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with portal.browser() as made:
        yield await signed_in(made, "principal")


async def signed_in(browser: httpx.AsyncClient, person: str) -> httpx.AsyncClient:
    await sign_in(browser, at_provider_with(person, demo_password(person)))
    browser.headers.update(await csrf(browser))
    return browser


def picture(bytes_min: int = 2500) -> bytes:
    """A picture of three pieces that nobody has seen before."""
    return png(pixels=uuid4().bytes + bytes(bytes_min))


async def announce(
    browser: httpx.AsyncClient, content: bytes, unit: str = UNIT, **changes: Any
) -> httpx.Response:
    told = {"sha256": sha256(content), "size_bytes": len(content), "unit": unit, **changes}
    return await browser.post("/portal/files", json=told)


async def piece(browser: httpx.AsyncClient, content: bytes, number: int, name: str = "") -> Any:
    part = content[number * PIECE : (number + 1) * PIECE]
    return await browser.put(
        f"/portal/files/{name or sha256(content)}/pieces/{number}", content=part
    )


async def send(browser: httpx.AsyncClient, content: bytes, unit: str = UNIT) -> httpx.Response:
    """The whole way in; the last answer."""
    answer = await announce(browser, content, unit)
    for number in answer.json().get("missing", []):
        answer = await piece(browser, content, number)
    return answer


async def get(browser: httpx.AsyncClient, content: bytes) -> httpx.Response:
    return await browser.get(f"/portal/files/{sha256(content)}")


async def repair(browser: httpx.AsyncClient, *photos: str) -> httpx.Response:
    """A command whose contract has photos."""
    headers = {"Idempotency-Key": uuid4().hex}
    return await browser.post("/api/assets/repairs", json={"photos": photos}, headers=headers)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*")]


def refused(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json().get("slug")) == (status, slug), answer.text
    return dict(answer.json())


async def test_a_file_comes_in_pieces_and_goes_on_where_it_broke_off(
    browser: httpx.AsyncClient,
) -> None:
    content = picture()
    begun = (await announce(browser, content)).json()
    assert begun == {"stored": False, "piece_bytes": PIECE, "missing": [0, 1, 2]}
    assert (await piece(browser, content, 0)).json()["missing"] == [1, 2]
    assert (await announce(browser, content)).json()["missing"] == [1, 2]
    assert (await piece(browser, content, 2)).json()["missing"] == [1]
    refused(await get(browser, content), 404, "file_unknown")
    assert (await piece(browser, content, 1)).json()["stored"]
    shown = await get(browser, content)
    assert (shown.content, shown.headers["content-type"]) == (content, "image/png")
    assert (await announce(browser, content)).json()["stored"]


async def test_a_file_is_shown_as_nothing_that_could_act(browser: httpx.AsyncClient) -> None:
    photo, paper = picture(), b"%PDF-1.7\n" + uuid4().bytes
    for content in (photo, paper):
        assert (await send(browser, content)).json()["stored"]
    shown, papers = await get(browser, photo), await get(browser, paper)
    assert shown.headers["content-disposition"].startswith("inline")
    assert papers.headers["content-disposition"].startswith("attachment")
    for answer in (shown, papers):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "private, no-cache"
        again = {"If-None-Match": answer.headers["etag"]}
        assert (await browser.get(answer.url.path, headers=again)).status_code == 304


async def test_what_is_not_what_it_was_said_to_be_is_not_kept(browser: httpx.AsyncClient) -> None:
    content, other = picture(), sha256(picture())
    await announce(browser, content, sha256=other)
    for number in (0, 1):
        await piece(browser, content, number, other)
    refused(await piece(browser, content, 2, other), 422, "file_hash_wrong")
    refused(await piece(browser, content, 0, other), 404, "upload_unknown")
    refused(await send(browser, b"<script>alert(1)</script>"), 422, "file_kind_unknown")
    located = jpeg(segment(0xE1, EXIF + uuid4().bytes))
    refused(await send(browser, located), 422, "picture_tells_more")
    refused(await get(browser, located), 404, "file_unknown")
    await announce(browser, content)
    short = await browser.put(f"/portal/files/{sha256(content)}/pieces/0", content=b"too short")
    refused(short, 400, "piece_unfit")
    refused(await piece(browser, content, 3), 400, "piece_unfit")
    refused(await announce(browser, content, size_bytes="many"), 400, "upload_malformed")


async def test_size_has_limits_per_file_and_per_person(portal: Place) -> None:
    async with portal.browser() as browser:
        await signed_in(browser, "storekeeper")
        refused(await announce(browser, picture(), size_bytes=FILE_MAX + 1), 413, "file_too_large")
        refused(await send(browser, picture(10_001)), 413, "file_too_large")
        for _ in range(DAY_MAX // FILE_MAX - 1):
            assert (await announce(browser, picture(), size_bytes=FILE_MAX)).status_code == 200
        # What was refused counts as well: nobody can have it looked at for ever.
        more = await announce(browser, picture(), size_bytes=FILE_MAX)
        refused(more, 429, "files_too_many")


async def test_only_the_people_of_its_unit_see_a_file(
    portal: Place, browser: httpx.AsyncClient
) -> None:
    content = picture()
    refused(await announce(browser, content, ELSEWHERE), 403, "no_post")
    await send(browser, content)
    portal.behind.closed = {UNIT, ELSEWHERE}
    refused(await get(browser, content), 404, "file_unknown")
    portal.behind.closed = {ELSEWHERE}
    assert (await get(browser, content)).status_code == 200
    browser.headers.pop("Houqin-Csrf")
    refused(await announce(browser, content), 403, "csrf_refused")
    async with portal.browser() as nobody:
        refused(await get(nobody, content), 401, "signed_out")
        refused(await announce(nobody, content), 401, "signed_out")


async def test_to_know_a_name_is_not_to_have_the_file(
    portal: Place, browser: httpx.AsyncClient
) -> None:
    content, third = picture(), str(uuid4())
    await send(browser, content)
    portal.behind.closed = {UNIT}
    async with portal.browser() as other:
        await signed_in(other, "buyer")
        assert len((await announce(other, content, third)).json()["missing"]) == 3
        refused(await repair(other, sha256(content)), 422, "file_not_stored")
        await send(other, content, third)
        assert (await get(other, content)).content == content
    portal.behind.closed = {ELSEWHERE}


async def test_a_command_is_passed_on_when_its_files_are_there(
    portal: Place, browser: httpx.AsyncClient
) -> None:
    content, paper, unknown = picture(), b"%PDF-1.7\n" + uuid4().bytes, sha256(b"never sent")
    await send(browser, content)
    await send(browser, paper)
    reached = len(portal.behind.asked)
    told = refused(await repair(browser, sha256(content), unknown), 422, "file_not_stored")
    assert [error["field"] for error in told["errors"]] == ["photos.1"]
    refused(await repair(browser, sha256(paper)), 422, "file_unfit")
    assert len(portal.behind.asked) == reached
    escaped = json.dumps({"photos": [unknown]}).replace(unknown[0], f"\\u{ord(unknown[0]):04x}", 1)
    for answer in (
        await browser.post("/api/assets/repairs", content=escaped),
        await repair(browser, *(f"{n:064x}" for n in range(NAMES_MAX + 1))),
    ):
        assert answer.status_code == 422, answer.text
    stranger = {"Authorization": "Bearer no.such.token", "Cookie": ""}
    refused(
        await browser.post("/api/assets/repairs", content=escaped, headers=stranger),
        401, "unauthenticated",
    )  # fmt: skip
    assert len(portal.behind.asked) == reached
    assert (await repair(browser, sha256(content))).is_success
    assert len(portal.behind.asked) == reached + 1


async def test_what_no_command_names_goes_and_what_is_erased_stays_away(
    portal: Place, browser: httpx.AsyncClient
) -> None:
    named, unnamed, begun = picture(), picture(), picture()
    for content in (named, unnamed):
        await send(browser, content)
    assert (await repair(browser, sha256(named))).is_success
    await announce(browser, begun)
    await piece(browser, begun, 0)
    sessions = Sessions(portal.settings)
    async with sessions.stored():
        ledger = Ledger(sessions, blobs_at(portal.settings.file_place))
        await ledger.sweep(NEVER, NEVER)
        assert (await get(browser, unnamed)).status_code == 200
        await ledger.sweep(NOW, NOW)
    assert (await get(browser, named)).content == named
    refused(await get(browser, unnamed), 404, "file_unknown")
    refused(await piece(browser, begun, 1), 404, "upload_unknown")
    assert await erase(portal.settings, sha256(named), "by law")
    assert not await erase(portal.settings, sha256(named), "by law")
    refused(await get(browser, named), 410, "file_erased")
    refused(await announce(browser, named), 410, "file_erased")
    refused(await repair(browser, sha256(named)), 422, "file_not_stored")
    gone = {sha256(one) for one in (named, unnamed)}
    assert not gone & set(names_in(Path(portal.settings.file_place)))
