"""What may be stored is seen by its bytes; and which files a command names."""

from __future__ import annotations

import json

import pytest

from services.portal.files.content import JPEG, PDF, PNG, media_type
from services.portal.files.named import Named, Naming
from services.portal.shelf import Shelf
from shared.problems import Problem
from tests.portal.pictures import EXIF, chunk, jpeg, png, segment
from tests.services import SERVICES

A, B = "a" * 64, "b" * 64
BYTES_MAX = 2_000_000


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (jpeg(), JPEG),
        (jpeg(segment(0xE2, b"ICC_PROFILE\0")), JPEG),
        (jpeg(scan=b"\xff\xd0\x01\xff\x00" + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")), JPEG),
        (jpeg(scan=b"\xff" * 1_900_000 + b"\x00"), JPEG),
        (png(), PNG),
        (png(chunk(b"pHYs", bytes(9))), PNG),
        (b"%PDF-1.7\n%%EOF", PDF),
    ],
    ids=["jpeg", "with colours", "progressive", "filled", "png", "png with its size", "pdf"],
)
def test_pictures_and_documents_are_known_by_their_bytes(content: bytes, kind: str) -> None:
    assert media_type(content, BYTES_MAX) == kind


@pytest.mark.parametrize(
    ("content", "slug"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "file_kind_unknown"),
        (b"GIF89a" + bytes(20), "file_kind_unknown"),
        (b"\xff\xd8\xff\xe0", "file_kind_unknown"),
        (jpeg()[:-2], "file_kind_unknown"),
        (png()[:-6], "file_kind_unknown"),
        (jpeg(segment(0xE1, EXIF)), "picture_tells_more"),
        (jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")), "picture_tells_more"),
        (jpeg(segment(0xED, b"Photoshop 3.0\0")), "picture_tells_more"),
        (jpeg(segment(0xFE, b"a comment")), "picture_tells_more"),
        (jpeg(end=jpeg(segment(0xE1, EXIF))), "picture_tells_more"),
        (jpeg(scan=b"\x01" + segment(0xE1, EXIF)), "picture_tells_more"),
        (png(chunk(b"eXIf", EXIF)), "picture_tells_more"),
        (png(chunk(b"iTXt", b"XML:com.adobe.xmp\0")), "picture_tells_more"),
        (png() + b"a film", "picture_tells_more"),
        (jpeg(width=65_000, height=65_000), "picture_too_large"),
        (png(width=100_000, height=100_000), "picture_too_large"),
        (jpeg(scan=bytes(BYTES_MAX)), "file_too_large"),
        (jpeg(scan=b"\xff" * 1_900_000 + b"\xe1"), "picture_tells_more"),
    ],
)
def test_what_is_no_plain_picture_is_refused(content: bytes, slug: str) -> None:
    with pytest.raises(Problem) as refused:
        media_type(content, BYTES_MAX)
    assert refused.value.slug == slug


@pytest.mark.parametrize("whole", [jpeg(), png()], ids=["jpeg", "png"])
def test_a_picture_cut_anywhere_is_none(whole: bytes) -> None:
    for length in range(len(whole)):
        with pytest.raises(Problem):
            media_type(whole[:length], BYTES_MAX)


@pytest.fixture(scope="module")
def naming() -> Naming:
    shelf = Shelf([service.name for service in SERVICES])
    return Naming(shelf.whole("zh")["commands"].values())


def named(naming: Naming, path: str, body: object) -> list[Named]:
    return naming.named(path, json.dumps(body).encode())


def test_a_command_names_its_files_where_its_contract_says(naming: Naming) -> None:
    report = {"place": A, "photos": [A, B], "description": "…"}
    found = [Named("photos.0", "photo", A), Named("photos.1", "photo", B)]
    assert named(naming, "/api/safety/hazards", report) == found
    signed = named(naming, "/api/safety/inspections/1/acknowledge", {"signature": A})
    assert signed == [Named("signature", "signature", A)]
    assert named(naming, "/api/safety/hazards/1/dismiss", report) == []
    assert naming.named("/api/safety/hazards", f'{{"photos": ["{A}"'.encode()) == []


def test_a_batch_names_the_files_of_its_commands(naming: Naming) -> None:
    steps = [
        {"key": "1", "command": "DismissHazard", "body": {"reason": A}},
        {"key": "2", "command": "ReportHazard", "body": {"photos": [B]}},
        {"key": "3", "command": "ReportHazard", "body": {"photos": "none"}},
        "nothing",
    ]
    found = named(naming, "/api/safety/batch", {"commands": steps})
    assert found == [Named("commands.1.photos.0", "photo", B)]
