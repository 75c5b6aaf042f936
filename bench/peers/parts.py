"""What the peers consist of, fetched when first needed, by package managers alone, checked by hash.

Python packages by pip into an environment of their own, jars from the Maven repository that the
broker comes from, the SQL of message-db by the npm that is one of those Python packages. Java is
compiled by ECJ, itself a jar, on the Java that runs the broker. All of it lies in .run/peers.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from deploy.local import kafka
from deploy.local.supervisor import RUN

HOME = RUN / "peers"
HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"
JARS = HERE / "jars.lock"
SOURCES = HERE / "streams"
RELEASE = "21"
"""The Java that the sources are written in."""

MESSAGE_DB = "@eventide/message-db@1.3.1"
MESSAGE_DB_FILE = "eventide-message-db-1.3.1.tgz"
MESSAGE_DB_SHA256 = "d7938e108d950e29da1974e3acad05bcf680045d0961f6a12039fb002140840d"
MESSAGE_DB_SQL = (
    "schema/message-store", "tables/messages", "types/message",
    "functions/message-store-version", "functions/hash-64", "functions/acquire-lock",
    "functions/category", "functions/is-category", "functions/id", "functions/cardinal-id",
    "functions/stream-version", "functions/write-message", "functions/get-stream-messages",
    "functions/get-category-messages", "functions/get-last-stream-message",
    "indexes/messages-id", "indexes/messages-stream", "indexes/messages-category",
)  # fmt: skip
"""What its own install.sh runs, in its order, less roles, grants, the views for people, and the
extension pgcrypto: what it needs of it, gen_random_uuid(), has been in Postgres itself since 13.
"""


def _said(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The user's, less what says of another environment and would lead pip or Java elsewhere."""
    ignored = (
        "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER",
        "CLASSPATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS",
    )  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if name not in ignored}
    return {**kept, **(more or {})}


def _run(*command: str | Path) -> None:
    subprocess.run(
        [str(part) for part in command], env=environment(), check=True, stdout=sys.stderr
    )


def python() -> Path:
    """The Python of the peers' own environment, made anew when their lock has changed."""
    place = HOME / "venv"
    found, stamp = place / "bin" / "python", place / "peers.stamp"
    wanted = f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} {place}"
    if stamp.exists() and stamp.read_text() == wanted:
        return found
    shutil.rmtree(place, ignore_errors=True)
    _said("安装对照组的依赖 · installing the peers' packages")
    _run(sys.executable, "-m", "venv", place)
    _run(
        found, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check",
        "--require-hashes", "-r", LOCK,
    )  # fmt: skip
    stamp.write_text(wanted)
    return found


def jars() -> dict[str, Path]:
    """The peers' own jars by artifact, fetched if missing or altered."""
    cache = HOME / "jars"
    cache.mkdir(parents=True, exist_ok=True)
    lines = [line.split() for line in JARS.read_text().splitlines() if not line.startswith("#")]
    wanted = [(sha256, path, cache / path.rpartition("/")[2]) for sha256, path in lines]
    missing = [
        (sha256, path, jar)
        for sha256, path, jar in wanted
        if not jar.exists() or hashlib.sha256(jar.read_bytes()).hexdigest() != sha256
    ]
    if missing:
        base = kafka.maven_base()
        _said(
            f"下载对照组：{len(missing)} 个文件 · fetching the peers, {len(missing)} files: {base}"
        )
        with concurrent.futures.ThreadPoolExecutor() as pool:
            jobs = [
                pool.submit(kafka.fetch_jar, base, path, sha, jar) for sha, path, jar in missing
            ]
            for job in jobs:
                job.result()
    return {path.split("/")[-3]: jar for _, path, jar in wanted}


def classpath() -> str:
    """The compiled job and everything it needs; compiled anew when a source has changed."""
    mine = jars()
    compiler = mine.pop("ecj")
    needed = [*kafka.fetch(RUN / "cache" / "kafka", _said), *mine.values()]
    sources = sorted(SOURCES.glob("*.java"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    classes = HOME / f"classes-{digest}"
    if not classes.exists():
        for old in HOME.glob("classes-*"):
            shutil.rmtree(old)
        made = HOME / "classes-new"
        _run(
            kafka.java(), "-jar", compiler, "-source", RELEASE, "-target", RELEASE, "-proc:none",
            "-nowarn", "-d", made, "-cp", os.pathsep.join(map(str, needed)), *sources,
        )  # fmt: skip
        made.rename(classes)
    return os.pathsep.join(map(str, (classes, *needed)))


def message_db() -> list[str]:
    """The statements that make a message store in a database, from its released package."""
    archive = HOME / MESSAGE_DB_FILE
    if not archive.exists():
        npm = python().with_name("npm")
        _said("下载对照组：message-db · fetching the peers: message-db")
        _run(npm, "pack", MESSAGE_DB, "--silent", "--pack-destination", HOME)
    if hashlib.sha256(archive.read_bytes()).hexdigest() != MESSAGE_DB_SHA256:
        archive.unlink()
        raise RuntimeError(f"{MESSAGE_DB} does not have the expected SHA-256")
    with tarfile.open(archive) as package:
        files = [package.extractfile(f"package/database/{name}.sql") for name in MESSAGE_DB_SQL]
        return [file.read().decode() for file in files if file is not None]
