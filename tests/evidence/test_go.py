"""Go's transparency log, which runs the checksum database of Go modules, agrees with ours."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from evidence import tree, verify
from evidence.note import Signer

FOLDER = Path(__file__).parent / "go"
SIZE = 700

pytestmark = pytest.mark.stack  # it compiles


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("NOT CHECKED against Go's sumdb: there is no `go` on this machine")
    made = tmp_path_factory.mktemp("go") / "check"
    done = subprocess.run(
        [go, "build", "-mod=readonly", "-o", made, "."],
        cwd=FOLDER, capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"NOT CHECKED against Go's sumdb: it does not build here: {done.stderr[-500:]}")
    return made


def texts(hashes: list[bytes]) -> list[str]:
    return [b64encode(one).decode() for one in hashes]


def asked() -> dict[str, Any]:
    """A tree of ours: its leaves, checkpoints at many sizes, and proofs between them."""
    dice = random.Random(6962)
    signer = Signer.made("example.cn/procurement")
    leaves = [verify.encode([str(n), None, "中文"], dice.randbytes(n % 90)) for n in range(SIZE)]
    edge, tiles, roots = verify.Edge(), dict[tree.TileId, bytes](), list[bytes]()
    for number, leaf in enumerate(leaves):
        hash_ = verify.leaf_hash(leaf)
        last = {id_: tiles[id_] for id_ in tree.last_tiles(number) if id_ in tiles}
        tiles |= tree.grown(number, last, hash_)
        edge.push(hash_)
        roots.append(edge.root())
    inclusion: list[Any] = []
    consistency: list[Any] = []
    for size in [*range(1, 40), 255, 256, 257, 511, 512, 513, SIZE]:
        number, first = dice.randrange(size), dice.randint(1, size)
        for ranges, made, into in (
            (verify.inclusion_ranges(number, 0, size), {"Number": number, "Size": size}, inclusion),
            (verify.consistency_ranges(first, 0, size), {"First": first, "Second": size},
             consistency),
        ):  # fmt: skip
            into.append(made | {"Hashes": texts([tree.hash_of(*r, tiles) for r in ranges])})
    notes = [signer.sign(size, roots[size - 1]) for size in (1, 2, 256, 300, SIZE)]
    return {
        "Key": signer.public(), "Notes": notes, "Leaves": texts(leaves),
        "Inclusion": inclusion, "Consistency": consistency,
    }  # fmt: skip


def said(program: Path, question: dict[str, Any]) -> str:
    done = subprocess.run(
        [program], input=json.dumps(question), capture_output=True, text=True, check=False
    )
    return done.stdout


def test_go_agrees(program: Path) -> None:
    assert said(program, asked()) == "ok"


@pytest.mark.parametrize("part", ["Inclusion", "Consistency", "Notes"])
def test_go_would_say_so(program: Path, part: str) -> None:
    question = asked()
    if part == "Notes":
        question["Notes"][2] = question["Notes"][2].replace("\n256\n", "\n257\n")
    else:
        question[part][-1]["Hashes"][0] = b64encode(bytes(32)).decode()
    assert said(program, question) not in {"ok", ""}
