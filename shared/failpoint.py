"""Places where a test may kill the process, to show that nothing is lost or done twice.

`HOUQIN_FAILPOINT="name[:count]"` kills this process (SIGKILL, so nothing is tidied up) at the
count-th pass (the first if not said) of the place so named. Without it nothing happens. Places:

append.before        decided, the transaction not begun
append.after_commit  committed, not yet answered
relay.after_send     acknowledged by Kafka, the cursor not yet moved
relay.after_mark     the cursor moved, and nothing else
project.middle       the effect of a batch written, its offsets not yet
"""

from __future__ import annotations

import os
import signal

_name, _, _count = os.environ.get("HOUQIN_FAILPOINT", "").partition(":")
_left = [int(_count or 1)]


def failpoint(name: str) -> None:
    """Dies here if the environment says so."""
    if name != _name:
        return
    _left[0] -= 1
    if _left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
