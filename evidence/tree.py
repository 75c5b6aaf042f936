"""The tree as its owner keeps it: tiles of 256 hashes, of which any hash needs a few.

A tile (level, number) holds the roots of up to 256 neighbouring full subtrees of 256 ** level
leaves each (c2sp.org/tlog-tiles, height 8). Only the last tile of a level is not full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from evidence.verify import node_hash, root_of

HEIGHT = 8
WIDTH = 1 << HEIGHT
HASH = 32

type TileId = tuple[int, int]
"""Level and number of a tile."""

type Range = tuple[int, int]
"""Leaves [low, high)."""


def last_tiles(size: int) -> list[TileId]:
    """The tile of each level that the next leaf may change, in a tree of that size."""
    levels = range(max(1, -(-size.bit_length() // HEIGHT)) + 1)
    return [(level, size >> HEIGHT * level >> HEIGHT) for level in levels]


def grown(size: int, tiles: Mapping[TileId, bytes], leaves: bytes) -> dict[TileId, bytes]:
    """The tiles that change when leaf hashes join a tree of `size`. `tiles`: its last ones."""
    changed: dict[TileId, bytes] = {}
    level, added = 0, leaves
    while added:
        count = size >> HEIGHT * level
        number, within = divmod(count, WIDTH)
        kept = tiles.get((level, number), b"")[: within * HASH]
        if len(kept) != within * HASH:
            raise ValueError(f"tile {level}/{number} holds {len(kept)} bytes, not {within * HASH}")
        hashes = kept + added
        parts = [hashes[n : n + WIDTH * HASH] for n in range(0, len(hashes), WIDTH * HASH)]
        changed |= {(level, number + n): part for n, part in enumerate(parts)}
        added = b"".join(root_of(split(part)) for part in parts if len(part) == WIDTH * HASH)
        level += 1
    return changed


def split(tile: bytes) -> list[bytes]:
    """A tile's hashes."""
    return [tile[n : n + HASH] for n in range(0, len(tile), HASH)]


def tiles_of(ranges: Iterable[Range]) -> set[TileId]:
    """The tiles in which the hashes of these ranges are found."""
    return {_tile(*node)[0] for low, high in ranges for node in _full(low, high)}


def hash_of(low: int, high: int, tiles: Mapping[TileId, bytes]) -> bytes:
    """MTH(D[low:high]) of a range that is a subtree, or the ragged end of the tree; KeyError names
    a tile that is missing.
    """
    if low == high:
        return root_of([])
    *others, found = [_hash(*node, tiles) for node in _full(low, high)]
    for left in reversed(others):
        found = node_hash(left, found)
    return found


def _full(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The full subtrees (height, number) that a range consists of, the largest first."""
    for height in reversed(range((high - low).bit_length())):
        if (high - low) >> height & 1:
            yield height, low >> height
            low += 1 << height


def _tile(height: int, number: int) -> tuple[TileId, int, int]:
    """The tile that a full subtree lies in, and from which to which of its hashes."""
    level, within = divmod(height, HEIGHT)
    first = number << within
    return (level, first >> HEIGHT), first % WIDTH, first % WIDTH + (1 << within)


def _hash(height: int, number: int, tiles: Mapping[TileId, bytes]) -> bytes:
    id_, first, last = _tile(height, number)
    hashes = split(tiles[id_][first * HASH : last * HASH])
    if len(hashes) != last - first:
        raise KeyError(id_)
    return root_of(hashes)
