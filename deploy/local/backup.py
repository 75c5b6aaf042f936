"""Back-ups of one instance: `make backup`, `python -m deploy.local.backup`.

A physical base back-up, checked against its manifest, and from the first one on every byte of the
write-ahead log as it is written (`pg_receivewal`, kept alive by the supervisor), so that the
databases can be brought back as they were at any second. It all lies in one folder, which belongs
on another disk (HOUQIN_BACKUP); copies of the stored files lie there, too. A restore begins a new
line of back-ups beside the old one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg

from deploy.local.file_copies import Copies, erased, files_of
from deploy.local.postgres import USER, Postgres, binaries
from deploy.local.process import Process, StartFailed

ROOT = Path(__file__).resolve().parents[2]
SLOT = "houqin_backup"
DAYS = 14
"""So long a base back-up is kept (HOUQIN_BACKUP_DAYS); the newest one always is."""

RECEIVE_S = 30.0
POLL_S, AGAIN_S = 0.2, 1.0
CHINA = ZoneInfo("Asia/Shanghai")
STAMP = "%Y%m%dT%H%M%S%f"

type Say = Callable[[str], None]


class Refused(StartFailed):
    """It cannot be done; the message says why and what to do next, in both languages."""


@dataclass(frozen=True)
class Base:
    """A base back-up. From `ended_at` on its line's log can bring the databases to any moment."""

    folder: Path
    ended_at: datetime
    size_bytes: int
    first_segment: str
    """The oldest file of the write-ahead log that it needs."""

    @property
    def wal(self) -> Path:
        """Where its line's write-ahead log is."""
        return self.folder.parent.parent / "wal"


def folder_of(instance: str) -> Path:
    """Where an instance's back-ups are."""
    return Path(os.environ.get("HOUQIN_BACKUP") or ROOT / ".backup") / instance


