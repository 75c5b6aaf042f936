"""What time it is: the one place where the platform asks.

`HOUQIN_CLOCK` names a file that holds by how many seconds this process's clock is off, read anew
each time: so a test can let the clock of a machine jump. Without it nothing is off.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

_off = Path(path) if (path := os.environ.get("HOUQIN_CLOCK")) else None


def this_moment() -> datetime:
    """Now, in UTC."""
    told = datetime.now(UTC)
    return told if _off is None else told + timedelta(seconds=float(_off.read_text()))


def since_1970() -> float:
    """Now, in seconds as Unix counts them."""
    return this_moment().timestamp()
