"""Posts that a unit must have: what is missing follows appointments by itself."""

from datetime import date
from typing import Any
from uuid import UUID

from services.organisation.establishment import (
    Establishment,
    EstablishmentClosed,
    HoldingChanged,
    PostAwaited,
    PostFilled,
    PostsEstablished,
    PostVacated,
    establishments,
)  # fmt: skip
from services.organisation.establishment.keep import (
    CloseEstablishment,
    EstablishByRule,
    EstablishPosts,
    NoteAppointment,
    NotePostEnd,
    PostWanted,
    UpdateHolders,
)  # fmt: skip
from services.organisation.establishment.views import (
    close_when_closed,
    establish_when_registered,
    fill_when_appointed,
    posts_of_roles,
    vacate_when_ended,
)  # fmt: skip
from services.organisation.staff import PostEnded, StaffAppointed, staff
from services.organisation.staff.appoint import VacatePost
from services.organisation.unit import UnitClosed, UnitRegistered
from shared.kernel import By, Recorded, Send
from shared.organisation import Level, Role
from shared.testing import SCHOOL, STREAM, by, given
from tests.organisation.places import SCHOOL as PLACE
from tests.organisation.places import registered

TODAY, LATER = date(2026, 9, 7), date(2026, 10, 1)
POST, OTHER = UUID(int=1), UUID(int=2)


def established(unfilled: int = 3, change: int = 3, *, by_rule: bool = False) -> PostsEstablished:
    return PostsEstablished(
        required={Role.COOK: 2, Role.BUYER: 1}, unfilled=unfilled, unfilled_change=change,
        by_rule=by_rule,
    )  # fmt: skip


WANTED = EstablishPosts(
    organisation=SCHOOL,
    posts=(PostWanted(role=Role.COOK, required=2), PostWanted(role=Role.BUYER, required=1)),
)


def noted(since: date = TODAY, until: date | None = None) -> NoteAppointment:
    return NoteAppointment(
        organisation=SCHOOL, post=POST, role=Role.COOK, person="wang", since=since, until=until
    )


def filled(held: int = 1, change: int = -1, required: int = 2, **fields: Any) -> PostFilled:
    return PostFilled(
        post=fields.pop("post", POST), role=Role.COOK, person="wang",
        since=fields.pop("since", TODAY), until=fields.pop("until", None), required=required,
        held=held, unfilled_change=change,
    )  # fmt: skip


def vacated(on: date, change: int = 1, held: int = 0) -> PostVacated:
    return PostVacated(
        post=POST, role=Role.COOK, person="wang", vacant_on=on, required=2, held=held,
        unfilled_change=change,
    )  # fmt: skip


def on(day: date) -> By:
    return by("system", at=f"{day}T00:00:00+08:00")


def test_establishes_and_says_what_is_missing() -> None:
    given(establishments).when(WANTED).then(established()).when(WANTED).then()
    given(establishments, filled(change=0, required=0)).when(WANTED).then(established(2, 2))
    twice = WANTED.model_copy(update={"posts": (WANTED.posts[0], WANTED.posts[0])})
    given(establishments).when(twice).refused("role_twice", field="posts")
    gone = EstablishmentClosed(closed_on=TODAY, unfilled_change=0)
    given(establishments, gone).when(WANTED).refused("unit_closed")


def test_the_rule_holds_until_the_bureau_says_otherwise() -> None:
    rule = EstablishByRule(organisation=SCHOOL, boarding=False)
    outcome = given(establishments).when(rule).outcome()
    assert isinstance(outcome[0], PostsEstablished)
    assert outcome[0].by_rule
    assert outcome[0].required[Role.LOGISTICS_DIRECTOR] == 1
    assert Role.NURSE not in outcome[0].required
    assert outcome[0].unfilled == outcome[0].unfilled_change == sum(outcome[0].required.values())
    boarding = given(establishments).when(EstablishByRule(organisation=SCHOOL, boarding=True))
    assert boarding.outcome()[0].required[Role.NURSE] == 1  # type: ignore[union-attr]
    given(establishments, outcome[0]).when(rule).then()
    given(establishments, established()).when(rule).then()


def test_appointments_fill_posts() -> None:
    before = given(establishments, established())
    after = before.when(noted()).then(filled())
    assert after.state.unfilled == 2
    after.when(noted()).then()
    assert given(establishments).when(noted()).outcome() == [filled(change=0, required=0)]


def test_one_too_many_changes_nothing_that_is_missing() -> None:
    two = (filled(post=OTHER), filled(post=UUID(int=3), held=2))
    before = given(establishments, established(), *two)
    before.when(noted()).then(filled(held=3, change=0))