class Archive:
    """The back-ups of one instance: `<line>/base/<moment>/` and `<line>/wal/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def line(self) -> Path | None:
        """The line that is being written; None where there has never been a back-up."""
        lines = sorted(path for path in self.folder.glob("*/wal"))
        return lines[-1].parent if lines else None

    def begin_line(self) -> Path:
        """A new line, to which the supervisor sends the log from now on."""
        line = self.folder / datetime.now(UTC).strftime(STAMP)
        (line / "wal").mkdir(parents=True, mode=0o700)
        (line / "base").mkdir(mode=0o700)
        return line

    def bases(self) -> list[Base]:
        """Every whole base back-up, the oldest first."""
        found = []
        for about in self.folder.glob("*/base/*/houqin.json"):
            made = json.loads(about.read_text())
            ended_at = datetime.fromisoformat(made["ended_at"])
            found.append(Base(about.parent, ended_at, made["size_bytes"], made["first_segment"]))
        return sorted(found, key=lambda base: base.ended_at)

    def base_for(self, moment: datetime | None) -> Base:
        """The base back-up from which a moment (None: the latest) is reached; raises `Refused`."""
        bases = self.bases()
        if not bases:
            raise Refused(
                f"{self.folder} 中没有备份：请先运行 make backup。 "
                f"There is no back-up in {self.folder}: run `make backup` first."
            )
        before = [base for base in bases if moment is None or base.ended_at <= moment]
        if not before:
            first = shown(bases[0].ended_at)
            raise Refused(
                f"最早只能恢复到 {first}，请选择不早于它的时间。 "
                f"The earliest moment there is is {first}: choose that or a later one."
            )
        return before[-1]

    async def receive(self, postgres: Postgres) -> None:
        """Archives the server's log as it comes, and copies the files that are stored, from the
        first back-up on, until cancelled.
        """
        while (line := self.line) is None:  # noqa: ASYNC110 - a folder is polled
            await asyncio.sleep(POLL_S)
        await _make_slot(postgres)
        process = self._receiver(postgres, line)
        copying = asyncio.create_task(self.copies(postgres.state).keep_taking())
        try:
            while True:
                await process.start()
                await process.ended()
                await asyncio.sleep(AGAIN_S)
        finally:
            await process.stop()
            copying.cancel()
            await asyncio.gather(copying, return_exceptions=True)

    def copies(self, state: Path) -> Copies:
        """The copies of an instance's files, one set for all back-ups of it."""
        return Copies(files_of(state), files_of(self.folder))

    @staticmethod
    def _receiver(postgres: Postgres, line: Path) -> Process:
        program = binaries(postgres.state, root=os.geteuid() == 0) / "pg_receivewal"
        return Process(
            name="backup",
            command=[
                str(program), "-D", str(line / "wal"), "-S", SLOT, "--synchronous",
                *server(postgres),
            ],
            mark=str(line / "wal"),
            log=postgres.state / "logs" / "backup.log",
            pid_file=postgres.state / "pids" / "backup.json",
            env=client_environment(postgres),
        )  # fmt: skip

    async def take(self, postgres: Postgres, say: Say) -> Base:
        """A base back-up of a running server whose log is being received; raises `Refused`."""
        line = self.line or self.begin_line()
        await _received(postgres)
        begun = datetime.now(UTC)
        fresh = line / "base" / f"{begun.strftime(STAMP)}.new"
        await client(
            postgres, "pg_basebackup", "-D", str(fresh), "-X", "stream", "-c", "fast", "-P",
            "--manifest-checksums=SHA256", *server(postgres), say=say,
        )  # fmt: skip
        await client(postgres, "pg_verifybackup", "--quiet", str(fresh), say=say)
        label = (fresh / "backup_label").read_text()
        about = {
            "ended_at": datetime.now(UTC).isoformat(),
            "size_bytes": sum(path.stat().st_size for path in fresh.rglob("*") if path.is_file()),
            "first_segment": label.partition("(file ")[2].partition(")")[0],
        }
        (fresh / "houqin.json").write_text(json.dumps(about))
        fresh.rename(fresh.with_suffix(""))
        copies = self.copies(postgres.state)
        await asyncio.to_thread(copies.take)
        copies.drop(await erased(postgres))
        made = self.bases()[-1]
        await _note(postgres, made)
        return made

    async def prune(self, postgres: Postgres, days: int, say: Say) -> list[Base]:
        """Deletes what is older than so many days, and returns it; never the newest back-up."""
        *older, newest = self.bases()
        limit = datetime.now(UTC) - timedelta(days=days)
        gone = [base for base in older if base.ended_at < limit]
        for base in gone:
            shutil.rmtree(base.folder)
        for line in sorted(path.parent for path in self.folder.glob("*/wal")):
            kept = [base for base in self.bases() if base.wal == line / "wal"]
            if kept:
                wal, first = str(line / "wal"), kept[0].first_segment
                await client(postgres, "pg_archivecleanup", wal, first, say=say)
            elif line < newest.wal.parent:
                shutil.rmtree(line)
        return gone


def shown(moment: datetime) -> str:
    """A moment as people in China read it."""
    return f"{moment.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"


def server(postgres: Postgres) -> tuple[str, ...]:
    """The options by which Postgres's own programs find a server."""
    return "-h", "127.0.0.1", "-p", str(postgres.port), "-U", USER, "-w"


def client_environment(postgres: Postgres) -> Mapping[str, str]:
    """What Postgres's own programs are run with: no PG* variable of the user's."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
    return {**kept, "PGPASSWORD": postgres.password or postgres.saved_password(), "LC_ALL": "C"}


async def client(postgres: Postgres, program: str, *arguments: str, say: Say) -> None:
    """Runs one of Postgres's own programs to its end, its progress on screen; raises `Refused`."""
    path = binaries(postgres.state, root=os.geteuid() == 0) / program
    child = await asyncio.create_subprocess_exec(
        str(path), *arguments, env=client_environment(postgres),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert child.stdout is not None
    last = ""
    try:
        while text := await child.stdout.read(4096):
            lines = text.decode(errors="replace").replace("\r", "\n").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), last)
            say(f"{program}: {last}")
        code = await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
    if code:
        raise Refused(f"{program} 失败 failed ({code}): {last}")


async def _note(postgres: Postgres, made: Base) -> None:
    """Tells the services that there is a back-up, so that they can say how old it is."""
    for name in postgres.databases:
        connection = await asyncpg.connect(postgres.dsn(name))
        try:
            if await connection.fetchval("select to_regclass('backed_up')"):
                await connection.execute(
                    "insert into backed_up values ($1, $2)", made.ended_at, made.size_bytes
                )
        finally:
            await connection.close()


