"""Make `.venv`: find a Python, create the environment, install exactly what the locks say.

`python3 deploy/local/bootstrap.py [--dev]`, by any Python from 3.8 on, with nothing installed.
Plain pip, so the user's own pip settings (mirrors, proxies, certificates) hold.
Done already (same locks, same Python, same place): ends at once.
"""

from __future__ import annotations

import sys

if sys.path and sys.path[0].endswith("local"):
    del sys.path[0]  # this folder's token.py must not stand in for Python's own

import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
RUN = ROOT / ".run"
STAMP = VENV / "houqin.stamp"
OLDEST = (3, 13)
# Run by each candidate: Debian's Python, for one, can lack ensurepip, and then no venv can be made.
PROBE = "import sys, ensurepip, venv, ssl; print('%d.%d.%d' % sys.version_info[:3])"
NAMES = ("python3.13", "python3.14", "python3.15", "python3", "python")
PLACES = ("~/.pyenv/versions/*/bin/python3", "/usr/local/bin/python3*", "/opt/*/bin/python3*",
          "/usr/bin/python3.1*", "/opt/homebrew/bin/python3.1*")  # fmt: skip
NONE_FOUND = """\
没有找到 Python 3.13 或更新的版本（需带 venv 与 ensurepip）。请安装后重试：
  Debian/Ubuntu：apt install python3.13 python3.13-venv；其他系统：https://www.python.org/downloads/
  或用环境变量 HOUQIN_PYTHON 指明其路径。
No Python 3.13 or newer (with venv and ensurepip) was found. Install one and try again:
  Debian/Ubuntu: apt install python3.13 python3.13-venv; others: https://www.python.org/downloads/
  or set HOUQIN_PYTHON to its path.
"""


def say(text: str) -> None:
    print(text, flush=True)


def locks(dev: bool) -> list[Path]:
    names = ("run.lock", "dev.lock") if dev else ("run.lock",)
    return [ROOT / "requirements" / name for name in names]


def venv_version() -> str:
    """The version that the environment was made with; "" if it is none, or its Python is gone."""
    if not (VENV / "bin" / "python").exists():
        return ""
    try:
        lines = (VENV / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    found = [line.partition("=")[2].strip() for line in lines if line.startswith("version")]
    return found[0] if found else ""


def stamp_lines(dev: bool) -> list[str]:
    """One line per lock: what must be in the stamp for its packages to be there already."""
    where = f"{venv_version()} {VENV}"
    return [
        f"{lock.name} {hashlib.sha256(lock.read_bytes()).hexdigest()} {where}"
        for lock in locks(dev)
    ]


def done(dev: bool) -> bool:
    try:
        have = STAMP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return bool(venv_version()) and set(stamp_lines(dev)) <= set(have)


def version_of(python: str) -> tuple[int, ...]:
    """The version of a candidate that really runs and can make a venv; () if it does not."""
    try:
        answer = subprocess.run([python, "-c", PROBE], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                timeout=20, check=False)  # fmt: skip
        if answer.returncode != 0:
            return ()
        return tuple(int(part) for part in answer.stdout.decode().strip().split("."))
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()


def candidates() -> list[str]:
    found = [os.environ.get("HOUQIN_PYTHON", "")]
    found += [shutil.which(name) or "" for name in NAMES]
    for place in PLACES:
        # Newer versions sort last by name, so the order is turned.
        found += sorted(glob.glob(os.path.expanduser(place)), reverse=True)  # noqa: PTH111, PTH207
    unique = [python for python in dict.fromkeys(found) if python]
    return [python for python in unique if not python.endswith(("-config", ".py"))]


def find_python() -> str:
    """A Python that will do; "" if there is none on this machine."""
    for python in candidates():
        if version_of(python) >= OLDEST:
            return python
    return ""


def fetch_python() -> str:
    """As a last resort fetch a Python with uv, into the project's own folder; "" if that fails."""
    say("没有合适的 Python，尝试下载 · no suitable Python, trying to fetch one")
    tools, home = RUN / "tools", RUN / "python"
    steps = [
        [sys.executable, "-m", "venv", str(tools)],
        [str(tools / "bin" / "python"), "-m", "pip", "install", "--quiet", "uv"],
        [str(tools / "bin" / "uv"), "--no-progress", "python", "install", "--no-bin", "3.13"],
    ]
    env = dict(os.environ, UV_PYTHON_INSTALL_DIR=str(home), PIP_DISABLE_PIP_VERSION_CHECK="1")
    for step in steps:
        try:
            subprocess.run(step, env=env, check=True)
        except (OSError, subprocess.CalledProcessError) as problem:
            say(f"  {problem}")
            return ""
    for python in sorted(home.glob("*/bin/python3.13")):
        if version_of(str(python)) >= OLDEST:
            return str(python)
    return ""


def moved() -> bool:
    """Whether the project's folder was moved: the environment's commands name the old place."""
    try:
        lines = STAMP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return not all(line.endswith(f" {VENV}") for line in lines)


def make_venv() -> None:
    """Create the environment, unless there is one that works and was made at this place."""
    if version_of(str(VENV / "bin" / "python")) >= OLDEST and not moved():
        return
    python = find_python() or fetch_python()
    if not python:
        sys.exit(NONE_FOUND)
    say(f"创建 .venv · creating .venv with {python}")
    if VENV.exists():
        shutil.rmtree(str(VENV))
    subprocess.run([python, "-m", "venv", str(VENV)], check=True)


def install(dev: bool) -> None:
    say(f"安装依赖 · installing packages{' (dev)' if dev else ''}")
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input",
               "--disable-pip-version-check", "--require-hashes"]  # fmt: skip
    for lock in locks(dev):
        command += ["-r", str(lock)]
    # What the user's shell says of another environment must not lead pip elsewhere.
    ignored = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")
    env = {name: value for name, value in os.environ.items() if name not in ignored}
    if subprocess.run(command, env=env, check=False).returncode != 0:
        sys.exit("安装依赖失败，见上 · installing packages failed, see above")


def main() -> None:
    dev = "--dev" in sys.argv[1:]
    if done(dev):
        return
    RUN.mkdir(exist_ok=True)
    with (RUN / "bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done(dev):  # by somebody else, while we waited
            return
        make_venv()
        had = STAMP.read_text(encoding="utf-8").splitlines() if STAMP.exists() else []
        install(dev)
        fresh = VENV / "houqin.stamp.new"
        wanted = stamp_lines(dev)
        names = {line.split(" ", 1)[0] for line in wanted}
        kept = [line for line in had if line.split(" ", 1)[0] not in names]
        fresh.write_text("\n".join(wanted + kept) + "\n", encoding="utf-8")
        fresh.replace(STAMP)
        say(f"完成 · done: {VENV}")


if __name__ == "__main__":
    main()