def test_a_post_of_the_future_is_awaited_and_then_filled() -> None:
    awaited = PostAwaited(post=POST, role=Role.COOK, person="wang", since=LATER, until=None)
    before = given(establishments, established()).when(noted(LATER)).then(awaited)
    assert (before.state.unfilled, before.state.changes_on) == (3, LATER)
    before.when(noted(LATER)).then()
    before.when(UpdateHolders(), by=on(date(2026, 9, 30))).then()
    after = before.when(UpdateHolders(), by=on(LATER)).then(filled(since=LATER))
    assert (after.state.unfilled, after.state.changes_on) == (2, None)
    after.when(UpdateHolders(), by=on(LATER)).then()


def test_a_post_that_ends_by_itself_is_vacant_on_the_day() -> None:
    before = given(establishments, established(), filled(until=LATER))
    assert before.state.changes_on == LATER
    after = before.when(UpdateHolders(), by=on(LATER)).then(vacated(LATER))
    assert after.state.unfilled == 3
    after.when(UpdateHolders(), by=on(LATER)).then()


def test_one_follows_another_on_the_same_day() -> None:
    awaited = PostAwaited(post=OTHER, role=Role.COOK, person="wang", since=LATER, until=None)
    before = given(establishments, established(), filled(until=LATER), awaited)
    before.when(UpdateHolders(), by=on(LATER)).then(
        filled(post=OTHER, since=LATER, held=2), vacated(LATER, held=1)
    )


def test_ended_posts_are_vacant() -> None:
    before, end = given(establishments, established(), filled()), NotePostEnd
    gone = end(organisation=SCHOOL, post=POST, until=TODAY)
    before.when(gone).then(vacated(TODAY)).when(gone).then()
    later = end(organisation=SCHOOL, post=POST, until=LATER)
    changed = before.when(later).then(HoldingChanged(post=POST, until=LATER))
    assert changed.state.changes_on == LATER
    changed.when(later).then()
    given(establishments).when(gone).then()


def test_who_never_came_leaves_no_gap() -> None:
    awaited = PostAwaited(post=POST, role=Role.COOK, person="wang", since=LATER, until=None)
    never = NotePostEnd(organisation=SCHOOL, post=POST, until=TODAY)
    after = given(establishments, established(), awaited).when(never).then(vacated(TODAY, change=0))
    assert (after.state.awaited, after.state.unfilled) == ({}, 3)


def test_the_posts_of_a_closed_unit_end_with_it() -> None:
    command = CloseEstablishment(organisation=SCHOOL, closed_on=LATER)
    vacate = VacatePost(post=POST, until=LATER, reason="单位已撤销或并入其他单位")
    closed = EstablishmentClosed(closed_on=LATER, unfilled_change=-2)
    after = (
        given(establishments, established(), filled())
        .when(command)
        .then(closed, Send(staff, staff.id_of(SCHOOL, "wang"), vacate))
    )
    assert after.state.unfilled == 0
    after.when(command).then()


def recorded(stream: UUID, organisation: UUID) -> Recorded:
    at = by().at
    return Recorded(
        id=POST, stream=stream, version=1, organisation=organisation, actor="a", occurred_at=at,
        recorded_at=at,
    )  # fmt: skip


def test_what_happens_in_the_tree_and_to_posts_reaches_the_unit() -> None:
    """A unit's stream is owned by its parent: the unit itself is the stream."""
    school, envelope = registered(PLACE), recorded(PLACE.unit, UUID(int=9))
    own = establishments.id_of(PLACE.unit)
    assert establish_when_registered(school, envelope) == [
        Send(establishments, own, EstablishByRule(organisation=PLACE.unit, boarding=False))
    ]
    town = UnitRegistered(
        code="420528100", name="镇", level=Level.TOWNSHIP, parent=None, kind=school.kind,
        division_code="", since=TODAY,
    )  # fmt: skip
    assert establish_when_registered(town, envelope) == []
    assert close_when_closed(UnitClosed(closed_on=LATER), envelope) == [
        Send(establishments, own, CloseEstablishment(organisation=PLACE.unit, closed_on=LATER))
    ]
    appointed = StaffAppointed(
        post=POST, person="wang", unit=SCHOOL, role=Role.COOK, since=TODAY, until=None
    )
    at_school = establishments.id_of(SCHOOL)
    envelope = recorded(STREAM, SCHOOL)
    assert fill_when_appointed(appointed, envelope) == [Send(establishments, at_school, noted())]
    ended = PostEnded(post=POST, person="wang", until=TODAY)
    assert vacate_when_ended(ended, envelope) == [
        Send(establishments, at_school, NotePostEnd(organisation=SCHOOL, post=POST, until=TODAY))
    ]


def test_a_post_without_a_holder_shows() -> None:
    state: Establishment = given(establishments, established(), filled()).state
    rows = posts_of_roles(state, recorded(STREAM, SCHOOL))
    assert (rows["cook"].held, rows["cook"].unfilled, rows["cook"].holders) == (1, 1, "wang")
    assert (rows["buyer"].held, rows["buyer"].vacant) == (0, True)
    beyond = given(establishments, filled(change=0)).state
    assert not posts_of_roles(beyond, recorded(STREAM, SCHOOL))["cook"].vacant
