"""Who may sign in, from one TOML file: people, their passwords, the clients; and the lock-out."""

import hmac
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import argon2
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

log = structlog.get_logger(__name__)

FAILURES_MAX = 5
LOCK_S = 15 * 60
# More names than this are not remembered: guessing names must not fill the memory.
NAMES_MAX = 10_000
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
Outcome = Literal["accepted", "refused", "locked"]


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Client(Entry):
    """A public client (RFC 6749 §2.1): it has no secret, so PKCE is required of it."""

    id: str
    name_zh: str
    name_en: str
    redirect_uris: tuple[str, ...]

    def allows(self, uri: str) -> bool:
        """Exactly one of its addresses; on loopback any port will do (RFC 8252 §7.3)."""
        return any(uri == known or _differ_in_port(uri, known) for known in self.redirect_uris)


class Person(Entry):
    """Somebody who may sign in. `role_*` and `may_*` are only shown: rights are not kept here."""

    subject: str = Field(pattern=r"^[a-z][a-z0-9_.-]{1,63}$")
    name_zh: str
    name_en: str
    role_zh: str = ""
    role_en: str = ""
    may_zh: str = ""
    may_en: str = ""
    argon2: str | None = None
    demo_password: str | None = None


class Directory(Entry):
    """The whole file."""

    demo: bool = False
    clients: tuple[Client, ...]
    people: tuple[Person, ...]

    @model_validator(mode="after")
    def _check(self) -> "Directory":
        for person in self.people:
            if person.demo_password is not None and not self.demo:
                raise ValueError(
                    f"{person.subject}: demo_password is only allowed with demo = true"
                )
            if (person.demo_password is None) == (person.argon2 is None):
                raise ValueError(f"{person.subject}: give either argon2 or demo_password")
        if len({person.subject for person in self.people}) < len(self.people):
            raise ValueError("a subject occurs twice")
        return self


def _differ_in_port(uri: str, known: str) -> bool:
    try:
        a, b = urlsplit(uri), urlsplit(known)
        _ = a.port  # raises ValueError if it is no number
    except ValueError:
        return False
    same = (a.scheme, a.hostname, a.path, a.query, a.fragment, a.username, a.password) == (
        b.scheme, b.hostname, b.path, b.query, b.fragment, b.username, b.password,
    )  # fmt: skip
    return same and a.scheme == "http" and a.hostname in LOOPBACK


class Accounts:
    """The file as it is now, and who failed to sign in lately (in memory: a restart forgets)."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """Read the file; raises OSError or ValueError if it is missing or wrong."""
        self._path, self._clock = path, clock
        self._version = self._stamp()
        self._directory = self._read()
        self._hasher = argon2.PasswordHasher()
        # Verified for unknown names, so that the time taken does not tell which names exist.
        self._decoy = self._hasher.hash("decoy")
        self._failures: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    @property
    def directory(self) -> Directory:
        """The file's content; a changed file that is wrong is reported and not taken over."""
        try:
            stamp = self._stamp()
            if stamp != self._version:
                self._version = stamp
                self._directory = self._read()
        except (OSError, ValueError):
            log.exception("accounts_file_not_read", path=str(self._path))
        return self._directory

    def client(self, client_id: str) -> Client | None:
        return next((c for c in self.directory.clients if c.id == client_id), None)

    def person(self, subject: str) -> Person | None:
        return next((p for p in self.directory.people if p.subject == subject), None)

    def check(self, subject: str, password: str) -> Outcome:
        """Whether the password is right; takes some 50 ms of CPU, so call it in a thread.

        After FAILURES_MAX failures within LOCK_S the name is locked until LOCK_S after the last
        of them, also for the right password, and whether or not the name exists.
        """
        if self._locked(subject):
            return "locked"
        person = self.person(subject)
        if self._matches(person, password):
            with self._lock:
                self._failures.pop(subject, None)
            return "accepted"
        with self._lock:
            while len(self._failures) >= NAMES_MAX and subject not in self._failures:
                self._failures.pop(next(iter(self._failures)))
            self._failures.setdefault(subject, []).append(self._clock())
        return "locked" if self._locked(subject) else "refused"

    def _locked(self, subject: str) -> bool:
        with self._lock:
            since = self._clock() - LOCK_S
            recent = [moment for moment in self._failures.get(subject, []) if moment > since]
            if recent:
                self._failures[subject] = recent
            else:
                self._failures.pop(subject, None)
            return len(recent) >= FAILURES_MAX

    def _matches(self, person: Person | None, password: str) -> bool:
        if person is not None and person.demo_password is not None:
            return hmac.compare_digest(person.demo_password.encode(), password.encode())
        stored = self._decoy if person is None or person.argon2 is None else person.argon2
        try:
            return self._hasher.verify(stored, password) and person is not None
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False

    def _stamp(self) -> tuple[int, int, int]:
        about = self._path.stat()
        return about.st_mtime_ns, about.st_size, about.st_ino

    def _read(self) -> Directory:
        try:
            return Directory.model_validate(tomllib.loads(self._path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, ValidationError) as problem:
            raise ValueError(f"{self._path}: {problem}") from problem
