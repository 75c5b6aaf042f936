"""`make test`: everything that must hold, stage by stage, with the seconds of each. The stack waits
for itself half of its time, so the rules are run beside it; what they say is shown when they end.

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
    "stack": ["python", "-m", "pytest", "tests", "-m", "stack"],
}
"""Name -> command; `rules` needs nothing started, `stack` starts a Postgres and a broker."""


BESIDE = {"stack": "rules"}
"""What is run beside what, where both are asked for."""


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
    beside = {first: second for first, second in BESIDE.items() if {first, second} <= {*names}}
    for name in names:
        if name in beside.values():
            continue
        with ThreadPoolExecutor(1) as pool:
            second = beside.get(name)
            other = pool.submit(run, second, shown=False) if second else None
            yield name, run(name)
            if second and other:
                yield second, other.result()


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
