"""Who may now: by post, by the rule of what needs no field, and nothing is written by asking."""

from __future__ import annotations

import pytest

from shared.may import chances
from tests.shared.office import SCHOOL, Desk, Pool, written
from tests.shared.tally import CloseTally, OpenTally, tallies
from tests.shared.test_views import opened

pytestmark = pytest.mark.stack


async def may(desk: Desk, stream: object, person: str) -> dict[str, tuple[bool, bool, str]]:
    """Command -> may, tried, and the slug of the no."""
    await desk.rt.directory.posts_of(person)
    found = await chances(desk.rt, tallies, stream, person)  # type: ignore[arg-type]
    return {
        one.command: (one.may, one.tried, one.problem["slug"] if one.problem else "")
        for one in found
    }


async def test_what_a_person_may_do_to_a_thing_now(pool: Pool, config: object) -> None:
    async with opened(pool, config) as desk:  # type: ignore[arg-type]
        stream = await desk.open(OpenTally(organisation=SCHOOL, name="笔"))
        before = await written(pool)
        buyer, principal = await may(desk, stream, "buyer"), await may(desk, stream, "principal")
        nobody = await may(desk, stream, "nobody")
        assert await written(pool) == before
        assert "OpenTally" not in buyer, "what makes a new one is done to none"
        # The text is not known yet: only the post is judged.
        assert buyer["NoteTally"] == (True, False, "")
        assert principal["NoteTally"] == (False, False, "forbidden")
        assert buyer["CloseTally"] == (False, True, "forbidden")
        assert principal["CloseTally"] == (True, True, "")
        assert {slug for _, _, slug in nobody.values()} == {"forbidden"}
        await desk.ask(CloseTally(), stream, person="principal")
        assert (await may(desk, stream, "principal"))["CloseTally"] == (False, True, "")
