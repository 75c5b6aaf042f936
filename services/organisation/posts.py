"""Who may hold which post where, who appoints, and what never lies in one hand: dated rules.

不相容岗位. Cash, books and goods (钱账物) are kept by three persons; who buys does not accept, and
who accepts does not review. A county may change the table by a rule pack.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from services.organisation.unit import TreeUnit
from shared.kernel import By, Policy, Refused
from shared.organisation import Level, Role

APPOINTERS = (Role.ADMINISTRATOR, Role.BUREAU_OFFICER, Role.PRINCIPAL)
"""Who appoints at all; for which posts, the rule says."""


class PostRule(msgspec.Struct, frozen=True, kw_only=True):
    """At which levels a role has its place, who besides the administrator appoints to it, and
    whether its holder needs a labour contract.
    """

    levels: tuple[Level, ...]
    appointed_by: tuple[Role, ...] = ()
    contract: bool = False


class PostsPolicy(Policy):
    """The rule of each role; a contract is due `contract_days_max` after the post begins."""

    slug: ClassVar[str] = "organisation.posts"

    posts: dict[Role, PostRule]
    contract_days_max: int


class SegregationPolicy(Policy):
    """Groups of roles of which one person holds at most one at a unit."""

    slug: ClassVar[str] = "organisation.segregation"

    apart: tuple[tuple[Role, ...], ...]


class DelegationPolicy(Policy):
    """For how many days a post may be lent, first and last day counted."""

    slug: ClassVar[str] = "organisation.delegation"

    days_max: int


def refuse_unfit_post(role: Role, unit: TreeUnit, policy: PostsPolicy) -> PostRule:
    """The rule of a role; refuses one that has no place at such a unit."""
    rule = policy.posts.get(role)
    if rule is None or unit.level not in rule.levels:
        raise Refused("post_not_at_level", field="role", role=role, level=unit.level)
    return rule


def refuse_other_appointers(role: Role, policy: PostsPolicy, by: By) -> None:
    """Refuses whoever may not fill or empty that post."""
    rule = policy.posts.get(role)
    if not by.holds(Role.ADMINISTRATOR, *(rule.appointed_by if rule else ())):
        raise Refused("not_yours_to_appoint", field="role", role=role)


def conflicting(role: Role, held: Iterable[Role], policy: SegregationPolicy) -> Role | None:
    """A held role that must be kept apart from `role`, or None."""
    for other in held:
        if other is not role and any(role in group and other in group for group in policy.apart):
            return other
    return None
