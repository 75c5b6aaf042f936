"""The tree over a real log in a real database: how it grows, what is signed, what it finds."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from evidence import verify
from evidence.note import Signer
from evidence.verify import Audit
from hosting import proof_store
from hosting.export_log import export
from hosting.proof_check import ProofCheck
from hosting.proofs import Broken, Proofs
from tests.conftest import ROOT
from tests.evidence.attacks import ATTACKS, rewritten
from tests.shared.wire import insert, new_event, until

pytestmark = pytest.mark.stack

type Pool = asyncpg.Pool[asyncpg.Record]

NAME = "example.cn/procurement"
SERVICE = "procurement"


async def write(pool: Pool, count: int) -> None:
    """So many events, each of a stream of its own, in transactions of up to 40."""
    async with pool.acquire() as connection:
        for first in range(0, count, 40):
            some = range(first, min(count, first + 40))
            await insert(connection, [new_event(uuid4(), 1, uuid4(), what=n) for n in some])


async def grow(pool: Pool, signer: Signer | None) -> Proofs:
    """Takes all that is in the log into the tree, and signs it."""
    proofs = Proofs(SERVICE, pool, signer)
    async with pool.acquire() as connection:
        epoch = await proofs.begin(connection)
        while await proof_store.append(connection, proofs.tree, epoch, 100):
            pass
        if signer is not None:
            await proofs.sign(connection, signer)
    return proofs


async def exported(connection: Any, folder: Path, name: str = "log") -> Path:
    path = folder / f"{name}.jsonl"
    await export(connection, path)
    return path


def audited(path: Path, *witnesses: str, older: Path | None = None, keys: Any = None) -> Audit:
    header, *lines = verify.lines_of(str(path))
    earlier = verify.older_leaves(str(older)) if older else ()
    audit = Audit(keys or header["keys"], witnesses, earlier, header["keys"])
    for line in lines:
        audit.line(line)
    audit.end()
    return audit


def run_verifier(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The one file, copied to where nothing else of the platform is."""
    alone = folder / "elsewhere"
    alone.mkdir(exist_ok=True)
    shutil.copy(ROOT / "evidence" / "verify.py", alone)
    return subprocess.run(
        [sys.executable, "-I", "verify.py", *map(str, arguments)],
        cwd=alone, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.made(NAME)


@pytest.fixture
async def log(pool: Pool, signer: Signer) -> Pool:
    """300 events and more, signed at uneven sizes."""
    for count in (1, 6, 90, 3, 160, 45):
        await write(pool, count)
        await grow(pool, signer)
    await write(pool, 5)
    await grow(pool, None)  # not signed yet
    return pool


async def notes_of(pool: Pool) -> list[str]:
    return [row[0] for row in await pool.fetch("select note from log_checkpoint order by size")]


async def test_the_untouched_log_verifies_from_every_older_checkpoint(
    log: Pool, signer: Signer, tmp_path: Path
) -> None:
    async with log.acquire() as connection:
        path = await exported(connection, tmp_path)
    notes = await notes_of(log)
    assert path.stat().st_mode & 0o077 == 0
    audit = audited(path, *notes)
    assert audit.findings == []
    assert (audit.count, audit.signed and audit.signed.size, len(notes)) == (310, 305, 6)
    kept = tmp_path / "kept.txt"
    kept.write_text(notes[2])
    done = run_verifier(tmp_path, path, "--key", signer.public(), "--witness", kept, "--keep", kept)
    assert (done.returncode, done.stderr) == (0, "")
    assert "✓ 没有发现改动" in done.stdout and "5 条尚未签名" in done.stdout
    assert kept.read_text() == notes[-1]
    assert "公钥来自日志本身" not in done.stdout


@pytest.mark.parametrize("name", ATTACKS)
async def test_each_attack_is_found_and_located(log: Pool, tmp_path: Path, name: str) -> None:
    dice = random.Random(f"{name}.1")
    for n in range(6):
        async with log.acquire() as connection:
            attempt = connection.transaction(isolation="repeatable_read")
            await attempt.start()
            attack = await ATTACKS[name](connection, dice, 305)
            path = await exported(connection, tmp_path, f"{name}.{n}")
            await attempt.rollback()
        assert attack.missed(audited(path).findings) == ""


async def test_what_was_changed_before_does_not_hide_what_was_changed_later(
    log: Pool, tmp_path: Path
) -> None:
    dice = random.Random(2)
    async with log.acquire() as connection:
        first = await ATTACKS["rewrite"](connection, dice, 97)
        await connection.execute("update event set actor = 'x' where seq = 200")
        path = await exported(connection, tmp_path)
    found = audited(path).findings
    assert {(one.kind, one.first, one.last) for one in found} == {
        ("rewritten", min(first.leaves), max(first.leaves)), ("altered", 199, 199),
    }  # fmt: skip


async def test_an_older_export_names_what_was_rewritten_with_its_hash(
    log: Pool, tmp_path: Path
) -> None:
    async with log.acquire() as connection:
        older = await exported(connection, tmp_path, "older")
        stream = await connection.fetchval("select stream from event where seq = 100")
        await rewritten(connection, random.Random(4), 99)
        path = await exported(connection, tmp_path)
    done = run_verifier(tmp_path, path, "--older", older, "--json")
    found = {one["kind"]: one for one in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1 and found.keys() == {"rewritten", "older"}
    assert (found["older"]["first"], found["older"]["stream"]) == (99, str(stream))


async def test_a_log_that_was_made_anew_is_not_the_one_that_the_witness_saw(
    log: Pool, signer: Signer, tmp_path: Path
) -> None:
    """Even with the signing key."""
    notes = await notes_of(log)
    async with log.acquire() as connection:
        await connection.execute("update event set actor = 'x' where seq = 8")
        await connection.execute(
            "truncate log_leaf, log_tile, log_checkpoint;"
            "update log_tree set size = 0, epoch = 0, tx = '0', seq = 0"
        )
    await grow(log, signer)
    async with log.acquire() as connection:
        path = await exported(connection, tmp_path)
    assert audited(path).findings == [], "it agrees with itself"
    assert audited(path, notes[1]).findings == [], "of 7 leaves nothing has changed"
    kinds = {(one.kind, one.last) for one in audited(path, notes[2], notes[3]).findings}
    assert kinds == {("witness", 96), ("witness", 99)}


async def test_a_log_that_was_set_back_is_shorter_than_what_the_witness_saw(
    log: Pool, tmp_path: Path
) -> None:
    """Every trace of its end is gone, also the checkpoints."""
    *_, kept, _, newest = await notes_of(log)
    async with log.acquire() as connection:
        await ATTACKS["truncate with leaves"](connection, random.Random(3), 270)
        await connection.execute("delete from log_checkpoint where size > 220")
        path = await exported(connection, tmp_path)
    assert audited(path, kept).findings == []
    (found,) = audited(path, newest).findings
    assert (found.kind, found.last) == ("rolled back", 304)


async def test_no_leaf_before_an_event_that_commits_later(pool: Pool, signer: Signer) -> None:
    async with pool.acquire() as older:
        begun = older.transaction()
        await begun.start()
        await insert(older, [new_event(uuid4(), 1, uuid4())])
        await write(pool, 3)
        assert (await grow(pool, signer)).tree.size == 0
        await begun.commit()
    assert (await grow(pool, signer)).tree.size == 4


async def test_two_leaders_and_many_writers(pool: Pool, signer: Signer, tmp_path: Path) -> None:
    """Whoever leads: each event one leaf, in log order."""
    some = [Proofs(SERVICE, pool, signer, batch=7, idle_s=0.01, sign_s=0.05) for _ in range(2)]
    for one in some:
        await one.start()
    await asyncio.gather(*(write(pool, 60) for _ in range(5)))
    await until(lambda: any(one.tree.size == 300 for one in some))
    for one in some:
        await one.stop()
    await grow(pool, signer)
    async with pool.acquire() as connection:
        order = await connection.fetch("select tx, seq from event order by tx, seq")
        leaves = await connection.fetch("select tx, seq from log_leaf order by number")
        path = await exported(connection, tmp_path)
    assert order == leaves
    assert audited(path).findings == []


async def test_a_leader_that_was_overtaken_writes_nothing(pool: Pool, signer: Signer) -> None:
    await write(pool, 4)
    slow = (await grow(pool, signer)).tree
    await write(pool, 4)
    await grow(pool, signer)
    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.PostgresError):
            await proof_store.append(connection, slow, 1, 100)
    assert await pool.fetchval("select count(*) from log_leaf") == 8


async def test_without_a_key_the_tree_grows_and_proves_nothing(
    pool: Pool, signer: Signer, tmp_path: Path
) -> None:
    await write(pool, 9)
    await grow(pool, None)
    async with pool.acquire() as connection:
        path = await exported(connection, tmp_path, "unsigned")
    done = run_verifier(tmp_path, path)
    assert done.returncode == 2 and "nothing is signed" in done.stderr
    await grow(pool, signer)
    async with pool.acquire() as connection:
        path = await exported(connection, tmp_path, "signed")
    assert audited(path).signed == verify.open_note((await notes_of(pool))[0], [signer.public()])


async def test_what_old_keys_signed_stays_verifiable(
    log: Pool, signer: Signer, tmp_path: Path
) -> None:
    fresh = Signer.made(NAME)
    await grow(log, fresh)
    async with log.acquire() as connection:
        path = await exported(connection, tmp_path)
        assert await proof_store.keys_of(connection) == [signer.public(), fresh.public()]
    for keys in (None, [signer.public(), fresh.public()], [fresh.public()]):
        audit = audited(path, keys=keys)
        assert audit.findings == [] and audit.signed is not None and audit.signed.size == 310
    old = audited(path, keys=[signer.public()])
    assert old.findings == [] and old.signed is not None and old.signed.size == 305


async def test_another_name_signs_nothing(log: Pool) -> None:
    with pytest.raises(Broken, match="the key is of elsewhere"):
        await grow(log, Signer.made("elsewhere"))


@pytest.mark.parametrize(
    "damage",
    [
        "update log_leaf set hash = sha256(hash) where number = 300",
        "update log_tile set hashes = sha256(hashes) where level = 1",
        "delete from log_tile",
        "update log_checkpoint set note = replace(note, E'\\n305\\n', E'\\n304\\n')",
    ],
)
async def test_a_damaged_tree_is_not_signed(log: Pool, signer: Signer, damage: str) -> None:
    await log.execute(damage)
    with pytest.raises((Broken, KeyError, verify.Unverifiable)):
        await grow(log, signer)
    assert len(await notes_of(log)) == 6


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("update event set actor = 'x' where seq = 300", {("altered", 299, 299)}),
        ("delete from event where seq = 2", {("removed", 1, 1)}),
        ("update log_tile set hashes = sha256(hashes) where level = 1",
         {("leaf", 0, 255), ("checkpoint", 0, 304)}),
        ("update log_leaf set hash = sha256(hash) where number = 300",
         {("altered", 300, 300), ("checkpoint", 0, 304)}),
        ("delete from log_leaf where number = 3",
         {("inserted", -1, -1), ("leaf", 3, 3), ("leaf", 0, 255)}),
        ("update log_checkpoint set note = replace(note, E'\\n305\\n', E'\\n304\\n')",
         {("checkpoint", None, None)}),
    ],
)  # fmt: skip
async def test_the_service_finds_it_by_itself(
    log: Pool, damage: str, found: set[tuple[str, int | None, int | None]]
) -> None:
    check = ProofCheck(SERVICE, log)
    for _ in range(3):
        await check.look()
    assert check.found == set()
    await log.execute(damage)
    for _ in range(3):
        await check.look()
    assert {(one.kind, one.first, one.last) for one in check.found} == found
