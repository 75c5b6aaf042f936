"""People and posts: duties kept apart, posts lent for days, contracts that are there."""

from copy import replace
from datetime import date
from typing import Any
from uuid import UUID, uuid5

import pytest

from services.organisation.posts import SegregationPolicy
from services.organisation.staff import (
    DelegationEnded,
    LabourContractEnded,
    LabourContractMissed,
    LabourContractSigned,
    PostBorrowed,
    PostDelegated,
    PostEnded,
    PostReturned,
    Staff,
    StaffAppointed,
    StaffNamed,
    StaffReengaged,
    staff,
)  # fmt: skip
from services.organisation.staff.appoint import (
    AppointStaff,
    EndPost,
    NameStaff,
    ReengageStaff,
    ReturnPost,
    VacatePost,
)  # fmt: skip
from services.organisation.staff.contract import (
    CheckLabourContracts,
    EndLabourContract,
    SignLabourContract,
    contract_check_at,
)  # fmt: skip
from services.organisation.staff.delegate import BorrowPost, DelegatePost, EndDelegation
from services.organisation.staff.views import (
    ContractStatus,
    borrowed_posts,
    delegation_list,
    labour_contracts,
    post_list,
)  # fmt: skip
from shared.kernel import By, Recorded, Send
from shared.organisation import Level, Role
from shared.testing import SCHOOL, STREAM, Given, Result, by, given
from tests.organisation.places import COUNTY, closed, tree_unit
from tests.organisation.places import SCHOOL as PLACE

TODAY = date(2026, 9, 7)
FIRST, NEXT_YEAR = date(2026, 9, 1), date(2027, 9, 1)
POST, SECOND = uuid5(STREAM, "post:0"), uuid5(STREAM, "post:1")
LENT = uuid5(STREAM, "delegation:0")
CONTRACT = uuid5(STREAM, "contract:0")
PRINCIPAL = by("zhao", Role.PRINCIPAL)


def appointed(
    role: Role = Role.BUYER, since: date = FIRST, until: date | None = None, **fields: Any
) -> StaffAppointed:
    return StaffAppointed(
        post=fields.pop("post", POST), person="wang", unit=SCHOOL, role=role, since=since,
        until=until, **fields,
    )  # fmt: skip


def appoint(
    role: Role, *before: Any, who: By = PRINCIPAL, place: Any = PLACE, person: str = "wang",
    **fields: Any,
) -> Result:  # fmt: skip
    command = AppointStaff(organisation=SCHOOL, person=person, role=role, **fields)
    return given(staff, *before).when(command, by=who, unit=place)


def test_appoints_once() -> None:
    first = appoint(Role.BUYER).then(appointed(since=TODAY))
    assert first.state.roles_in(TODAY, None) == [Role.BUYER]
    appoint(Role.BUYER, appointed(since=TODAY)).then()
    appoint(Role.BUYER, since=FIRST, last_day=date(2027, 8, 31)).then(appointed(until=NEXT_YEAR))
    appoint(Role.COOK).then(appointed(Role.COOK, TODAY, contract_due_on=date(2026, 10, 7)))


def test_a_name_is_recorded_once_and_corrected() -> None:
    named = StaffNamed(person="wang", full_name="王芳")
    appoint(Role.BUYER, full_name="王芳").then(appointed(since=TODAY), named)
    appoint(Role.BUYER, appointed(since=TODAY), full_name="王芳").then(named)
    appoint(Role.BUYER, appointed(since=TODAY), named, full_name="王芳").then()
    command = NameStaff(full_name="王方")
    corrected = StaffNamed(person="wang", full_name="王方")
    after = given(staff, appointed(), named).when(command, by=PRINCIPAL).then(corrected)
    after.when(command, by=PRINCIPAL).then()


def test_appoints_to_another_post_beside_the_first() -> None:
    appoint(Role.TEACHER, appointed(), since=FIRST).then(appointed(Role.TEACHER, post=SECOND))


def test_refuses_a_post_where_it_has_no_place() -> None:
    appoint(Role.BUYER, place=None).refused("unit_unknown", field="organisation")
    appoint(Role.BUYER, place=closed(PLACE, TODAY)).refused("unit_not_there", field="since")
    appoint(Role.BUYER, since=date(2009, 7, 31)).refused("unit_not_there", field="since")
    appoint(Role.BUREAU_OFFICER).refused("post_not_at_level", field="role")
    classroom = tree_unit("2142000001-2024-03", Level.CLASS, PLACE.unit)
    appoint(Role.STOREKEEPER, place=classroom).refused("post_not_at_level")
    appoint(Role.BUYER, last_day=date(2026, 9, 6)).refused("last_day_before_first")


