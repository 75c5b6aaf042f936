"""What is published: never anything personal, and no faster than beside the daily work."""

from typing import Annotated, Any
from uuid import UUID

import pytest

from hosting.allowance import Allowance, Allowances
from hosting.disclosure import router
from shared.config import Settings
from shared.fields import personal
from shared.kernel import Aggregate, Event, Recorded, Service, State, View
from shared.problems import Problem
from shared.runtime import Runtime
from shared.words import words_of


class PupilNamed(Event):
    name: str


class Pupil(State):
    name: str


class PupilRow(View):
    id: UUID
    organisation: UUID
    name: Annotated[str, personal()]


def pupil_list(state: Pupil, recorded: Recorded) -> PupilRow:
    return PupilRow(id=recorded.stream, organisation=recorded.organisation, name=state.name)


def test_a_view_with_something_personal_is_never_served_to_everybody() -> None:
    def evolve(state: Pupil | None, event: PupilNamed) -> Pupil:
        return Pupil(name=event.name)

    pupils = Aggregate("pupil", events=PupilNamed, state=Pupil, evolve=evolve)
    pupils.view("/pupils", allow=(), sorts=("name",), public=True)(pupil_list)
    nothing: Any = None
    rt = Runtime(
        service=Service("organisation", [pupils]), settings=Settings(), pool=nothing,
        directory=nothing, writer=nothing, tokens=nothing, words=words_of("organisation"),
    )  # fmt: skip
    with pytest.raises(TypeError, match="PupilRow is personal"):
        router(rt)


def test_readers_beyond_what_a_process_allows_are_told_to_come_again() -> None:
    allowance = Allowance(2, "too_many_readers")
    for now in (100.0, 100.0, 100.5, 101.0):
        allowance.take(now)
    with pytest.raises(Problem) as told:
        allowance.take(101.25)
    assert (told.value.slug, told.value.status) == ("too_many_readers", 429)
    allowance.take(200.0)
    allowance.take(200.0)
    with pytest.raises(Problem):
        allowance.take(200.0)


def test_each_key_has_an_allowance_of_its_own() -> None:
    allowances = Allowances(2, "too_many_complaints")
    for key in ("a", "a", "b"):
        allowances.take(key, 100.0)
    with pytest.raises(Problem) as told:
        allowances.take("a", 100.0)
    assert (told.value.slug, told.value.status) == ("too_many_complaints", 429)
    allowances.take("a", 100.0 + 1800)
