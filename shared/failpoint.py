"""Places where a test may kill, stop or slow the process, to show that nothing is lost or doubled.

`HOUQIN_FAILPOINT="name[:count[:how]]"`: at the count-th pass (the first if not said) of the place
so named the process kills itself (SIGKILL, so nothing is tidied up); with `stop` it freezes
(SIGSTOP) until somebody lets it go on; with a number it takes so many seconds longer, from then on
at every pass. Without it nothing happens. Places:

append.before        decided, the transaction not begun
append.after_commit  committed, not yet answered
relay.after_send     acknowledged by Kafka, the cursor not yet moved
relay.after_mark     the cursor moved, and nothing else
project.middle       the effect of a batch written, its offsets not yet (`project.middle@figures`:
                     of the consumer of that name)
"""

from __future__ import annotations

import os
import signal
import time

_name, _count, _how = [*os.environ.get("HOUQIN_FAILPOINT", "").split(":"), "", ""][:3]
_left = [int(_count or 1)]


def failpoint(name: str, of: str = "") -> None:
    """Dies, freezes or dawdles here if the environment says so."""
    if _name not in {name, f"{name}@{of}"}:
        return
    _left[0] -= 1
    if _left[0] == 0 and _how in {"", "stop"}:
        os.kill(os.getpid(), signal.SIGSTOP if _how else signal.SIGKILL)
    elif _left[0] <= 0 and _how not in {"", "stop"}:
        time.sleep(float(_how))