def test_each_post_has_its_appointers() -> None:
    appoint(Role.PRINCIPAL).refused("not_yours_to_appoint", field="role")
    officer = by("li", Role.BUREAU_OFFICER, unit=COUNTY.unit, level=Level.COUNTY)
    assert appoint(Role.PRINCIPAL, who=officer).outcome()
    appoint(Role.ADMINISTRATOR, who=officer).refused("not_yours_to_appoint")
    administrator = by("admin", Role.ADMINISTRATOR)
    assert appoint(Role.ADMINISTRATOR, who=administrator).outcome()
    appoint(Role.BUYER, person="zhao").refused("appoints_himself", field="person")
    assert appoint(Role.ADMINISTRATOR, who=administrator, person="admin").outcome()


def test_refuses_the_same_post_twice_at_once() -> None:
    held = appointed(until=NEXT_YEAR)
    appoint(Role.BUYER, held, since=TODAY).refused("post_held_already", field="since")
    assert appoint(Role.BUYER, held, since=NEXT_YEAR).outcome()
    never = PostEnded(post=POST, person="wang", until=FIRST)
    assert appoint(Role.BUYER, appointed(), never, since=FIRST).outcome()


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (Role.CASHIER, Role.ACCOUNTANT), (Role.CASHIER, Role.STOREKEEPER),
        (Role.ACCOUNTANT, Role.STOREKEEPER), (Role.BUYER, Role.STOREKEEPER),
        (Role.BUYER, Role.LOGISTICS_DIRECTOR), (Role.STOREKEEPER, Role.LOGISTICS_DIRECTOR),
        (Role.PRINCIPAL, Role.BUYER), (Role.PRINCIPAL, Role.STOREKEEPER),
    ],
)  # fmt: skip
def test_duties_that_never_lie_in_one_hand(held: Role, wanted: Role) -> None:
    officer = by("li", Role.BUREAU_OFFICER)
    appoint(wanted, appointed(held), who=officer).refused("duties_in_one_hand", field="role")
    appoint(held, appointed(wanted), who=officer).refused("duties_in_one_hand", field="role")
    past = appointed(held, until=TODAY)
    assert appoint(wanted, past, who=officer).outcome()
    appoint(wanted, past, who=officer, since=date(2026, 9, 6)).refused("duties_in_one_hand")
    borrowed = PostBorrowed(
        delegation=LENT, person="wang", lender="sun", role=held, since=TODAY, until=NEXT_YEAR
    )
    appoint(wanted, borrowed, who=officer).refused("duties_in_one_hand")


def test_a_region_may_allow_what_the_country_keeps_apart() -> None:
    command = AppointStaff(organisation=SCHOOL, person="wang", role=Role.STOREKEEPER)
    loose = SegregationPolicy(apart=((Role.CASHIER, Role.ACCOUNTANT),))
    before = given(staff, appointed(Role.BUYER))
    assert before.when(command, by=PRINCIPAL, unit=PLACE, segregation=loose).outcome()


def end(
    *before: Any, who: By = PRINCIPAL, post: UUID = POST, last_day: date | None = None
) -> Result:
    command = EndPost(post=post, last_day=last_day, reason="调离")
    return given(staff, appointed(), *before).when(command, by=who)


def ended(until: date = TODAY, **fields: Any) -> PostEnded:
    return PostEnded(
        post=POST, person="wang", until=until, role=Role.BUYER, reason="调离", **fields
    )


def test_a_post_ends_at_once_or_after_its_last_day() -> None:
    end().then(ended())
    end(last_day=date(2026, 9, 30)).then(ended(date(2026, 10, 1)))
    end(ended()).then()
    end(ended(), last_day=date(2026, 9, 6)).then()
    end(ended(), last_day=date(2026, 9, 30)).refused("post_ends_before", field="last_day")
    end(last_day=date(2026, 8, 31)).refused("last_day_before_first", field="last_day")
    end(post=SECOND).refused("post_unknown", field="post")
    end(who=by("wang", Role.LOGISTICS_DIRECTOR)).refused("not_yours_to_appoint")


def delegation(since: date = TODAY, until: date = date(2026, 9, 12)) -> PostDelegated:
    return PostDelegated(
        delegation=LENT, post=POST, person="wang", to="sun", unit=SCHOOL, role=Role.BUYER,
        since=since, until=until, reason="出差",
    )  # fmt: skip


