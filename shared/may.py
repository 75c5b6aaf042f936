"""Who may now: which commands somebody may send to a thing as it is, and why not.

Permission follows from the declarations. Beyond it, a command that needs no field is really decided
on the thing as it is (decisions are pure) and nothing is written; of one with fields only the
permission is known before they are filled in.
"""

from __future__ import annotations

import copy
from typing import Any
from uuid import UUID

import msgspec

from shared.decide import Decided, Known, Request, Step
from shared.kernel import Aggregate, Decision
from shared.problems import foreseen
from shared.runtime import Runtime


class Chance(msgspec.Struct, frozen=True):
    """Whether a command may be sent now. `tried`: its own rule was asked, too. `problem`: the no
    that would come of it, in words; none where all is so already.
    """

    command: str
    may: bool
    tried: bool
    problem: dict[str, Any] | None = None


async def chances(rt: Runtime, aggregate: Aggregate, stream: UUID, person: str) -> list[Chance]:
    """One for each command that names a thing of this kind."""
    decisions = [one for one in aggregate.decisions.values() if one.path and not one.creates]
    made: list[Chance] = []
    async with rt.pool.acquire() as connection:
        for decision in decisions:
            # Each by itself: what one would do must not be there for the next.
            request = Request([_step(decision, stream)], person)
            (outcome,) = await rt.writer.decide(connection, [request], Known())
            made.append(_chance(rt, decision, outcome))
    return made


def _chance(rt: Runtime, decision: Decision, outcome: Decided | Exception) -> Chance:
    tried = not _needs_fields(decision)
    if isinstance(outcome, Decided):
        return Chance(decision.name, may=bool(outcome.events) or not tried, tried=tried)
    problem = foreseen(outcome, rt.words, decision.name)
    if problem.field in decision.command.model_fields:
        # Only what stands there by default is wrong: somebody may fill in something else.
        return Chance(decision.name, may=True, tried=False)
    return Chance(decision.name, may=False, tried=tried, problem=problem.body(rt.words))


def _step(decision: Decision, stream: UUID) -> Step:
    if not _needs_fields(decision):
        return Step(decision, stream, decision.command())
    # Only the permission is asked for: what it would decide without fields means nothing.
    silent = copy.replace(decision, function=lambda *_: None, facts=())
    fields = dict.fromkeys(decision.command.model_fields)
    return Step(silent, stream, decision.command.model_construct(None, **fields))


def _needs_fields(decision: Decision) -> bool:
    return any(field.is_required() for field in decision.command.model_fields.values())
