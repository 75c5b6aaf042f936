"""Figures of people and posts: what is unfilled, what is missing. 岗位、合同、责任区走访、投诉."""

from __future__ import annotations

from collections.abc import Iterable

from services.reporting.measure import Fact
from services.reporting.measuring import measures
from services.reporting.upstream.organisation import (
    ComplaintAnswered,
    ComplaintFiled,
    EstablishmentClosed,
    LabourContractMissed,
    LabourContractSigned,
    PostEnded,
    PostFilled,
    PostsEstablished,
    PostVacated,
    SchoolVisited,
    SchoolVisitMissed,
    StaffAppointed,
)  # fmt: skip
from shared.kernel import Recorded

type Establishing = PostsEstablished | PostFilled | PostVacated | EstablishmentClosed


@measures.measure(
    "organisation.posts_unfilled",
    on=(PostsEstablished, PostFilled, PostVacated, EstablishmentClosed), unit="post", balance=True,
)  # fmt: skip
def posts_unfilled(event: Establishing, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(count=event.unfilled_change)] if event.unfilled_change else []


@measures.measure("organisation.appointments", on=StaffAppointed, dims={"role": "Role"})
def appointments(event: StaffAppointed, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(dims={"role": event.role})]


@measures.measure(
    "organisation.contracts_missing", on=(LabourContractMissed, LabourContractSigned, PostEnded),
    unit="person", balance=True,
)  # fmt: skip
def contracts_missing(
    event: LabourContractMissed | LabourContractSigned | PostEnded, recorded: Recorded
) -> Iterable[Fact]:
    match event:
        case LabourContractMissed():
            return [Fact()]
        case LabourContractSigned(was_missing=True) | PostEnded(contract_was_missing=True):
            return [Fact(count=-1)]
        case _:
            return []


@measures.measure("organisation.school_visits", on=SchoolVisited)
def school_visits(event: SchoolVisited, recorded: Recorded) -> Iterable[Fact]:
    """Counts for the school that was visited."""
    return [Fact(organisation=event.school)]


@measures.measure("organisation.school_visits_missed", on=SchoolVisitMissed)
def school_visits_missed(event: SchoolVisitMissed, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(organisation=event.school)]


@measures.measure("organisation.complaints_filed", on=ComplaintFiled,
                  dims={"topic": "ComplaintTopic"})  # fmt: skip
def complaints_filed(event: ComplaintFiled, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(dims={"topic": event.topic})]


@measures.measure("organisation.complaints_answered", on=ComplaintAnswered,
                  dims={"topic": "ComplaintTopic", "in_time": "YesNo"})  # fmt: skip
def complaints_answered(event: ComplaintAnswered, recorded: Recorded) -> Iterable[Fact]:
    in_time = "yes" if event.in_time else "no"
    return [Fact(dims={"topic": event.topic, "in_time": in_time})]


measures.derived(
    "organisation.complaints_open", "organisation.complaints_filed",
    minus=["organisation.complaints_answered"], balance=True,
)  # fmt: skip
measures.derived(
    "organisation.complaints_answered_in_time", "organisation.complaints_answered",
    where={"in_time": "yes"},
)  # fmt: skip
measures.ratio(
    "organisation.complaints_in_time_rate",
    numerator="organisation.complaints_answered_in_time",
    denominator="organisation.complaints_answered",
)
