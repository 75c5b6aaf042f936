"""The tree along which figures are rolled up, with its history.

A unit counts on each day for everybody who stood above it on that day; before its first date it
counts where it was first put, so that a fact entered late has a place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from uuid import UUID

DEPTH_MAX = 16
"""Units between a class and the country, with room to spare; ends a circle, should there be one."""

type History = tuple[tuple[date, UUID | None], ...]
"""Since when under which parent, oldest first."""

type Span = tuple[date, date]
"""First and last day, both included."""


type Paths = tuple[list[date], list[tuple[UUID, ...]]]
"""Since when which path, oldest first."""


class Tree:
    """Units and their parents over time. `version` is that of the local copy it was taken from."""

    def __init__(self) -> None:
        self.version = -1
        self.parents: dict[UUID, History] = {}
        self._children: dict[UUID, set[UUID]] = defaultdict(set)
        self._paths: dict[UUID, Paths] = {}

    def copy(self) -> Tree:
        """A tree of its own, equal to this one."""
        made = Tree()
        made.version, made.parents = self.version, dict(self.parents)
        made._children.update((unit, set(below)) for unit, below in self._children.items())
        return made

    def put(self, unit: UUID, history: Iterable[tuple[date, UUID | None]]) -> None:
        """Replaces a unit's whole history."""
        for _, parent in self.parents.get(unit, ()):
            if parent is not None:
                self._children[parent].discard(unit)
        self.parents[unit] = tuple(sorted(history, key=lambda entry: entry[0]))
        for _, parent in self.parents[unit]:
            if parent is not None:
                self._children[parent].add(unit)
        self._paths.clear()

    def path_on(self, unit: UUID, day: date) -> tuple[UUID, ...]:
        """The unit and all above it on that day, from the unit upwards."""
        found = self._paths.get(unit)
        if found is None:
            found = self._paths[unit] = self._over_time(unit)
        starts, paths = found
        if len(paths) == 1:
            return paths[0]
        return paths[max(bisect_right(starts, day) - 1, 0)]

    def over_time(self, unit: UUID) -> list[tuple[date, tuple[UUID, ...]]]:
        """Every path that the unit has had, and since when; the first has no beginning."""
        self.path_on(unit, date.min)
        return list(zip(*self._paths[unit], strict=True))

    def _over_time(self, unit: UUID, below: int = 0) -> Paths:
        """Every path that the unit has had, and since when."""
        history = self.parents.get(unit, ())
        if not history:
            return [date.min], [(unit,)]
        since, parent = history[0]
        if len(history) == 1 and below < DEPTH_MAX:
            if parent is None:
                return [since], [(unit,)]
            # Always in one place: its paths are its parent's, so each is made only once.
            above = self._paths.get(parent)
            if above is None:
                above = self._paths[parent] = self._over_time(parent, below + 1)
            if not any(unit in path for path in above[1]):
                return above[0], [(unit, *path) for path in above[1]]
        marks = sorted(self._marks(unit))
        starts: list[date] = []
        paths: list[tuple[UUID, ...]] = []
        for mark in marks:
            path = self._climb(unit, mark)
            if not paths or paths[-1] != path:
                starts.append(mark)
                paths.append(path)
        return starts, paths

    def _marks(self, unit: UUID) -> set[date]:
        """The days on which anything above the unit has changed."""
        marks: set[date] = set()
        seen, waiting = {unit}, [unit]
        while waiting:
            for since, parent in self.parents.get(waiting.pop(), ()):
                marks.add(since)
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)
        return marks

    def _climb(self, unit: UUID, day: date) -> tuple[UUID, ...]:
        path = [unit]
        while len(path) < DEPTH_MAX:
            parent = self.parent_on(path[-1], day)
            if parent is None or parent in path:
                break
            path.append(parent)
        return tuple(path)

    def parent_on(self, unit: UUID, day: date) -> UUID | None:
        """The unit directly above on that day."""
        history = self.parents.get(unit, ())
        parent = history[0][1] if history else None
        for since, candidate in history:
            if since > day:
                break
            parent = candidate
        return parent

    def children_within(self, unit: UUID, span: Span) -> dict[UUID, list[Span]]:
        """Every unit that stood directly below on some day of the span, and when."""
        first, last = span
        found: dict[UUID, list[Span]] = {}
        for child in self._children.get(unit, ()):
            history = self.parents[child]
            spells = []
            for at, (since, parent) in enumerate(history):
                begin = first if at == 0 else max(first, since)
                end = last if at + 1 == len(history) else min(last, _before(history[at + 1][0]))
                if parent == unit and begin <= end:
                    spells.append((begin, end))
            if spells:
                found[child] = spells
        return found

    def ever_below(self, unit: UUID) -> list[UUID]:
        """The unit and everything that has ever stood below it, upper ones first."""
        found, seen = [unit], {unit}
        for above in found:
            fresh = self._children.get(above, set()) - seen
            seen |= fresh
            found.extend(fresh)
        return found


def _before(day: date) -> date:
    return date.fromordinal(day.toordinal() - 1)