def test_what_was_lent_ends_with_the_post() -> None:
    end(delegation()).then(
        ended(),
        DelegationEnded(delegation=LENT, until=TODAY),
        Send(staff, staff.id_of(SCHOOL, "sun"), ReturnPost(delegation=LENT, until=TODAY)),
    )
    end(delegation(), last_day=date(2026, 9, 11)).then(ended(date(2026, 9, 12)))


def test_a_closed_units_posts_end_without_a_no() -> None:
    command = VacatePost(post=POST, until=NEXT_YEAR)
    vacated = PostEnded(post=POST, person="wang", until=NEXT_YEAR, role=Role.BUYER)
    given(staff, appointed()).when(command).then(vacated).when(command).then()
    given(staff, appointed(until=NEXT_YEAR)).when(command).then()
    given(staff, appointed()).when(VacatePost(post=SECOND, until=TODAY)).then()


def reengage(*before: Any, who: By = PRINCIPAL, year: int = 2027, **fields: Any) -> Result:
    command = ReengageStaff(post=POST, school_year=year, **fields)
    return given(staff, *before).when(command, by=who)


def reengaged(next_post: UUID | None) -> StaffReengaged:
    return StaffReengaged(
        post=POST, person="wang", role=Role.BUYER, school_year=2027, next_post=next_post
    )


def test_re_engages_yearly() -> None:
    after = reengage(appointed()).then(reengaged(None))
    assert after.state.posts[POST].reengaged_for == 2027
    reengage(appointed(), reengaged(None)).then()
    reengage(appointed(), reengaged(None), year=2026).refused("reengaged_out_of_order")
    never = PostEnded(post=POST, person="wang", until=FIRST)
    reengage(appointed(), never).refused("reengaged_out_of_order")
    reengage(appointed(), who=by("wang", Role.PRINCIPAL)).refused("appoints_himself", field="post")
    reengage(appointed(), who=by("sun", Role.COOK)).refused("not_yours_to_appoint")
    reengage(appointed(post=SECOND)).refused("post_unknown")


def test_a_post_with_an_end_goes_on_after_it() -> None:
    held, last_day = appointed(until=NEXT_YEAR), date(2028, 8, 31)
    going_on = appointed(since=NEXT_YEAR, until=date(2028, 9, 1), post=SECOND, renews=POST)
    after = reengage(held, last_day=last_day).then(going_on, reengaged(SECOND))
    assert after.state.posts[SECOND].reengaged_for == 2027
    reengage(held, going_on, reengaged(SECOND), last_day=last_day).then()
    reengage(held).refused("reengaged_until_when", field="last_day")
    reengage(held, last_day=date(2027, 8, 31)).refused("reengaged_until_when")
    later = appointed(since=date(2028, 1, 1), post=SECOND)
    reengage(held, later, last_day=last_day).refused("post_held_already")
    other = appointed(Role.STOREKEEPER, since=date(2028, 1, 1), post=SECOND)
    reengage(held, other, last_day=last_day).refused("duties_in_one_hand")


def delegate(
    *before: Any, who: By | None = None, to: str = "sun", since: date | None = None,
    last_day: date = date(2026, 9, 11), post: UUID = POST, held: StaffAppointed | None = None,
) -> Result:  # fmt: skip
    command = DelegatePost(post=post, to=to, since=since, last_day=last_day, reason="出差")
    return given(staff, held or appointed(), *before).when(
        command, by=who or by("wang", Role.BUYER)
    )


def test_lends_a_post_for_some_days() -> None:
    borrowing = BorrowPost(
        organisation=SCHOOL, person="sun", delegation=LENT, lender="wang", role=Role.BUYER,
        since=TODAY, until=date(2026, 9, 12),
    )  # fmt: skip
    delegate().then(delegation(), Send(staff, staff.id_of(SCHOOL, "sun"), borrowing))
    delegate(delegation()).then()
    assert delegate(who=PRINCIPAL).outcome()


def test_refuses_wrong_delegations() -> None:
    delegate(post=SECOND).refused("post_unknown", field="post")
    delegate(who=by("qian", Role.COOK)).refused("not_yours_to_lend")
    delegate(to="wang").refused("delegates_to_himself", field="to")
    delegate(to="zhao", who=PRINCIPAL).refused("delegates_to_himself", field="to")
    delegate(since=date(2026, 9, 6)).refused("delegated_in_the_past", field="since")
    delegate(last_day=date(2026, 9, 6)).refused("last_day_before_first", field="last_day")
    until = appointed(until=date(2026, 9, 11))
    delegate(held=until).refused("delegated_beyond_post", field="last_day")
    assert delegate(held=until, last_day=date(2026, 9, 10)).outcome()
    assert delegate(last_day=date(2026, 12, 5)).outcome()
    delegate(last_day=date(2026, 12, 6)).refused("delegated_too_long", field="last_day")
    delegate(delegation(), to="qian").refused("post_lent_already", field="since")
    after = delegate(delegation(), to="qian", since=date(2026, 9, 12), last_day=date(2026, 9, 13))
    assert after.outcome()


