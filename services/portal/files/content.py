"""What is in a file, by its bytes and not by what anybody claims: a JPEG, a PNG, or a PDF.

A picture is stored if it holds nothing but the picture. What cameras write beside it (where it was
taken, whose device, a comment, a film) would be passed on to everybody who may see it; it cannot be
taken out here, since the name of a file is the hash of its bytes.
"""

from __future__ import annotations

import re
import struct

from shared.problems import Problem

JPEG, PNG, PDF = "image/jpeg", "image/png", "application/pdf"
PIXELS_MAX = 40_000_000
"""More would fill the memory of the phone on which it is looked at."""

SUFFIX = {JPEG: "jpg", PNG: "png", PDF: "pdf"}

_JPEG_HEAD = b"\xff\xd8\xff"
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_PNG_PLAIN = {
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT",
    b"bKGD", b"pHYs",
}  # fmt: skip
"""Chunks of a PNG that say how it looks, and nothing else."""

_SCAN = 0xDA
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_PLAIN = {*_FRAMES, _SCAN, 0xC4, 0xCC, 0xDB, 0xDD, 0xE0, 0xE2, 0xEE}
"""Segments of a JPEG that say how it looks: frame, tables, JFIF, colours (APP2, APP14), scan."""

_BETWEEN = {0xC4, 0xDB, 0xDD, _SCAN}
"""Segments that may follow a scan: tables, and the next scan."""

_MARK = re.compile(rb"\xff(?![\x00\xd0-\xd7\xff])")
"""Where something else than the picture's own data begins. One search, not a look at each FF: a
picture may be made of nothing else.
"""


def media_type(content: bytes, picture_bytes_max: int) -> str:
    """What may be stored, by its media type; raises the problems `file_kind_unknown`,
    `picture_tells_more`, `picture_too_large`, and `file_too_large` for a picture of more bytes.
    """
    picture = content.startswith((_JPEG_HEAD, _PNG_HEAD))
    if picture and len(content) > picture_bytes_max:
        raise Problem("file_too_large", kilobytes_max=picture_bytes_max // 1000)
    try:
        if content.startswith(_JPEG_HEAD):
            return _jpeg(content)
        if content.startswith(_PNG_HEAD):
            return _png(content)
    except (IndexError, ValueError, struct.error) as error:
        raise Problem("file_kind_unknown") from error
    if content.startswith(b"%PDF-"):
        return PDF
    raise Problem("file_kind_unknown")


def _jpeg(content: bytes) -> str:
    at, marker = 2, 0
    while marker != _SCAN:
        if content[at] != 0xFF:
            raise Problem("file_kind_unknown")
        marker, (length,) = content[at + 1], struct.unpack_from(">H", content, at + 2)
        if marker not in _JPEG_PLAIN:
            raise Problem("picture_tells_more")
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            _check_size(width, height)
        at += 2 + length
    _check_scans(content, at)
    return JPEG


def _check_scans(content: bytes, at: int) -> None:
    """Between here and the end lie only scans of the one picture, and tables for them."""
    while found := _MARK.search(content, at):
        at = found.start()
        if at >= len(content) - 2:
            break
        if content[at + 1] not in _BETWEEN:
            raise Problem("picture_tells_more")
        at += 2 + struct.unpack_from(">H", content, at + 2)[0]
    if content[at:] != b"\xff\xd9":
        raise Problem("file_kind_unknown")


def _png(content: bytes) -> str:
    at, name = len(_PNG_HEAD), b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", content, at)
        if name == b"IHDR":
            _check_size(*struct.unpack_from(">II", content, at + 8))
        if name not in _PNG_PLAIN:
            raise Problem("picture_tells_more")
        at += 12 + length
    if at != len(content):
        raise Problem("picture_tells_more" if at < len(content) else "file_kind_unknown")
    return PNG


def _check_size(width: int, height: int) -> None:
    if not 0 < width * height <= PIXELS_MAX:
        raise Problem("picture_too_large", megapixels_max=PIXELS_MAX // 1_000_000)
