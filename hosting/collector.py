"""How often Python looks for objects that nobody needs any more but each other."""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """What every process of ours does first. Batches of thousands of events are all young objects:
    collecting every 700 of them cost a third of a consumer's time.
    """
    gc.set_threshold(100_000, 20, 20)
