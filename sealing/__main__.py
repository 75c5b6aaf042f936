"""密钥文件 · the file that wraps data keys: made, renewed, and older keys done away with.

make    a new file, for its owner alone          add     a newer wrapping key, beside the older ones
rewrap  wraps every data key with the newest     drop    removes the older wrapping keys for good
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from sealing import secret_file, vault


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m sealing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=["make", "add", "rewrap", "drop"])
    parser.add_argument("file", type=Path, help="密钥文件 · HOUQIN_SECRETS")
    parser.add_argument("--keys", default="", help="密钥库 · HOUQIN_KEYS, for rewrap and drop")
    given = parser.parse_args()
    if given.action == "make":
        secret_file.make(given.file)
    elif given.action == "add":
        _say(f"wrapping key {secret_file.add_wrapping_key(given.file)}")
    else:
        asyncio.run(_renew(given.file, given.keys, drop=given.action == "drop"))


async def _renew(path: Path, keys: str, *, drop: bool) -> None:
    """Wraps anew; the older wrapping keys go only once no data key needs them."""
    async with vault.opened(keys, secret_file.read(path), "aes-256-gcm", 0) as made:
        _say(f"{await made.rewrap()} data keys wrapped anew")
    if drop:
        secret_file.drop_older_wrapping_keys(path)
        _say("older wrapping keys are gone")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
