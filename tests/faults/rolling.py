"""F10: the schema changes while everything runs. Procurement goes to a later release and back again,
process by process, so that for a while nodes of both write to the same streams and lists.

The later release is a copy of this one in which an event has a field more (with a default), a list
has a column more, and amending a budget writes an event that the earlier one has never heard of, in a
stream of its own. (An event of a new type in a stream that both write to takes two releases: one that
knows it, then one that writes it.)
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.faults.copies import copied, replaced
from tests.faults.ground import School
from tests.faults.inspection import HEAL_S
from tests.faults.races import amend
from tests.faults.rig import CLIENT
from tests.faults.scene import Fault, Scene
from tests.world import until

PROCUREMENT = "procurement"
TURNS = 4
WON = frozenset({200})

NOTES = '''"""How often a budget was amended: what the later release has and the earlier one has not."""

from shared.kernel import Aggregate, By, Creation, Event, State


class AmendmentNoted(Event):
    times: int


class Amendments(State):
    times: int


def evolve(state: Amendments | None, event: AmendmentNoted) -> Amendments:
    return Amendments(times=event.times)


amendments = Aggregate("amendments", events=AmendmentNoted, state=Amendments, evolve=evolve)


class NoteAmendment(Creation):
    pass


@amendments.decision
def note(state: Amendments | None, command: NoteAmendment, by: By) -> AmendmentNoted:
    return AmendmentNoted(times=(state.times if state else 0) + 1)
'''

LATER = {
    "services/procurement/budget.py": [
        ("    previous_cny: Decimal\n    reason: str\n",
         '    previous_cny: Decimal\n    reason: str\n    release: str = "earlier"\n'),
        ("    free_cny: Decimal\n    changed_at: datetime\n",
         "    free_cny: Decimal\n    left_cny: Decimal\n    changed_at: datetime\n"),
        ("            free_cny=balance.free_cny,\n            changed_at",
         ("            free_cny=balance.free_cny,\n"
         "            left_cny=balance.free_cny,\n            changed_at")),
        ("command: AmendBudget, by: By) -> BudgetAmended | None:",
         "command: AmendBudget, by: By) -> list[Event | Send] | None:"),
        ("    return BudgetAmended(\n", "    amended = BudgetAmended(\n"),
        ("        reason=command.reason,\n    )\n\n\nclass CommitBudget",
         ('        reason=command.reason,\n        release="later",\n    )\n'
         "    note = NoteAmendment(organisation=by.unit)\n"
         "    return [amended, Send(amendments, UUID(int=by.id.int ^ 1), note)]\n\n\n"
         "class CommitBudget")),
        ("    Refused,\n    State,\n", "    Refused,\n    Send,\n    State,\n"),
        ("from shared.fields import Money",
         ("from services.procurement.amendments import NoteAmendment, amendments\n"
         "from shared.fields import Money")),
    ],
    "services/procurement/__init__.py": [
        ("[budgets, requisitions, spending_watches]",
         "[budgets, requisitions, spending_watches, amendments]"),
        ("from services.procurement.requisition import requisitions\n",
         ("from services.procurement.amendments import amendments\n"
         "from services.procurement.requisition import requisitions\n")),
    ],
}  # fmt: skip
"""What is changed in which file of the later release."""

# Amending moves it: a row that only the earlier release has written shows what was left before.
_UNLIKE = "select count(*) from view_budget_lines where left_cny is distinct from free_cny"


def make_later(folder: Path) -> Path:
    """The later release, as a copy; LookupError if the product is no longer as it was."""
    copy = copied(folder)
    for name, changes in LATER.items():
        path = copy / name
        path.write_text(replaced(path.read_text("utf-8"), changes), "utf-8")
    (copy / "services" / "procurement" / "amendments.py").write_text(NOTES, "utf-8")
    return copy


async def schema_changes(scene: Scene, variant: str) -> None:
    """F10. There and back, so many times; nobody is turned away, and in between the new column holds
    what it should in every row, whoever wrote that row.
    """
    before = scene.load.turned_away
    with tempfile.TemporaryDirectory(prefix="houqin-later-") as folder:
        later = make_later(Path(folder))
        for turn in range(int(variant)):
            await rolled(scene, f"to{turn}", later)
            await column_is_whole(scene)
            await rolled(scene, f"back{turn}", None)
    if scene.load.turned_away > before:
        scene.wrong.append(f"{scene.load.turned_away - before} times a request was turned away")


async def rolled(scene: Scene, name: str, tree: Path | None) -> None:
    """A process of the other release comes beside the one that runs and takes its place until that
    one has been exchanged too. Both take requests for the same things meanwhile.
    """
    rig = scene.rig
    (door,) = rig.links[PROCUREMENT, CLIENT]
    home = door.target
    async with rig.spare(PROCUREMENT, tree=tree) as (_, port):
        await in_turn(scene, name, f"http://127.0.0.1:{port}")
        door.point(port)
        await rig.release(PROCUREMENT, tree)
        door.point(home)
    await scene.lasting(0.1)


async def in_turn(scene: Scene, name: str, other: str) -> None:
    """The same budget is amended through one process and the other in turn, last through the one
    that goes: nobody else writes that row again.
    """
    school: School = scene.chance.choice(scene.ground.schools)
    for number in range(TURNS):
        one = amend(scene, f"{name}.{number}", school, {}, WON)
        await scene.load.ask(one, "" if number % 2 else other)


async def column_is_whole(scene: Scene) -> None:
    """The list's new column is right in every row, soon after the last process was exchanged."""
    pool = await scene.rig.pool(PROCUREMENT)

    async def whole() -> bool:
        return not await pool.fetchval(_UNLIKE)

    try:
        await until(whole, HEAL_S)
    except TimeoutError:
        count = await pool.fetchval(_UNLIKE)
        scene.wrong.append(f"{count} rows of the budget list lack what the later release shows")


ROLLING = (Fault("F10", "schema change", ["1", "2"], schema_changes),)
