"""Small pictures as bytes, with and without what cameras write beside them."""

from __future__ import annotations

import hashlib
import struct
import zlib

JFIF = b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\0"


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(
    *more: bytes,
    width: int = 8,
    height: int = 8,
    scan: bytes = b"\x12\xff\x00\x34",
    end: bytes = b"",
) -> bytes:
    """A JPEG with these segments besides its own, and `end` behind it."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    own = segment(0xE0, JFIF) + segment(0xDB, b"\0" + bytes(64)) + segment(0xC0, frame)
    scans = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + scan
    return b"\xff\xd8" + b"".join(more) + own + scans + b"\xff\xd9" + end


def png(*more: bytes, width: int = 1, height: int = 1, pixels: bytes = b"\0\0\0\0") -> bytes:
    """A PNG with these chunks besides its own; other `pixels` make it another file."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + b"".join(more) + chunk(b"IDAT", zlib.compress(pixels, 0))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(
        ">I", zlib.crc32(name + content)
    )  # fmt: skip


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