def test_a_borrowed_post_is_not_lent_on() -> None:
    borrowed = PostBorrowed(
        delegation=LENT, person="wang", lender="sun", role=Role.CASHIER, since=TODAY,
        until=NEXT_YEAR,
    )  # fmt: skip
    delegate(borrowed, held=appointed(Role.TEACHER), post=LENT).refused("post_unknown")


def test_nobody_borrows_what_must_lie_in_other_hands() -> None:
    command = BorrowPost(
        organisation=SCHOOL, person="wang", delegation=LENT, lender="sun", role=Role.STOREKEEPER,
        since=TODAY, until=date(2026, 9, 12),
    )  # fmt: skip
    given(staff, appointed()).when(command).refused("delegation_joins_duties", field="to")
    borrowed = PostBorrowed(
        delegation=LENT, person="wang", lender="sun", role=Role.STOREKEEPER, since=TODAY,
        until=date(2026, 9, 12),
    )  # fmt: skip
    given(staff).when(command).then(borrowed).when(command).then()
    given(staff, appointed(until=TODAY)).when(command).then(borrowed)
    back = ReturnPost(delegation=LENT, until=date(2026, 9, 9))
    returned = PostReturned(delegation=LENT, until=date(2026, 9, 9))
    after = given(staff, borrowed).when(back).then(returned)
    assert after.state.roles_in(date(2026, 9, 9), None) == []
    after.when(back).then()


def test_a_delegation_is_taken_back() -> None:
    lent, holder = given(staff, appointed(), delegation(since=FIRST)), by("wang", Role.BUYER)
    borrower = staff.id_of(SCHOOL, "sun")
    taken = EndDelegation(delegation=LENT)
    lent.when(taken, by=holder).then(
        DelegationEnded(delegation=LENT, until=TODAY),
        Send(staff, borrower, ReturnPost(delegation=LENT, until=TODAY)),
    )
    after = Given(
        staff, (appointed(), delegation(since=FIRST), DelegationEnded(delegation=LENT, until=TODAY))
    )
    after.when(taken, by=holder).then()
    later = EndDelegation(delegation=LENT, last_day=date(2026, 9, 30))
    after.when(later, by=holder).refused("delegation_ends_before", field="last_day")
    early = EndDelegation(delegation=LENT, last_day=date(2026, 8, 31))
    lent.when(early, by=holder).refused("last_day_before_first")
    lent.when(taken, by=by("qian", Role.COOK)).refused("not_yours_to_lend")
    given(staff, appointed()).when(taken, by=holder).refused("delegation_unknown")


COOK = appointed(Role.COOK, contract_due_on=date(2026, 10, 1))


def signed(first: date = FIRST, last: date | None = None, **fields: Any) -> LabourContractSigned:
    return LabourContractSigned(
        contract=fields.pop("contract", CONTRACT), person="wang", number="1", signed_on=FIRST,
        first_day=first, last_day=last, was_missing=fields.pop("was_missing", False),
    )  # fmt: skip


def sign(*before: Any, who: By = PRINCIPAL, **fields: Any) -> Result:
    wanted: dict[str, Any] = {"number": "1", "signed_on": FIRST, "first_day": FIRST} | fields
    return given(staff, COOK, *before).when(SignLabourContract(**wanted), by=who)


def test_signs_a_contract_once() -> None:
    sign().then(signed())
    sign(signed()).then()
    sign(who=by("wang", Role.LOGISTICS_DIRECTOR)).refused("own_contract")
    sign(last_day=date(2026, 8, 31)).refused("contract_ends_first", field="last_day")
    sign(signed_on=date(2026, 9, 8)).refused("signed_in_future", field="signed_on")
    known = signed(last=date(2027, 8, 31))
    sign(known, number="2", first_day=date(2027, 8, 31)).refused("contract_overlaps")
    assert sign(known, number="2", first_day=NEXT_YEAR).outcome()


