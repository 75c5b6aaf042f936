"""What operators do to a running service by hand: `rebuild` and `archive` of its command line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from uvicorn.loops.auto import auto_loop_factory

from hosting import archive
from hosting.archive import Pool, Wrong
from hosting.collector import collect_seldom
from hosting.compose import vault_of
from hosting.progress import Progress
from hosting.rebuild import Compared, ViewRebuild, hexadecimal
from shared.config import settings
from shared.kernel import Service

type Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - no other name


class Rebuilding(Protocol):
    """Something that can be built anew beside what is in use."""

    async def run(self, *, check: bool = False, fresh: bool = False) -> Compared:
        """Builds, compares, and unless it is only to check, switches."""


type Made = Callable[[Pool, Progress], Rebuilding]

REBUILD = """\
在正在使用的表旁边重新计算，核对后一次切换；期间照常读写，不发预警和推送。
Folds the log again beside what is in use, compares, and switches at once. Reading and writing go
on meanwhile; no alert and no webhook is sent again. Ctrl-C stops it; the same command goes on where
it was (or begins anew with --fresh).

  rebuild NAME           build, compare, switch; what differed before is named and is mended
  rebuild NAME --check   build and compare only; exit status 1 if anything differs

By the same code the old and the new hash must be equal. They differ if somebody has changed the
table by hand, or a fault of ours: then send us what is shown. A list or measure whose code has
changed is rebuilt by itself when the new version starts.
"""

ARCHIVE = """\
按月的数据文件：导出、核对、取出、放回。
Months as files: FOLDER/<database>.<table>.<month>.csv.gz, with a manifest beside it (.json): rows,
columns, SHA-256 of the file and of its content. `gunzip` reads it without us.

  archive list                 which months there are, their rows and size, and which are in files
  archive copy 2025-03 FOLDER  write a month's file; the month stays where it is
  archive verify FILE          read a file through and hold it against its manifest
"""

DETACH = """\
  archive detach 2025-03 FOLDER  write the file, check it, then remove the month from the database
  archive attach FILE            bring it back (needed to drill down into its days)

What is detached still counts: figures stay, and a rebuild reads the file where it was written to.
Asked for the events behind a figure of those days, the service says which month to attach.
"""


def add(commands: Commands, service: Service, more: Mapping[str, Made], *, detaches: bool) -> None:
    """Adds the commands. `more`: rebuilds beside the lists'; `detaches`: an archive that may leave
    the database.
    """
    lists = {view.name: view for view in service.views()}
    names = sorted((*more, *lists))
    text = argparse.RawDescriptionHelpFormatter
    rebuild = commands.add_parser(
        "rebuild", help="从日志重建 · folds the log again, beside what is in use",
        description=REBUILD, formatter_class=text,
    )  # fmt: skip
    rebuild.add_argument("name", choices=names, metavar="NAME", help=", ".join(names))
    rebuild.add_argument("--check", action="store_true", help="只核对 · only compare")
    rebuild.add_argument("--fresh", action="store_true", help="从头开始 · begin anew")

    async def rebuilding(given: argparse.Namespace) -> int:
        if given.name in more:
            return await _rebuild(more[given.name], given)
        async with vault_of(service, settings()) as keys:
            return await _rebuild(partial(ViewRebuild, lists[given.name], vault=keys), given)

    rebuild.set_defaults(task=rebuilding)
    kept = commands.add_parser(
        "archive", help="按月的数据文件 · months as files",
        description=ARCHIVE + (DETACH if detaches else ""), formatter_class=text,
    )  # fmt: skip
    acts = kept.add_subparsers(dest="act", required=True, metavar="list|copy|verify|...")
    acts.add_parser("list")
    for name in ("copy", *(["detach"] if detaches else [])):
        one = acts.add_parser(name)
        one.add_argument("month", type=archive.month_named, help="2025-03")
        one.add_argument("folder", type=Path)
    for name in ("verify", *(["attach"] if detaches else [])):
        acts.add_parser(name).add_argument("file", type=Path)
    table = "archive" if detaches else "event"
    kept.set_defaults(task=lambda given: _archive(given, table))


def run(task: Callable[[Any], Coroutine[Any, Any, int]], given: argparse.Namespace) -> int:
    """Runs an operator's command; its exit status."""
    collect_seldom()
    try:
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            return runner.run(task(given))
    except Wrong as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\n已停下，再运行即继续 · stopped; the same command goes on from here\n")
        return 130


@asynccontextmanager
async def _pool() -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(settings().database, min_size=1, max_size=4) as pool:
        yield pool


async def _rebuild(make: Made, given: argparse.Namespace) -> int:
    async with _pool() as pool:
        progress = Progress(given.name)
        found: Compared = await make(pool, progress).run(check=given.check, fresh=given.fresh)
    progress.show()
    sys.stderr.write("\n")
    _say(_words(given.name, found, check=given.check))
    return int(given.check and not found.same)


def _words(name: str, found: Compared, *, check: bool) -> str:
    hashes = f"{hexadecimal(found.old_hash)} → {hexadecimal(found.new_hash)}"
    lines = [f"{name}: {found.old_rows:,} → {found.new_rows:,} 行 rows  {hashes}"]
    if found.redefined:
        lines.append(f"定义已改 · made by other code than before: {', '.join(found.redefined)}")
    if found.same:
        lines.append("一致 · the same")
    else:
        lines += [f"  {line}" for line in found.shown]
        lines.append(f"不同 · differ: {found.differing:,}")
    lines.append("只核对，未切换 · compared only" if check else "已切换 · switched")
    return "\n".join(lines)


async def _archive(given: argparse.Namespace, table: str) -> int:
    if given.act == "verify":
        found = archive.read_manifest(given.file)
        archive.verify(found)
        _say(f"{found.path.name}: {found.rows:,} 行 rows  {found.sha256}")
        return 0
    async with _pool() as pool:
        if given.act == "list":
            _say("\n".join(await archive.listed(pool, table)))
        elif given.act == "attach":
            rows = await archive.attach(pool, archive.read_manifest(given.file))
            _say(f"已放回 · attached: {rows:,} 行 rows")
        else:
            detach = given.act == "detach"
            made = await (
                archive.detach(pool, given.month, given.folder)
                if detach
                else archive.copy(pool, table, given.month, given.folder)
            )
            _say(f"{made.file}: {made.rows:,} 行 rows, {made.bytes:,} bytes  {made.sha256}")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
