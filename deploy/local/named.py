"""Run a command as a user who has a name: `python -I -S named.py COMMAND...`.

initdb insists on the name of the user who calls it. A user id without an entry in the password
file (usual in containers) has none; so the command sees itself, in a user namespace of its own,
as NOBODY, who has one. Files still belong to the real user. Linux only.
"""

import os
import sys
from pathlib import Path

NOBODY = 65534


def main() -> None:
    uid, gid = os.geteuid(), os.getegid()
    os.unshare(os.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")  # the kernel's condition for the next line
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
