"""Putting a hazard right, with a photo of how it looks now."""

from __future__ import annotations

from services.safety.hazard import (
    Hazard,
    HazardRectified,
    HazardStatus,
    about,
    hazards,
    refuse_earlier,
    refuse_unless_open,
)
from services.safety.hazard.report import HazardPhotos
from shared.fields import Reason
from shared.kernel import By, Command, Refused
from shared.organisation import BUREAU, SCHOOL_STAFF

RECTIFIERS = (*SCHOOL_STAFF, *BUREAU)
"""Anybody employed may be given a hazard; the decision knows to whom it was given."""


class RectifyHazard(Command):
    """`done`: what was done; `photos`: how it looks now, at least one."""

    done: Reason
    photos: HazardPhotos


@hazards.post("/hazards/{id}/rectify", allow=RECTIFIERS)
def rectify(state: Hazard, command: RectifyHazard, by: By) -> HazardRectified | None:
    if state.status is HazardStatus.RECTIFIED:
        same = (state.done, state.after_photos) == (command.done, command.photos)
        if same and by.person == state.rectifier:
            return None
    refuse_unless_open(state)
    if state.rectifier is None:
        raise Refused("hazard_not_assigned")
    if by.person != state.rectifier:
        raise Refused("not_the_rectifier", rectifier=state.rectifier)
    refuse_earlier(by, state.rectified_at or state.found_at)
    if not command.photos:
        raise Refused("after_photo_missing", field="photos")
    if set(command.photos) & {*state.photos, *state.after_photos}:
        raise Refused("after_photo_not_new", field="photos")
    return HazardRectified(
        **about(state),
        done=command.done,
        photos=command.photos,
        rectified_by=by.person,
        rectified_at=by.at,
        due_at=state.due_at,
        on_time=by.at <= state.due_at,
    )
