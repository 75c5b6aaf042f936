"""Become another program that does not outlive its parent.

Run as `python -I -S guard.py PARENT SIGNAL UID COMMAND...` by `process.py`, never imported.
Replaces itself by COMMAND (so the pid stays), after it has asked the kernel to send SIGNAL to it
when PARENT dies, even by kill -9, and has dropped root for UID if UID is not "-".
Without that request (not Linux) the next start of the same instance cleans up by pid file.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, signal, uid, command = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    if uid != "-":
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    # The request comes after the change of user, because that change clears it.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
    if os.getppid() != int(parent):  # the parent died before the request was in place
        sys.exit(1)
    # Files of the data folder must never be readable by others, whatever the user's umask.
    os.umask(0o077)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