async def _make_slot(postgres: Postgres) -> None:
    """The server keeps its log until it has been received; at once, so that no byte is missed."""
    connection = await asyncpg.connect(postgres.dsn("postgres"))
    try:
        await connection.execute(
            "select pg_create_physical_replication_slot($1, true)"
            " where not exists (select from pg_replication_slots where slot_name = $1)",
            SLOT,
        )
    finally:
        await connection.close()


async def _received(postgres: Postgres) -> None:
    """Waits until the log is being received; raises `Refused`."""
    deadline = time.monotonic() + RECEIVE_S
    while time.monotonic() < deadline:
        try:
            connection = await asyncpg.connect(postgres.dsn("postgres"), timeout=5)
        except (OSError, asyncpg.PostgresError):
            break
        active = await connection.fetchval(
            "select active from pg_replication_slots where slot_name = $1", SLOT
        )
        await connection.close()
        if active:
            return
        await asyncio.sleep(0.1)
    raise Refused(
        "后勤没有在运行，或没有在归档日志：请先运行 make up，再备份。 "
        "Houqin is not running, or its log is not being archived: start it with `make up`, then"
        " back up."
    )


def running_postgres(state: Path) -> Postgres:
    """The server of an instance that runs, or is about to; raises `Refused`."""
    try:
        port = int(json.loads((state / "ports.json").read_text())["postgres"])
        postgres = Postgres(state, port, ())
        postgres.password = postgres.saved_password()
    except (OSError, ValueError, KeyError):
        raise Refused(
            f"{state} 中没有数据：请先运行 make up。 "
            f"There is nothing in {state}: run `make up` first."
        ) from None
    return postgres


def table(bases: Sequence[Base]) -> str:
    """What there is to restore from."""
    lines = [
        f"{shown(base.ended_at)}  {base.size_bytes / 1e6:>10,.1f} MB  {base.folder}"
        for base in bases
    ]
    return "\n".join(lines) or "还没有备份 · no back-up yet"


async def export(postgres: Postgres, service: str, file: Path, say: Say) -> None:
    """One service's database in a portable form; put elsewhere, its log begins a new epoch."""
    say(f"导出 exporting {service}")
    _make_private(file)
    await client(
        postgres,
        "pg_dump",
        "-Fc",
        "--no-owner",
        "-f",
        str(file),
        *server(postgres),
        service,
        say=say,
    )


def _make_private(file: Path) -> None:
    """For its owner's eyes, before anything is in it: it holds whatever the service knows."""
    file.touch()
    file.chmod(0o600)


async def run(options: argparse.Namespace) -> int:
    """What the command line asks for."""
    archive = Archive(folder_of(options.instance))
    if options.action == "list":
        print(table(archive.bases()))
        return 0
    postgres = running_postgres(ROOT / ".run" / options.instance)
    if options.action == "export":
        await export(postgres, options.service, options.file, print)
        return 0
    base = await archive.take(postgres, print)
    days = int(os.environ.get("HOUQIN_BACKUP_DAYS") or DAYS)
    gone = await archive.prune(postgres, days, print)
    print(
        f"备份完成 done: {shown(base.ended_at)}, {base.size_bytes / 1e6:,.1f} MB, {base.folder}\n"
        f"已删除 {len(gone)} 份超过 {days} 天的备份 · {len(gone)} back-ups older than {days} days"
        " deleted"
    )
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `python -m deploy.local.backup`."""
    parser = argparse.ArgumentParser(description="备份 · back up an instance of Houqin")
    parser.add_argument("--instance", default="local")
    actions = parser.add_subparsers(dest="action")
    actions.add_parser("take", help="做一份备份（默认） · takes a back-up (default)")
    actions.add_parser("list", help="列出备份 · lists the back-ups")
    out = actions.add_parser("export", help="导出一个服务 · one service, in a portable form")
    out.add_argument("service")
    out.add_argument("file", type=Path)
    try:
        return asyncio.run(run(parser.parse_args(arguments)))
    except StartFailed as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
