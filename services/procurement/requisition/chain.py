"""Which steps a requisition must pass: amount x category x fund x organisation, from dated rules.

The bands narrowest in category and fund win, so a category's own table replaces the general one;
among them the one with the highest `from_cny` not above the amount. A rule pack of a province,
county or school replaces the whole table for the units below it.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

import msgspec

from services.procurement.budget import Fund
from services.procurement.category import Category
from services.procurement.requisition import ApprovalStep
from shared.kernel import Policy, Refused
from shared.organisation import HeldPost, Level, Role


class ChainStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a band. `instead` takes its place where the one who asks holds that very post."""

    role: Role
    level: Level
    instead: ApprovalStep | None = None


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """Steps from an amount on; an empty filter means any."""

    from_cny: Decimal
    steps: tuple[ChainStep, ...]
    categories: tuple[Category, ...] = ()
    funds: tuple[Fund, ...] = ()
    levels: tuple[Level, ...] = ()

    def covers(self, amount_cny: Decimal, category: Category, fund: Fund, level: Level) -> bool:
        """Whether the band speaks of such a purchase by a unit of that level."""
        return (
            self.from_cny <= amount_cny
            and (not self.categories or category in self.categories)
            and (not self.funds or fund in self.funds)
            and (not self.levels or level in self.levels)
        )

    @property
    def narrowness(self) -> int:
        """How many of category and fund it names."""
        return bool(self.categories) + bool(self.funds)


class ApprovalPolicy(Policy):
    """The approval table in force."""

    slug: ClassVar[str] = "procurement.approval"

    bands: tuple[Band, ...]


def chain_of(
    policy: ApprovalPolicy,
    *,
    amount_cny: Decimal,
    category: Category,
    fund: Fund,
    level: Level,
    posts: Iterable[HeldPost],
) -> tuple[ApprovalStep, ...]:
    """The steps in order, each once; `posts` are those of the one who asks."""
    bands = [band for band in policy.bands if band.covers(amount_cny, category, fund, level)]
    if not bands:
        raise Refused("no_approval_chain", category=category, fund=fund, amount_cny=amount_cny)
    band = max(bands, key=lambda band: (band.narrowness, band.from_cny, len(band.steps)))
    own = {(post.role, post.level) for post in posts if post.delegated_by is None}
    steps: list[ApprovalStep] = []
    for wanted in band.steps:
        step = ApprovalStep(role=wanted.role, level=wanted.level)
        if (step.role, step.level) in own and wanted.instead is not None:
            step = wanted.instead
        if step not in steps:
            steps.append(step)
    if not steps:
        raise Refused("no_approval_chain", category=category, fund=fund, amount_cny=amount_cny)
    return tuple(steps)
