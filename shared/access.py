"""What somebody may see: the units at and below those where they hold a post that may read it."""

from __future__ import annotations

from collections.abc import Sequence

from shared.clock import this_moment
from shared.directory import Directory
from shared.fields import business_day
from shared.organisation import Role
from shared.problems import Problem


async def scope_of(directory: Directory, person: str, allow: Sequence[Role]) -> str:
    """The units at and below which a person may read what `allow` names: ids with commas, `*` for
    an administrator of the platform; raises the problem `forbidden` where there are none.
    """
    if person in directory.administrators:
        return "*"
    today = business_day(this_moment())
    units = {
        str(post.unit)
        for post in await directory.posts_of(person)
        if post.role in allow and post.holds_on(today)
    }
    if not units:
        raise Problem("no_post")
    return ",".join(sorted(units))
