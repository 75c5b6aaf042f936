"""`make test`: everything that must hold, stage by stage, with the seconds of each.

python -m deploy.local.check            all stages
python -m deploy.local.check types      one stage (or several) by name
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

STAGES: dict[str, list[str]] = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types": ["mypy"],
    "walls": ["lint-imports", "--no-cache"],
    "contracts": ["python", "-m", "contracts", "--check"],
    "rules": ["python", "-m", "pytest", "tests", "-m", "not stack", "-n", "2"],
    "stack": ["python", "-m", "pytest", "tests", "-m", "stack"],
}
"""Name -> command; `rules` needs nothing started, `stack` starts a Postgres and a broker."""


def run(name: str) -> tuple[int, float]:
    """Exit status and seconds of one stage; its output goes straight to the screen."""
    began = time.perf_counter()
    print(f"── {name}", flush=True)
    program, *rest = STAGES[name]
    status = subprocess.run([BIN / program, *rest], cwd=ROOT, check=False).returncode
    return status, time.perf_counter() - began


def main(names: list[str]) -> int:
    """Runs the stages; 1 if one of them failed. All run, so that one run shows all."""
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        print(f"没有这个步骤 / no such stage: {', '.join(unknown)}; {', '.join(STAGES)}")
        return 2
    results = {name: run(name) for name in names or STAGES}
    print("──")
    for name, (status, seconds) in results.items():
        print(f"{'✓' if status == 0 else '✗'} {name:<10} {seconds:7.1f} s")
    print(f"  {'':<10} {sum(seconds for _, seconds in results.values()):7.1f} s")
    return int(any(status for status, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
