"""Restores from back-ups: `make restore`, `python -m deploy.local.restore`.

All databases, or one service's, as they were at a moment: a base back-up is copied into a new data
folder, the write-ahead log is replayed up to the moment, and only when the server has come up with
it does it take the place of the old folder, which is kept aside. Then every restored log is held
against Kafka, and takes back what it lacks (`after-restore`, docs/restore.md).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from deploy.local.backup import (
    CHINA,
    STAMP,
    Archive,
    Base,
    Refused,
    Say,
    client,
    export,
    folder_of,
    running_postgres,
    server,
    shown,
)
from deploy.local.file_copies import erased, files_of, put_back
from deploy.local.instance import Hold, InUse, choose_ports
from deploy.local.postgres import NOBODY, Postgres, data_home, remove
from deploy.local.process import StartFailed, end_leftover
from deploy.local.supervisor import PORTAL, RUN, SERVICES, Stack

LOGS = tuple(name for name in SERVICES if name not in PORTAL)
"""The services that have a log."""

REPLAY_S = 24 * 3600.0
"""So long the write-ahead log may take to be replayed."""

TORN = """
select count(*) from head h where not exists (
    select from event e where e.stream = h.stream and e.version = h.version)
"""


def moment_of(text: str) -> datetime | None:
    """A time in China, `2026-11-21 10:00`; empty: the latest. Raises `Refused`."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(
            f"无法识别时间 {text}，请写成 2026-11-21 10:00。 "
            f"{text} is no time: write it as 2026-11-21 10:00."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=CHINA)


def unpack(base: Base, state: Path, moment: datetime | None) -> Path:
    """A data folder that becomes, when a server starts on it, the databases as they were at a
    moment (None: as late as the log goes). It lies beside the data of `state`.
    """
    root = os.geteuid() == 0
    home = data_home(state, root=root)
    data, wal = home / "data.restored", home / "wal.restored"
    for path in (data, wal):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(base.folder, data, ignore=shutil.ignore_patterns("houqin.json"))
    wal.mkdir(mode=0o700)
    for path in sorted(base.wal.iterdir()):
        # The file that was being written when the log ended counts as far as it goes.
        if path.name.endswith(".history") or path.name[8:] >= base.first_segment[8:]:
            shutil.copyfile(path, wal / path.name.removesuffix(".partial"))
    settings = [f'restore_command = \'cp "{wal}/%f" "%p"\'', "recovery_target_timeline = 'latest'"]
    if moment is not None:
        settings += [
            f"recovery_target_time = '{moment.isoformat()}'",
            "recovery_target_action = 'promote'",
        ]
    with (data / "postgresql.auto.conf").open("a") as stream:
        stream.write("\n".join(["", *settings, ""]))
    (data / "recovery.signal").touch()
    data.chmod(0o700)
    if root:
        for top in (data, wal):
            _give(top)
    return data


def _give(top: Path) -> None:
    """To the user that the server runs as."""
    os.chown(top, NOBODY, NOBODY)
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            os.chown(Path(folder) / name, NOBODY, NOBODY, follow_symlinks=False)


def switch(state: Path) -> Path:
    """The restored data take the place of the old, which are kept; returns where."""
    home = data_home(state, root=os.geteuid() == 0)
    aside = home / f"data.before-{datetime.now(UTC).strftime(STAMP)}"
    if (home / "data").exists():
        (home / "data").rename(aside)
    (home / "data.restored").rename(home / "data")
    return aside


def switch_back(state: Path, aside: Path) -> None:
    """The old data as they were; what would not start is put away."""
    home = data_home(state, root=os.geteuid() == 0)
    (home / "data").rename(home / "data.restored")
    if aside.exists():
        aside.rename(home / "data")


def not_reached(problem: StartFailed, moment: datetime | None) -> Refused:
    """Why the server did not come up with the restored data."""
    if moment is not None and "before configured recovery target" in str(problem):
        return Refused(
            f"日志没有到 {shown(moment)}：请选择更早的时间，或不写时间恢复到最新。原数据未动。 "
            f"The archived log does not reach {shown(moment)}: choose an earlier time, or none for"
            " the latest. The old data are in place."
        )
    return Refused(
        f"恢复失败，原数据未动。 The restore failed; the old data are in place.\n{problem}"
    )


async def restore_all(
    stack: Stack, archive: Archive, moment: datetime | None, say: Say
) -> tuple[Path, int]:
    """Every database as it was, in a stack that is not running; Postgres and Kafka run afterwards.
    Returns where the old data are, and how many services need somebody's decision. Raises
    `InUse`, or `Refused` with the old data in place.
    """
    base = archive.base_for(moment)
    say(f"从 {shown(base.ended_at)} 的备份恢复 · restoring from the back-up of that time")
    hold = Hold(stack.folder)
    try:
        for left in (stack.folder / "pids").glob("*.json"):
            await end_leftover(left)
        await asyncio.to_thread(unpack, base, stack.folder, moment)
        aside = switch(stack.folder)
    finally:
        hold.release()
    stack.postgres_patience_s = REPLAY_S
    archive.begin_line()
    try:
        await stack.start_parts()
    except StartFailed as problem:
        switch_back(stack.folder, aside)
        shutil.rmtree(archive.line or archive.folder)
        raise not_reached(problem, moment) from problem
    shutil.rmtree(aside.parent / "wal.restored")
    kept, live = archive.folder, stack.folder
    gone = await erased(running_postgres(live))
    await asyncio.to_thread(put_back, files_of(kept), files_of(live), gone)
    undecided = 0
    for service in LOGS:
        await whole(stack.dsns[service], service)
        undecided += bool(await stack.command(service, "after-restore"))
    return aside, undecided


