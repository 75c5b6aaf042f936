"""The tree and its proofs: the vectors of Certificate Transparency, and the RFC's own words."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence import tree, verify

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""Of the first 0 to 8 leaves: the test vectors of the Certificate Transparency project."""

SIZES = st.integers(1, 1_500)


def by_the_book(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, over leaf hashes, in its own words."""
    n = len(hashes)
    if n == 0:
        return hashlib.sha256(b"").digest()
    if n == 1:
        return hashes[0]
    k = 1
    while 2 * k < n:
        k *= 2
    return hashlib.sha256(b"\x01" + by_the_book(hashes[:k]) + by_the_book(hashes[k:])).digest()


def leaves_of(size: int) -> list[bytes]:
    return [verify.leaf_hash(str(n).encode()) for n in range(size)]


@pytest.fixture(scope="module")
def stored() -> dict[tree.TileId, bytes]:
    """The tiles of a tree of 70,000 leaves, appended in uneven batches."""
    return grown_by(leaves_of(70_000), [1, 254, 1, 1, 511, 3, 65_000, 4_000])


def grown_by(leaves: list[bytes], batches: list[int]) -> dict[tree.TileId, bytes]:
    tiles: dict[tree.TileId, bytes] = {}
    size = 0
    while size < len(leaves):
        count = batches.pop(0) if batches else len(leaves) - size
        last = {id_: tiles[id_] for id_ in tree.last_tiles(size) if id_ in tiles}
        tiles |= tree.grown(size, last, b"".join(leaves[size : size + count]))
        size += count
    return tiles


@pytest.mark.parametrize("size", range(9))
def test_known_roots(size: int) -> None:
    hashes = [verify.leaf_hash(leaf) for leaf in LEAVES[:size]]
    edge = verify.Edge()
    for one in hashes:
        edge.push(one)
    assert verify.root_of(hashes).hex() == edge.root().hex() == ROOTS[size]


@given(SIZES, st.lists(st.integers(1, 400), max_size=8))
def test_tiles_give_every_root_however_they_grew(size: int, batches: list[int]) -> None:
    leaves = leaves_of(size)
    tiles = grown_by(leaves, batches)
    assert tree.tiles_of([(0, size)]) <= tiles.keys()
    assert tree.hash_of(0, size, tiles) == verify.root_of(leaves) == by_the_book(leaves)


@given(SIZES, st.data())
def test_inclusion(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    number = data.draw(st.integers(0, size - 1))
    tiles, root = grown_by(leaves, []), by_the_book(leaves)
    proof = [tree.hash_of(*r, tiles) for r in verify.inclusion_ranges(number, 0, size)]
    assert verify.included(leaves[number], number, size, proof, root)
    other = data.draw(st.integers(0, size))
    if other != number:
        assert not verify.included(leaves[number], other, size, proof, root)
    assert not verify.included(bytes(32), number, size, proof, root)
    assert not verify.included(leaves[number], number, size, [*proof, root], root)
    for n in range(len(proof)):
        wrong = [*proof[:n], bytes(32), *proof[n + 1 :]]
        assert not verify.included(leaves[number], number, size, wrong, root)


@given(SIZES, st.data())
def test_consistency(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    first = data.draw(st.integers(1, size))
    tiles, old, new = grown_by(leaves, []), by_the_book(leaves[:first]), by_the_book(leaves)
    proof = [tree.hash_of(*r, tiles) for r in verify.consistency_ranges(first, 0, size)]
    assert verify.consistent(first, old, size, new, proof)
    forked = by_the_book([bytes(32), *leaves[1:first]])
    assert not verify.consistent(first, forked, size, new, proof)
    if first != size:
        assert not verify.consistent(first, old, size, old, proof)
        assert not verify.consistent(first, old, size, new, proof[1:])
    for n in range(len(proof)):
        wrong = [*proof[:n], bytes(32), *proof[n + 1 :]]
        assert not verify.consistent(first, old, size, new, wrong)


@given(SIZES, st.data())
def test_a_consistency_proof_covers_what_is_new(size: int, data: st.DataObject) -> None:
    """Its ranges behind the first tree lie end to end: what is altered there is found there."""
    first = data.draw(st.integers(1, size))
    ranges = verify.consistency_ranges(first, 0, size)
    assert all(high <= first or low >= first for low, high in ranges)
    new = sorted((low, high) for low, high in ranges if low >= first)
    assert [n for low, high in new for n in range(low, high)] == list(range(first, size))


def test_a_proof_reads_few_tiles(stored: dict[tree.TileId, bytes]) -> None:
    for number in (0, 255, 256, 40_000, 69_999):
        ranges = verify.inclusion_ranges(number, 0, 70_000)
        needed = tree.tiles_of(ranges)
        assert len(ranges) <= 17 and len(needed) <= 6
        few = {id_: stored[id_] for id_ in needed}
        root = tree.hash_of(0, 70_000, stored)
        proof = [tree.hash_of(*one, few) for one in ranges]
        assert verify.included(leaves_of(number + 1)[-1], number, 70_000, proof, root)


def test_a_tree_does_not_grow_on_what_is_missing() -> None:
    with pytest.raises(ValueError, match="tile 0/0 holds 0 bytes, not 96"):
        tree.grown(3, {}, bytes(32))


@given(
    st.lists(st.none() | st.text(max_size=4), max_size=3), st.binary(max_size=6),
    st.lists(st.none() | st.text(max_size=4), max_size=3), st.binary(max_size=6),
)  # fmt: skip
def test_no_two_events_have_one_encoding(
    texts: list[str | None], data: bytes, others: list[str | None], more: bytes
) -> None:
    same = (texts, data) == (others, more)
    assert (verify.encode(texts, data) == verify.encode(others, more)) is same or len(texts) != len(
        others
    )


def test_what_a_leaf_is() -> None:
    """Byte for byte, as docs/adr/0010 has it: whoever changes it can verify no log any more."""
    texts: list[str | None] = ["1.7.9", "2026-09-01", None, ""]
    assert verify.encode(texts, b"{}") == (
        b"\0\0\0\x0ehouqin event 1" b"\0\0\0\x051.7.9" b"\0\0\0\x0a2026-09-01"
        b"\xff\xff\xff\xff" b"\0\0\0\0" b"\0\0\0\x02{}"
    )  # fmt: skip