def end_contract(*before: Any, day: date = date(2026, 9, 5), who: By = PRINCIPAL) -> Result:
    command = EndLabourContract(contract=CONTRACT, ended_on=day, reason="辞职")
    return given(staff, COOK, *before).when(command, by=who)


def test_ends_a_contract_once() -> None:
    gone = LabourContractEnded(
        contract=CONTRACT, person="wang", ended_on=date(2026, 9, 5), reason="辞职"
    )
    end_contract(signed()).then(gone)
    end_contract(signed(), gone).then()
    end_contract(signed(), gone, day=TODAY).refused("contract_over", field="ended_on")
    end_contract(signed(), day=date(2026, 8, 31)).refused("contract_ends_first")
    end_contract().refused("contract_unknown", field="contract")
    end_contract(signed(), who=by("wang", Role.PRINCIPAL)).refused("own_contract")


def due_on(*events: Any) -> date | None:
    at = contract_check_at(given(staff, *events).state)
    return at.date() if at else None


def test_a_missing_contract_shows_by_itself_when_it_is_due() -> None:
    assert due_on(appointed()) is None
    assert due_on(COOK) == date(2026, 10, 1)
    assert due_on(COOK, signed()) is None
    assert due_on(COOK, signed(last=date(2027, 8, 31))) == NEXT_YEAR
    assert due_on(COOK, PostEnded(post=POST, person="wang", until=date(2026, 9, 20))) is None
    missed = LabourContractMissed(person="wang", roles=(Role.COOK,), since=date(2026, 10, 1))
    command, on_day = CheckLabourContracts(), by(at="2026-10-01T00:00:00+08:00")
    given(staff, COOK).when(command, by=on_day).then(missed).when(command, by=on_day).then()
    given(staff, COOK).when(command, by=by(at="2026-09-30T23:59:00+08:00")).then()
    given(staff, COOK, signed()).when(command, by=on_day).then()
    assert due_on(COOK, missed) is None


def test_a_late_contract_ends_what_was_missing() -> None:
    missed = LabourContractMissed(person="wang", roles=(Role.COOK,), since=date(2026, 10, 1))
    late = by("zhao", Role.PRINCIPAL, at="2026-10-20T08:00:00+08:00")
    after = sign(missed, who=late, first_day=date(2026, 10, 20)).then(
        signed(first=date(2026, 10, 20), was_missing=True)
    )
    assert (after.state.missing_since, contract_check_at(after.state)) == (None, None)
    ending = given(staff, COOK, missed).when(EndPost(post=POST, reason="离职"), by=late).then(
        PostEnded(
            post=POST, person="wang", until=date(2026, 10, 20), role=Role.COOK, reason="离职",
            contract_was_missing=True,
        )
    )  # fmt: skip
    assert ending.state.missing_since is None


def recorded() -> Recorded:
    at = by().at
    return Recorded(
        id=POST, stream=STREAM, version=1, organisation=SCHOOL, actor="a", occurred_at=at,
        recorded_at=at,
    )  # fmt: skip


def status(*events: Any) -> ContractStatus:
    return post_list(given(staff, *events).state, recorded())[str(POST)].contract_status


def test_the_list_shows_who_has_no_contract() -> None:
    assert status(appointed()) is ContractStatus.NOT_NEEDED
    assert status(COOK) is ContractStatus.MISSING
    assert status(COOK, signed()) is ContractStatus.SIGNED
    gone = signed(last=date(2026, 9, 30))
    missed = LabourContractMissed(person="wang", roles=(Role.COOK,), since=date(2026, 10, 1))
    assert status(COOK, gone) is ContractStatus.SIGNED
    assert status(COOK, gone, missed) is ContractStatus.MISSING


def test_lists_show_last_days() -> None:
    state: Staff = given(staff, COOK, delegation(), signed(last=date(2027, 8, 31))).state
    row = post_list(state, recorded())[str(POST)]
    assert (row.lent_to, row.lent_last_day, row.last_day) == ("sun", date(2026, 9, 11), None)
    assert row.contract_last_day == date(2027, 8, 31)
    assert delegation_list(state, recorded())[str(LENT)].last_day == date(2026, 9, 11)
    assert labour_contracts(state, recorded())[str(CONTRACT)].holds_to == date(2027, 8, 31)
    borrowed = PostBorrowed(
        delegation=LENT, person="sun", lender="wang", role=Role.BUYER, since=TODAY, until=NEXT_YEAR
    )
    rows = borrowed_posts(given(staff, borrowed).state, recorded())
    assert rows[str(LENT)].last_day == date(2027, 8, 31)
    assert replace(state, posts={}).needing_contract == []
