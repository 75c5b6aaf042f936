"""Carrying an inspection out: item by item, or the whole in one command from an offline phone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.safety.checklist import Checklist, version_to_judge
from services.safety.cycle import noted
from services.safety.inspection import (
    Inspection,
    InspectionBasis,
    InspectionFailed,
    InspectionItemsJudged,
    InspectionPassed,
    InspectionScheduled,
    InspectionSigned,
    evolve,
    inspections,
    refuse_unless_pending,
)
from services.safety.inspection.schedule import (
    BodyNames,
    ChecklistId,
    InspectorNames,
    Outsiders,
    invited,
    refuse_too_few,
)
from services.safety.inspection.score import ItemJudged, results_of, score_of
from services.safety.programme import (
    INSPECTORS,
    InspectionPolicy,
    refuse_own_staff,
    terms_of,
)
from shared.fields import Count, Signature
from shared.kernel import By, Command, Creation, Event, From, Refused, Send

type ItemsJudged = Annotated[tuple[ItemJudged, ...], Field(max_length=300)]


class JudgeItems(Command):
    """Some of the items; one judged before is judged anew."""

    results: Annotated[tuple[ItemJudged, ...], Field(min_length=1, max_length=300)]


@inspections.post("/inspections/{id}/items", allow=INSPECTORS)
def judge(
    state: Inspection,
    command: JudgeItems,
    by: By,
    policy: InspectionPolicy,
    checklist: Annotated[Checklist | None, From("checklist")],
) -> InspectionItemsJudged | None:
    refuse_unless_pending(state)
    refuse_other_inspector(state, by, policy)
    return items_judged(state, command.results, by, checklist)


class ConcludeInspection(Command):
    """`results`: what is left to judge; `bodies`, `outsiders`: who came, if not as planned."""

    results: ItemsJudged = ()
    bodies: BodyNames | None = None
    outsiders: Outsiders | None = None
    signature: Signature | None = None


@inspections.post("/inspections/{id}/conclude", allow=INSPECTORS)
def conclude(
    state: Inspection,
    command: ConcludeInspection,
    by: By,
    policy: InspectionPolicy,
    checklist: Annotated[Checklist | None, From("checklist")],
) -> list[Event | Send] | None:
    if state.result is not None and state.result.concluded_by == by.person:
        return None
    refuse_unless_pending(state)
    refuse_other_inspector(state, by, policy)
    return concluded(state, command, by, policy, checklist)


class CarryOutInspection(Creation):
    """A whole inspection in one command. `checklist_version`: the one that the phone carried."""

    checklist: ChecklistId
    checklist_version: Count | None = None
    inspectors: InspectorNames
    bodies: BodyNames = ()
    outsiders: Outsiders = ()
    results: Annotated[tuple[ItemJudged, ...], Field(min_length=1, max_length=300)]
    signature: Signature | None = None


@inspections.post("/inspections/carry-out", allow=INSPECTORS)
def carry_out(
    state: Inspection | None,
    command: CarryOutInspection,
    by: By,
    policy: InspectionPolicy,
    checklist: Annotated[Checklist | None, From("checklist")],
) -> list[Event | Send] | None:
    if state is not None:
        done = state.result is not None and state.result.concluded_by == by.person
        if done and state.checklist == command.checklist:
            return None
        raise Refused("inspection_exists", field="id")
    found, version = version_to_judge(checklist, command.checklist_version)
    refuse_too_few(terms_of(policy, found.kind), command.inspectors)
    scheduled = InspectionScheduled(
        checklist=command.checklist,
        checklist_version=version,
        programme=found.title,
        kind=found.kind,
        planned_on=by.day,
        inspectors=command.inspectors,
        bodies=command.bodies,
        outsiders=invited(command.outsiders),
        basis=InspectionBasis.ON_THE_SPOT,
        origin=None,
        stop=None,
    )
    begun = evolve(None, scheduled)
    refuse_other_inspector(begun, by, policy)
    whole = ConcludeInspection(results=command.results, signature=command.signature)
    return [scheduled, *concluded(begun, whole, by, policy, checklist)]


class SignInspection(Command):
    signature: Signature | None = None


@inspections.post("/inspections/{id}/sign", allow=INSPECTORS)
def sign(
    state: Inspection, command: SignInspection, by: By, policy: InspectionPolicy
) -> InspectionSigned | None:
    if by.person in state.signed:
        return None
    if state.result is None:
        raise Refused("inspection_not_concluded", status=state.status)
    refuse_other_inspector(state, by, policy)
    return InspectionSigned(kind=state.kind, signed_by=by.person, signature=command.signature)


def concluded(
    state: Inspection,
    command: ConcludeInspection,
    by: By,
    policy: InspectionPolicy,
    checklist: Checklist | None,
) -> list[Event | Send]:
    """The last judgements, the result, and a word to the month's cycle."""
    assert checklist is not None, "an inspection is scheduled with a checklist"
    last = items_judged(state, command.results, by, checklist) if command.results else None
    known = evolve(state, last) if last else state
    share = terms_of(policy, state.kind).pass_share
    score = score_of(checklist.items(state.checklist_version), known.results, share)
    outcome = InspectionPassed if score.passed else InspectionFailed
    result = outcome(
        programme=state.programme,
        kind=state.kind,
        checklist=state.checklist,
        checklist_version=state.checklist_version,
        basis=state.basis,
        score=score.score,
        full=score.full,
        pass_score=score.pass_score,
        failed_items=score.failed_items,
        items_judged=len(known.results),
        veto=score.veto,
        bodies=state.bodies if command.bodies is None else command.bodies,
        inspectors=state.inspectors,
        outsiders=state.outsiders if command.outsiders is None else invited(command.outsiders),
        concluded_by=by.person,
        signature=command.signature,
    )
    told = noted(by, state.kind, len(score.failed_items))
    return [last, result, told] if last else [result, told]


def items_judged(
    state: Inspection, judged: tuple[ItemJudged, ...], by: By, checklist: Checklist | None
) -> InspectionItemsJudged | None:
    """What is new in these judgements, by the version with which the inspection began."""
    assert checklist is not None, "an inspection is scheduled with a checklist"
    results = results_of(checklist.items(state.checklist_version), judged)
    new = tuple(result for result in results if state.results.get(result.code) != result)
    return InspectionItemsJudged(results=new, judged_by=by.person) if new else None


def refuse_other_inspector(state: Inspection, by: By, policy: InspectionPolicy) -> None:
    """Only whoever was named inspects, and nobody his own school for a bureau's programme."""
    if by.person not in state.inspectors:
        raise Refused("inspection_not_yours", field="inspectors")
    refuse_own_staff(terms_of(policy, state.kind), state.kind, by)
