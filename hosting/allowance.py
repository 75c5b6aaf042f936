"""How much is done for people whom nobody knows: so much a second, for each of them and for all."""

from __future__ import annotations

from collections import OrderedDict

from shared.problems import Problem

KEYS_MAX = 10_000
HOUR_S = 3600


class Allowance:
    """So many answers a second on average, and `most` at once after a pause (as many, unless
    said); beyond them `slug` is raised.
    """

    def __init__(self, per_s: float, slug: str, most: float | None = None) -> None:
        self.per_s, self.slug = per_s, slug
        self.most = self.left = per_s if most is None else most
        self.at = 0.0

    def take(self, now: float) -> None:
        """One of them, at a moment in seconds; raises the problem where none is left."""
        self.left = min(self.most, self.left + (now - self.at) * self.per_s)
        self.at = now
        if self.left < 1:
            raise Problem(self.slug)
        self.left -= 1

    def give_back(self) -> None:
        """One that was taken for nothing."""
        self.left = min(self.most, self.left + 1)


class Allowances:
    """An allowance for each key: so many an hour, as many at once. The keys that came last are
    remembered; a process forgets them all when it ends.
    """

    def __init__(self, per_h: float, slug: str) -> None:
        self.per_h, self.slug = per_h, slug
        self._known: OrderedDict[str, Allowance] = OrderedDict()

    def take(self, key: str, now: float) -> None:
        """One for that key, at a moment in seconds; raises the problem where none is left."""
        known = self._known.pop(key, None)
        self._known[key] = known or Allowance(self.per_h / HOUR_S, self.slug, self.per_h)
        if len(self._known) > KEYS_MAX:
            self._known.popitem(last=False)
        self._known[key].take(now)

    def give_back(self, key: str) -> None:
        """One of that key's that was taken for nothing."""
        if key in self._known:
            self._known[key].give_back()
