"""Keys: one for each subject however many ask, gone when destroyed, and never missed unseen."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from sealing import secret_file
from sealing.vault import KeyLost, Vault

pytestmark = pytest.mark.stack

SCHOOL, OTHER = uuid4(), uuid4()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    secret_file.make(tmp_path / "keys.secret")
    return tmp_path / "keys.secret"


@pytest.fixture
async def vault(postgres: str, secrets: Path) -> AsyncIterator[Vault]:
    async with asyncpg.create_pool(postgres, min_size=1, max_size=4) as pool:
        made = Vault(pool, secret_file.read(secrets), life_s=60)
        await made.prepare()
        await made.prepare()
        await pool.execute("truncate data_key")
        yield made


async def test_everybody_who_asks_gets_the_same_key(vault: Vault) -> None:
    subjects = [(SCHOOL, f"p{n}") for n in range(20)]
    answers = await asyncio.gather(
        *(vault.keys_for(subjects if n % 2 else subjects[::-1]) for n in range(8))
    )
    assert all(answer == answers[0] for answer in answers)
    assert len({key.id for key in answers[0].values()}) == 20
    assert await vault.pool.fetchval("select count(*) from data_key") == 20
    assert (await vault.keys_for([(OTHER, "p1")]))[OTHER, "p1"] != answers[0][SCHOOL, "p1"]


async def test_what_is_kept_names_nobody_and_holds_no_key(vault: Vault) -> None:
    key = (await vault.keys_for([(SCHOOL, "wang")]))[SCHOOL, "wang"]
    kept = await vault.pool.fetchval("select t::text from data_key t")
    assert "wang" not in kept
    assert b"wang".hex() not in kept
    assert key.secret.hex() not in kept
    assert key.fingerprint in kept


async def test_a_destroyed_key_is_known_to_be_destroyed(vault: Vault) -> None:
    first, other = ((SCHOOL, "wang"), (SCHOOL, "li"))
    keys = await vault.keys_for([first, other])
    id_ = keys[first].id
    assert (await vault.keys([id_]))[id_] == keys[first]
    [gone] = await vault.destroy(id_)
    assert (gone.id, gone.fingerprint) == (id_, keys[first].fingerprint)
    assert (await vault.keys([id_])) == {id_: None}, "at once, in the process that destroys it"
    assert await vault.destroy(id_) == [gone], "again, it is the same certificate"
    assert (await vault.keys([keys[other].id]))[keys[other].id] == keys[other]
    again = (await vault.keys_for([first]))[first]
    assert again.id != id_, "whoever comes back gets another key"
    assert {one.id for one in await vault.destroy(id_)} == {id_, again.id}, "and it goes as well"


async def test_another_process_knows_when_the_life_of_its_copy_is_over(vault: Vault) -> None:
    elsewhere = Vault(vault.pool, vault.secrets, life_s=0)
    id_ = (await vault.keys_for([(SCHOOL, "wang")]))[SCHOOL, "wang"].id
    assert (await elsewhere.keys([id_]))[id_] is not None
    await vault.destroy(id_)
    assert await elsewhere.keys([id_]) == {id_: None}


async def test_an_unknown_key_is_not_an_erased_one(vault: Vault) -> None:
    assert await vault.keys([uuid4()]) == {}


async def test_a_restored_key_is_destroyed_again(vault: Vault) -> None:
    id_ = (await vault.keys_for([(SCHOOL, "wang")]))[SCHOOL, "wang"].id
    before = await vault.pool.fetchval("select wrapped from data_key where id = $1", id_)
    await vault.destroy(id_)
    restored = "update data_key set wrapped = $2, destroyed_at = null where id = $1"
    await vault.pool.execute(restored, id_, before)
    assert await vault.destroy_again([id_, uuid4()]) == 1
    assert await vault.destroy_again([id_]) == 0
    assert await vault.keys([id_]) == {id_: None}


async def test_many_keys_come_in_one_round_trip(vault: Vault, postgres: str) -> None:
    keys = await vault.keys_for([(SCHOOL, f"p{n}") for n in range(50)])
    asked: list[str] = []

    async def listen(connection: Any) -> None:
        connection.add_query_logger(lambda record: asked.append(record.query))

    async with asyncpg.create_pool(postgres, min_size=1, max_size=1, init=listen) as pool:
        fresh = Vault(pool, vault.secrets, life_s=60)
        await fresh.keys(key.id for key in keys.values())
        await fresh.keys(key.id for key in keys.values())
        await fresh.keys_for([(SCHOOL, f"p{n}") for n in range(60)])
    assert sum("data_key" in query or "keys_for" in query for query in asked) == 2


async def test_wrapping_keys_change_and_older_ones_may_go(vault: Vault, secrets: Path) -> None:
    keys = await vault.keys_for([(SCHOOL, "wang"), (SCHOOL, "li")])
    secret_file.add_wrapping_key(secrets)
    renewed = Vault(vault.pool, secret_file.read(secrets), "sm4-gcm", life_s=0)
    assert await renewed.keys_for([(SCHOOL, "wang")]) == {(SCHOOL, "wang"): keys[SCHOOL, "wang"]}
    assert await renewed.rewrap() == 2
    assert await renewed.rewrap() == 0
    new = (await renewed.keys_for([(SCHOOL, "zhao")]))[SCHOOL, "zhao"]
    assert (new.algorithm, len(new.secret)) == ("sm4-gcm", 16)
    secret_file.drop_older_wrapping_keys(secrets)
    last = Vault(vault.pool, secret_file.read(secrets), life_s=0)
    wanted: dict[UUID, object] = {key.id: key for key in [*keys.values(), new]}
    assert await last.keys(wanted) == wanted
    vault._known.clear()
    with pytest.raises(KeyLost):
        await vault.keys(wanted)


async def test_operators_renew_what_wraps_the_keys(
    vault: Vault, postgres: str, secrets: Path
) -> None:
    keys = await vault.keys_for([(SCHOOL, "wang")])
    told = [await operate("add", str(secrets)), await operate("drop", str(secrets), postgres)]
    assert "wrapping key 2" in told[0]
    assert "1 data keys wrapped anew" in told[1]
    renewed = Vault(vault.pool, secret_file.read(secrets), life_s=0)
    assert renewed.secrets.wrapping.keys() == {2}
    assert await renewed.keys_for([(SCHOOL, "wang")]) == keys


async def operate(action: str, path: str, keys: str = "") -> str:
    command = ["-m", "sealing", action, path, f"--keys={keys}"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    return told.decode()
