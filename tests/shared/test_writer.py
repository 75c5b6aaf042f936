"""The write path on a real database: many at once, racing, repeating, failing half-way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from services.procurement import procurement
from services.procurement.budget import AdoptBudget, AmendBudget, Fund, LineAdopted
from shared import store
from shared.config import Settings
from shared.decide import StepRefused
from shared.kernel import Refused
from shared.organisation import Role
from shared.store import SNAPSHOT_EVERY, Conflict
from shared.writer import ATTEMPTS, LANES, Answer
from tests.shared.office import SCHOOL, UNITS, Copy, Desk, Pool, at_work, log_of, settled, written
from tests.shared.tally import (
    CloseTally,
    MoveTally,
    NoteTally,
    OpenTally,
    RaiseTally,
    Tally,
    tallies,
    tally,
)
from tests.shared.wire import until

pytestmark = pytest.mark.stack

AGGREGATES = {tallies.name: tallies}
LARGE = store.EVENT_BYTES_MAX + 1


@pytest.fixture
async def copy(pool: Pool) -> Copy:
    made = Copy(pool)
    await made.plant()
    await made.appoint(
        ("buyer", Role.BUYER, "school"),
        ("principal", Role.PRINCIPAL, "school"),
        ("stranger", Role.BUYER, "sibling"),
    )
    return made


@pytest.fixture
async def desk(copy: Copy, config: Settings) -> AsyncIterator[Desk]:
    async with at_work(tally, config) as made:
        yield made


@pytest.fixture
async def second(desk: Desk, config: Settings) -> AsyncIterator[Desk]:
    """Another process of the same service on the same database."""
    async with at_work(tally, config) as made:
        yield made


async def folded(pool: Pool, stream: UUID) -> Tally:
    async with pool.acquire() as connection:
        state = (await store.fold(connection, AGGREGATES, [stream]))[stream].state
    assert isinstance(state, Tally)
    return state


def contiguous(log: list[tuple[int, str, object]]) -> bool:
    return [version for version, _, _ in log] == list(range(1, len(log) + 1))


async def test_all_of_a_command_is_written_or_nothing(desk: Desk, pool: Pool) -> None:
    made = OpenTally(organisation=SCHOOL, name="a", price_cny=Decimal("1.50"))
    answer = await desk.ask(made, key="k1", body=b"b")
    body = msgspec.json.decode(answer.body)
    stream = UUID(body["id"])
    assert (answer.status, answer.etag, answer.replayed) == (201, 1, False)
    assert body["row"]["name"] == "a" and body["row"]["price_cny"] == "1.50"
    row = await pool.fetchrow("select * from event")
    assert row is not None
    assert (str(row["id"]), row["stream"], row["version"]) == (body["events"][0], stream, 1)
    assert (row["actor"], row["organisation"], row["type"]) == ("buyer", SCHOOL, "TallyOpened")
    assert answer.position == f"tally;1.{row['tx']}.{row['seq']};{row['organisation']}"
    assert answer.content.endswith(b',"position":"%b"}' % answer.position.encode())
    assert await pool.fetchval("select version from head where stream = $1", stream) == 1
    assert await pool.fetchval("select total from view_tally_list where stream = $1", stream) == 0
    assert await written(pool) == (1, 1, 1)


async def test_refusals_write_nothing(desk: Desk, pool: Pool) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="a", limit=1))
    before = await written(pool)
    cases: list[tuple[str, object]] = [
        ("tally_full", desk.ask(RaiseTally(amount=2), stream, key="r1")),
        ("forbidden", desk.ask(RaiseTally(), stream, person="stranger", key="r2")),
        ("forbidden", desk.ask(RaiseTally(), stream, person="nobody", key="r3")),
        ("not_found", desk.ask(RaiseTally(), uuid4(), key="r4")),
        ("stale", desk.ask(RaiseTally(), stream, expected=7, key="r5")),
        ("forbidden", desk.ask(OpenTally(organisation=UNITS["other_school"], name="b"), key="r6")),
        ("unit_unknown", desk.ask(OpenTally(organisation=uuid4(), name="b"), key="r7")),
        ("event_too_large", desk.ask(NoteTally(text="x" * LARGE), stream, key="r8")),
    ]
    for (wanted, _), got in zip(cases, await settled(*(c for _, c in cases)), strict=True):
        assert isinstance(got, Refused) and got.slug == wanted, got
    assert await written(pool) == before
    # A refusal is not kept: the same key may be used once it is put right.
    assert (await desk.ask(RaiseTally(amount=1), stream, key="r1")).etag == 2


async def test_concurrent_commands_share_transactions_and_are_answered_each(
    desk: Desk, pool: Pool
) -> None:
    full = await desk.open(OpenTally(organisation=SCHOOL, name="full", limit=0))
    streams = [await desk.open(OpenTally(organisation=SCHOOL, name=f"t{n}")) for n in range(20)]
    asked = [desk.ask(RaiseTally(amount=n + 1), s) for s in streams for n in range(5)]
    results = await settled(*asked, desk.ask(RaiseTally(), full))
    assert isinstance(results.pop(), Refused)
    assert all(isinstance(result, Answer) for result in results), results
    for stream in streams:
        log = await log_of(pool, stream)
        assert contiguous(log) and [data["amount"] for _, _, data in log[1:]] == [1, 2, 3, 4, 5]
    groups = await pool.fetchval("select count(distinct tx) from event where type = 'TallyRaised'")
    assert groups < 20, "a hundred commands at once are written in a few transactions"


async def test_two_writers_on_one_stream_lose_nothing(desk: Desk, second: Desk, pool: Pool) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="race"))
    results: list[object] = []
    for _ in range(10):
        asked = [at.ask(RaiseTally(amount=1), stream) for at in (desk, second) for _ in range(10)]
        results += await settled(*asked)
    accepted = [result for result in results if isinstance(result, Answer)]
    assert all(isinstance(result, Answer | Conflict) for result in results), Counter(
        map(type, results)
    )
    assert sorted(answer.etag or 0 for answer in accepted) == list(range(2, len(accepted) + 2))
    log = await log_of(pool, stream)
    assert contiguous(log) and len(log) == len(accepted) + 1 > 1
    assert (await folded(pool, stream)).total == len(accepted)
    # What the relay relies on: the order of the log never puts a version before its predecessor.
    order = await pool.fetch("select version from event where stream = $1 order by tx, seq", stream)
    assert [row["version"] for row in order] == list(range(1, len(log) + 1))


async def test_exactly_one_of_many_expecting_the_same_version_wins(
    desk: Desk, second: Desk, pool: Pool
) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="race"))
    for version in range(1, 11):
        asked = [
            at.ask(RaiseTally(amount=n), stream, expected=version)
            for at in (desk, second) for n in range(1, 9)
        ]  # fmt: skip
        results = await settled(*asked)
        kinds = Counter(getattr(result, "slug", "won") for result in results)
        assert kinds == {"won": 1, "stale": 15}, kinds
        (won,) = (result for result in results if isinstance(result, Answer))
        assert won.etag == version + 1
    assert contiguous(await log_of(pool, stream))


async def test_no_answer_rests_on_what_another_process_has_changed(
    desk: Desk, second: Desk, pool: Pool
) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="full", limit=5))
    other = await desk.open(OpenTally(organisation=SCHOOL, name="other"))
    await desk.ask(RaiseTally(amount=5), stream)
    with pytest.raises(Refused):
        await desk.ask(RaiseTally(), stream)
    await second.ask(MoveTally(to=other, amount=3), stream)
    # The first remembers it as full, and must not say so.
    assert (await desk.ask(RaiseTally(amount=3), stream)).etag == 4
    await second.ask(CloseTally(), stream, person="principal")
    closed = desk.ask(CloseTally(), stream, person="principal")
    full = desk.ask(RaiseTally(), stream)
    again, refused = await settled(closed, full)
    assert isinstance(again, Answer) and again.etag == 5
    assert isinstance(refused, Refused)
    assert len(await log_of(pool, stream)) == 5


async def test_one_key_is_one_effect_whoever_takes_it(desk: Desk, second: Desk, pool: Pool) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="race"))
    for n in range(10):
        asked = [at.ask(RaiseTally(), stream, key=f"k{n}") for at in (desk, second, desk, second)]
        results = await settled(*asked)
        answers = [result for result in results if isinstance(result, Answer)]
        assert len(answers) == 4, results
        assert sorted(answer.replayed for answer in answers) == [False, True, True, True]
        assert len({(a.content, a.etag, a.status) for a in answers}) == 1
    assert len(await log_of(pool, stream)) == 11


async def test_a_repeated_key_is_answered_whatever_comes_beside_it(desk: Desk, pool: Pool) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="a"))
    first = await desk.ask(RaiseTally(), stream, key="k", expected=1)
    for n in range(4):  # its version is stale by now, and what moves the stream is asked with it
        again = desk.ask(RaiseTally(), stream, key="k", expected=1)
        other = desk.ask(RaiseTally(), stream, key=f"o{n}")
        asked = (again, other) if n % 2 else (other, again)
        repeated, _ = sorted(await settled(*asked), key=lambda one: getattr(one, "etag", 0) or 0)
        assert isinstance(repeated, Answer) and repeated.replayed, repeated
        assert repeated.content == first.content
    assert len(await log_of(pool, stream)) == 6


async def test_a_key_stands_for_one_command_only(desk: Desk, pool: Pool) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="a"))
    await desk.ask(RaiseTally(), stream, key="k", body=b"1")
    before = await written(pool)
    with pytest.raises(Refused, match="key_reused"):
        await desk.ask(RaiseTally(amount=2), stream, key="k", body=b"2")
    with pytest.raises(Refused, match="key_reused"):
        await desk.ask(NoteTally(text="x"), stream, key="k", body=b"1")
    assert await written(pool) == before
    # A key belongs to its person: somebody else's is another one.
    await desk.ask(CloseTally(), stream, person="principal", key="k", body=b"1")
    assert (await folded(pool, stream)).closed


async def test_commands_that_stand_or_fall_together(desk: Desk, pool: Pool) -> None:
    one = await desk.open(OpenTally(organisation=SCHOOL, name="a", limit=5))
    two = await desk.open(OpenTally(organisation=SCHOOL, name="b", limit=5))
    before = await written(pool)
    steps = [desk.step(RaiseTally(amount=5), one), desk.step(RaiseTally(amount=5), two)]
    with pytest.raises(StepRefused) as refused:
        await desk.ask_all(*steps, desk.step(RaiseTally(amount=1), one), key="k")
    assert refused.value.index == 2
    assert isinstance(refused.value.__cause__, Refused)
    assert await written(pool) == before
    answer = await desk.ask_all(*steps, key="k")
    assert msgspec.json.decode(answer.body)["count"] == 2
    assert [(await folded(pool, s)).total for s in (one, two)] == [5, 5]
    assert await pool.fetchval("select count(distinct tx) from event where version = 2") == 1


async def test_a_refused_send_refuses_the_whole(desk: Desk, pool: Pool) -> None:
    giver = await desk.open(OpenTally(organisation=SCHOOL, name="giver"))
    taker = await desk.open(OpenTally(organisation=SCHOOL, name="taker", limit=3))
    await desk.ask(MoveTally(to=taker, amount=3), giver)
    assert [(await folded(pool, s)).total for s in (giver, taker)] == [-3, 3]
    before = await written(pool)
    for to in (taker, uuid4()):
        with pytest.raises(Refused):
            await desk.ask(MoveTally(to=to, amount=1), giver)
    assert await written(pool) == before


async def test_state_from_a_snapshot_is_state_from_events(
    desk: Desk, second: Desk, pool: Pool
) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="long"))
    for _ in range(5):
        await settled(*(desk.ask(RaiseTally(amount=n), stream) for n in range(1, 51)))
    kept = await pool.fetchrow("select * from snapshot where stream = $1", stream)
    assert kept is not None and kept["version"] // SNAPSHOT_EVERY == 2
    with_snapshot = await folded(pool, stream)
    await pool.execute("delete from snapshot")
    assert await folded(pool, stream) == with_snapshot
    assert with_snapshot.total == 5 * sum(range(1, 51))
    # One of other code is not believed; one of today's code is what is used.
    forged = msgspec.json.encode({**msgspec.to_builtins(with_snapshot), "total": 10**6 - 1})
    for code, total in (("other", with_snapshot.total), (kept["code"], 10**6 - 1)):
        await pool.execute("delete from snapshot")
        await pool.execute(
            "insert into snapshot (stream, version, code, state) values ($1, 251, $2, $3)",
            stream, code, forged,
        )  # fmt: skip
        assert (await folded(pool, stream)).total == total
    with pytest.raises(Refused):
        await second.ask(RaiseTally(amount=2), stream)


async def test_a_race_that_is_always_lost_ends_and_holds_up_nobody_else(
    desk: Desk, pool: Pool
) -> None:
    streams = [await desk.open(OpenTally(organisation=SCHOOL, name=name)) for name in "abc"]
    await pool.execute(
        "create sequence tried; create function lose() returns trigger language plpgsql as $$"
        f" begin if new.stream = '{streams[0]}' then perform nextval('tried'); return null; end if;"
        " return new; end $$;"
        "create trigger lose before update on head for each row execute function lose()"
    )
    results = await settled(*(desk.ask(RaiseTally(), s, key=f"{s}") for s in streams))
    assert [type(result) for result in results] == [Conflict, Answer, Answer]
    # Once more than that: on what the writer remembered, before it looked.
    assert await pool.fetchval("select last_value from tried") == ATTEMPTS + 1
    assert [len(await log_of(pool, stream)) for stream in streams] == [1, 2, 2]
    await pool.execute("drop trigger lose on head")
    assert (await desk.ask(RaiseTally(), streams[0], key=f"{streams[0]}")).replayed is False


async def test_what_cannot_be_stored_fails_alone(desk: Desk, pool: Pool) -> None:
    """A NUL or a number beyond 64 bits passes as JSON, but no column takes it."""
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="a"))
    before = await written(pool)
    results = await settled(
        desk.ask(RaiseTally(), stream, key="good 1"),
        desk.ask(OpenTally(organisation=SCHOOL, name="a\x00b"), key="nul"),
        desk.ask(OpenTally(organisation=SCHOOL, name="b"), key="good 2"),
        desk.ask(OpenTally(organisation=SCHOOL, name="c", limit=10**30), key="kept as JSON"),
        desk.ask(MoveTally(to=stream, amount=10**30), stream, key="beyond"),
    )
    kinds = [type(result) for result in results]
    assert kinds == [Answer, Refused, Answer, Answer, Refused], results
    assert {result.slug for result in results if isinstance(result, Refused)} == {"unstorable"}
    assert await written(pool) == (before[0] + 3, before[1] + 2, before[2] + 3)


async def test_what_spends_waits_for_a_fresh_copy_of_posts(desk: Desk, copy: Copy) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="a"))
    await copy.grow_old(desk.rt.settings.posts_age_s_max + 60)
    await desk.rt.directory.refresh()
    await desk.ask(RaiseTally(), stream)
    with pytest.raises(Refused, match="posts_too_old"):
        await desk.ask(CloseTally(), stream, person="principal")
    await copy.grow_old(0)
    await desk.rt.directory.refresh()
    assert (await desk.ask(CloseTally(), stream, person="principal")).etag == 3


async def test_due_moments_move_with_their_stream(desk: Desk, pool: Pool) -> None:
    now = datetime.now(UTC)
    soon, past = now + timedelta(days=1), now - timedelta(days=1)

    async def due(stream: UUID) -> datetime | None:
        found: datetime | None = await pool.fetchval("select at from due where stream = $1", stream)
        return found

    planned = await desk.open(OpenTally(organisation=SCHOOL, name="a", closes_at=soon))
    assert await due(planned) == soon
    await desk.ask(CloseTally(), planned, person="principal")
    assert await due(planned) is None
    late = await desk.open(OpenTally(organisation=SCHOOL, name="b", closes_at=past))
    grace = timedelta(seconds=desk.rt.settings.late_entry_grace_s)
    judged_at = await due(late)
    assert judged_at is not None, "a deadline already past gives the rest of the batch time"
    assert now + grace <= judged_at <= datetime.now(UTC) + grace
    assert await due(await desk.open(OpenTally(organisation=SCHOOL, name="c"))) is None


async def test_a_lost_connection_is_an_unknown_outcome_not_two(desk: Desk, pool: Pool) -> None:
    """And the lane that had it goes on: more are lost here than there are lanes."""
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="a"))
    waiting = (
        "select pid from pg_stat_activity where datname = current_database()"
        " and wait_event_type = 'Lock'"
    )
    for n in range(LANES + 1):
        async with pool.acquire() as blocker, blocker.transaction():
            await blocker.execute("select from head where stream = $1 for update", stream)
            asked = asyncio.create_task(desk.ask(RaiseTally(), stream, key=f"k{n}"))
            await until(lambda: pool.fetchval(waiting))
            await pool.execute(f"select pg_terminate_backend(pid) from ({waiting}) w")
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await asked
        async with asyncio.timeout(20):
            answer = await desk.ask(RaiseTally(), stream, key=f"k{n}")
        assert answer.etag == 2 + n
    assert len(await log_of(pool, stream)) == 2 + LANES


async def test_whoever_is_being_answered_gets_the_answer_before_the_end(
    copy: Copy, config: Settings, pool: Pool
) -> None:
    async with at_work(tally, config) as desk:
        stream = await desk.open(OpenTally(organisation=SCHOOL, name="a"))
        async with pool.acquire() as blocker:
            transaction = blocker.transaction()
            await transaction.start()
            await blocker.execute("select from head where stream = $1 for update", stream)
            asked = asyncio.create_task(desk.ask(RaiseTally(), stream))
            await until(
                lambda: pool.fetchval(
                    "select 1 from pg_stat_activity where datname = current_database()"
                    " and wait_event_type = 'Lock'"
                )
            )
            ending = asyncio.create_task(desk.rt.writer.stop())
            await asyncio.sleep(0)
            await transaction.rollback()
            await ending
        assert (await asyncio.wait_for(asked, 5)).etag == 2


async def test_a_budget_amended_by_two_processes_is_one_chain(
    config: Settings, copy: Copy, pool: Pool
) -> None:
    line = LineAdopted(code="L", name="Line", fund=Fund.PUBLIC, amount_cny=Decimal(100))
    async with at_work(procurement, config) as one, at_work(procurement, config) as two:
        adopted = AdoptBudget(organisation=SCHOOL, year=2026, lines=(line,))
        budget = await one.open(adopted, person="principal")
        asked = [
            desk.ask(
                AmendBudget(line="L", amount_cny=Decimal(100 + n), reason="再核"),
                budget, person="principal", expected=1 + n // 10,
            )
            for n in range(1, 30) for desk in (one, two)
        ]  # fmt: skip
        results = await settled(*asked)
        won = [result for result in results if isinstance(result, Answer)]
        assert all(isinstance(result, Answer) or result.slug == "stale" for result in results)
        log = await log_of(pool, budget)
        assert len(log) == 1 + len(won)
        amounts = [
            Decimal(data["amount_cny"]) for _, type_, data in log if type_ == "BudgetAmended"
        ]
        before = [
            Decimal(data["previous_cny"]) for _, type_, data in log if type_ == "BudgetAmended"
        ]
        assert before == [Decimal(100), *amounts[:-1]], "each amends what the one before it left"
