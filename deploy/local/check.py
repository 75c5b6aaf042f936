"""`make test`: everything that must hold, stage by stage, with the seconds of each. The stack waits
for itself half of its time: rules and browser are run beside it, and shown when they end.

python -m deploy.local.check            all stages
python -m deploy.local.check types      one stage (or several) by name
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

STAGES: dict[str, list[str]] = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types": ["mypy"],
    "walls": ["lint-imports", "--no-cache"],
    "contracts": ["python", "-m", "contracts", "--check"],
    "rules": ["python", "-m", "pytest", "tests", "-m", "not stack"],
    "browser": ["python", "-m", "pytest", "tests/browser"],
    "stack": ["python", "-m", "pytest", "tests", "-m", "stack", "--ignore", "tests/browser"],
}
"""Name -> command; `rules` needs nothing started, `browser` and `stack` start a Postgres and a
broker each.
"""


BESIDE = {"stack": ("rules", "browser")}
"""What is run beside what, one after the other, where all are asked for."""


def run(name: str, *, shown: bool = True) -> tuple[int, float]:
    """Exit status and seconds of one stage; its output goes straight to the screen, or in one piece
    when it has ended.
    """
    began = time.perf_counter()
    if shown:
        print(f"── {name}", flush=True)
    program, *rest = STAGES[name]
    made = subprocess.run(
        [BIN / program, *rest], cwd=ROOT, check=False,
        stdout=None if shown else subprocess.PIPE, stderr=None if shown else subprocess.STDOUT,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if not shown:
        print(f"\n── {name}\n{made.stdout.decode()}", flush=True)
    return made.returncode, seconds


def run_all(names: Sequence[str]) -> Iterator[tuple[str, tuple[int, float]]]:
    """Each stage by its name, as it ends."""
    beside = {name: others for name, others in BESIDE.items() if {name, *others} <= {*names}}
    for name in names:
        if any(name in others for others in beside.values()):
            continue
        with ThreadPoolExecutor(1) as pool:
            others = beside.get(name, ())
            running = [pool.submit(run, other, shown=False) for other in others]
            yield name, run(name)
            yield from zip(others, (one.result() for one in running), strict=True)


def main(names: list[str]) -> int:
    """Runs the stages; 1 if one of them failed. All run, so that one run shows all."""
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        print(f"没有这个步骤 / no such stage: {', '.join(unknown)}; {', '.join(STAGES)}")
        return 2
    began = time.perf_counter()
    results = dict(run_all(names or [*STAGES]))
    print("──")
    for name, (status, seconds) in results.items():
        print(f"{'✓' if status == 0 else '✗'} {name:<10} {seconds:7.1f} s")
    print(f"  {'':<10} {time.perf_counter() - began:7.1f} s")
    return int(any(status for status, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