async def whole(dsn: str, service: str) -> None:
    """Raises `Refused` where a stream's last event is missing: the back-up would be no good."""
    connection = await asyncpg.connect(dsn)
    try:
        if await connection.fetchval("select to_regclass('head') is null"):
            return
        if torn := await connection.fetchval(TORN):
            raise Refused(f"{service}: {torn} 条记录不完整 · {torn} streams lack their last event")
    finally:
        await connection.close()


async def fetch_one(
    state: Path, archive: Archive, service: str, moment: datetime | None, file: Path, say: Say
) -> None:
    """One service's database as it was, in a portable file, by way of a server of its own beside
    `state`; raises `Refused`.
    """
    beside = state / "restoring"
    beside.mkdir(mode=0o711, exist_ok=True)
    base = archive.base_for(moment)
    say(f"从 {shown(base.ended_at)} 的备份恢复 · restoring from the back-up of that time")
    (port,) = choose_ports(beside / "ports.json", ["postgres"]).values()
    restored = Postgres(beside, port, (), patience_s=REPLAY_S)
    shutil.copyfile(state / "postgres.password", beside / "postgres.password")
    await asyncio.to_thread(unpack, base, beside, moment)
    switch(beside)
    try:
        await restored.start()
        await whole(restored.dsn(service), service)
        await export(restored, service, file, say)
    except StartFailed as problem:
        raise not_reached(problem, moment) from problem
    finally:
        await restored.stop()
        remove(beside)
        shutil.rmtree(beside)


async def put_in(postgres: Postgres, service: str, file: Path, say: Say) -> str:
    """A service's database out of a portable file, in place of the one that is there, which is
    kept; its log is closed until it has been held against Kafka. Returns the old one's new name.
    """
    fresh = f"{service}_restored"
    await _on_server(
        postgres,
        f'drop database if exists "{fresh}" with (force)',
        f'create database "{fresh}"',
        "do $$ begin create role houqin_reader nologin;"
        " exception when duplicate_object then null; end $$",
    )
    await client(
        postgres, "pg_restore", "--no-owner", "--exit-on-error", *server(postgres), "-d", fresh,
        str(file), say=say,
    )  # fmt: skip
    connection = await asyncpg.connect(postgres.dsn(fresh))
    try:
        # Its transaction ids are another server's, and so is what it knows of its own timeline.
        await connection.execute(
            "update log_epoch set timeline = 0 where epoch = (select max(epoch) from log_epoch)"
        )
    finally:
        await connection.close()
    await whole(postgres.dsn(fresh), service)
    aside = f"{service}_before_{datetime.now(UTC).strftime(STAMP)}"
    await _on_server(
        postgres,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        f" where datname in ('{service}', '{fresh}')",
        f'alter database "{service}" rename to "{aside}"',
        f'alter database "{fresh}" rename to "{service}"',
    )
    return aside


async def _on_server(postgres: Postgres, *statements: str) -> None:
    connection = await asyncpg.connect(postgres.dsn("postgres"))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def restore_one(stack: Stack, service: str, file: Path, say: Say) -> tuple[str, int]:
    """One service out of a portable file, in a stack that is not running; Postgres and Kafka run
    afterwards. Returns the old database's new name, and 1 if somebody must decide.
    """
    await stack.start_parts()
    aside = await put_in(running_postgres(stack.folder), service, file, say)
    return aside, int(bool(await stack.command(service, "after-restore")))


async def run(options: argparse.Namespace) -> int:
    """What the command line asks for."""
    archive, state = Archive(folder_of(options.instance)), RUN / options.instance
    moment = moment_of(options.to)
    if options.service and options.service not in LOGS:
        raise Refused(f"没有服务 no such service: {options.service}; {', '.join(LOGS)}")
    file = options.file or state / f"{options.service}.dump"
    if options.service and not options.file:
        hold = Hold(state)
        try:
            await fetch_one(state, archive, options.service, moment, file, print)
        finally:
            hold.release()
    stack = Stack(state, (), backup=archive)
    try:
        if options.service:
            aside, undecided = await restore_one(stack, options.service, file, print)
        else:
            where, undecided = await restore_all(stack, archive, moment, print)
            aside = str(where)
            await archive.take(running_postgres(state), print)
    finally:
        await stack.stop()
    print(f"恢复完成，原数据保留在 {aside}。 Restored; the old data are kept as {aside}.")
    if undecided:
        print(
            f"{undecided} 个服务须人工决定（见上），此前不能写入。 "
            f"{undecided} services need your decision (above), and write nothing before it."
        )
    else:
        print("请运行 make up。 Start it with `make up`.")
    return min(1, undecided)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `python -m deploy.local.restore`."""
    parser = argparse.ArgumentParser(description="恢复 · restore an instance of Houqin")
    parser.add_argument("--instance", default="local")
    parser.add_argument(
        "--to", default="", help="2026-11-21 10:00，北京时间；不写则恢复到最新 (latest)"
    )
    parser.add_argument("--service", default="", help="只恢复一个服务 · only one service")
    parser.add_argument("--file", type=Path, help="导出的文件 · from an exported file")
    try:
        return asyncio.run(run(parser.parse_args(arguments)))
    except (StartFailed, InUse) as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
