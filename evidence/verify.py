"""Verifies a Houqin log, alone: this one file, Python 3.10 or later, and `cryptography`.

Hashes every event again, holds it against its leaf, the leaves against the RFC 6962 tree, and the
tree against checkpoints (C2SP tlog-checkpoint, signed-note, Ed25519) that nobody can make without
the service's key; then against what a witness has kept. Says what differs, and where.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import hashlib
import json
import struct
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HELP = """\
验证后勤平台某个服务的日志是否被改过：哪一条被改、被删、被插入或被调换，逐条指出。
本文件可单独复制到另一台机器使用，只需要 Python 3.10 以上和 cryptography。

  1. 运维导出，审计员离线验证：
       python -m services.procurement export-log procurement.log
       python verify.py procurement.log --key "$(cat procurement.key.pub)"
  2. 直接验证正在运行的服务（能读到多少内容，取决于令牌的岗位；其余只验哈希）：
       python verify.py https://example.cn/procurement --token-file token.txt
  3. 教育局作见证：每天取一次签名检查点，与上次留存的比对，一致才替换留存的那一份：
       python verify.py https://example.cn/procurement --key … --witness kept.txt --keep kept.txt
  4. 有旧的导出文件时，连事件带哈希一起改写的也能指到具体一条：
       python verify.py new.log --older old.log

  --key 是事先从别的渠道拿到的公钥。不给时用日志自带的公钥，只能证明日志前后自洽。
  退出码：0 没有改动；1 有改动（已逐条列出）；2 无法验证（没有签名、读不到、参数不对）。

Verifies that the log of a Houqin service was not changed, and names each event that was altered,
removed, inserted or moved. This file works alone: copy it; it needs Python 3.10 and cryptography.

  1. An operator exports, an auditor verifies elsewhere: as above.
  2. Against a running service. What your posts may not read is verified by its hash alone.
  3. As a witness: fetch the signed checkpoint daily and hold it against the one kept; it is
     replaced only if the log has merely grown.
  4. With an older export even an event that was rewritten together with its hash is named.

  --key is a public key that reached you another way. Without it the log's own list of keys is used,
  and the log is shown to agree with itself, no more.
  Exit status: 0 unchanged, 1 changed (each place listed), 2 could not be verified.
"""

NULL = b"\xff\xff\xff\xff"
FORMAT = "houqin event 1"
FIELDS = (
    "position", "month", "stream", "version", "id", "type", "organisation", "actor",
    "occurred_at", "recorded_at", "correlation", "causation", "trace",
)  # fmt: skip
"""Of an event's leaf, in this order, each as text; then the data's bytes."""

ED25519 = b"\x01"
SIGNATURES_MAX = 100
TIMEOUT_S = 60
PAGE = 4_096

_length = struct.Struct(">I").pack


# The tree (RFC 6962, section 2.1). A range [low, high) of leaves has the hash MTH(D[low:high]).


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf's content."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node over its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Root over leaf hashes, or over the roots of equal, full subtrees; of nothing: SHA-256("")."""
    layer = list(hashes)
    while len(layer) > 1:
        pairs = [node_hash(*layer[n : n + 2]) for n in range(0, len(layer) - 1, 2)]
        layer = pairs + layer[len(pairs) * 2 :]
    return layer[0] if layer else hashlib.sha256().digest()


def split(low: int, high: int) -> int:
    """Where a range of at least two leaves has its left and right child apart."""
    return low + (1 << (high - low - 1).bit_length() - 1)


def inclusion_ranges(number: int, low: int, high: int) -> list[tuple[int, int]]:
    """The ranges whose hashes prove leaf `number` in [low, high), from the leaf up."""
    if high - low == 1:
        return []
    middle = split(low, high)
    if number < middle:
        return [*inclusion_ranges(number, low, middle), (middle, high)]
    return [*inclusion_ranges(number, middle, high), (low, middle)]


def included(leaf: bytes, number: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf hash is leaf `number` of the tree of that size and root."""
    if not 0 <= number < size:
        return False
    ranges = inclusion_ranges(number, 0, size)
    if len(ranges) != len(proof):
        return False
    for (low, _), hash_ in zip(ranges, proof, strict=True):
        leaf = node_hash(leaf, hash_) if low > number else node_hash(hash_, leaf)
    return leaf == root


def consistency_ranges(first: int, low: int, high: int) -> list[tuple[int, int]]:
    """The ranges whose hashes prove that a tree of `first` leaves is the beginning of one of
    `high`; each lies wholly before or wholly behind `first`. `low` is 0 for the whole tree.
    """
    if first == high:
        return [] if low == 0 else [(low, high)]
    middle = split(low, high)
    if first <= middle:
        return [*consistency_ranges(first, low, middle), (middle, high)]
    return [*consistency_ranges(first, middle, high), (low, middle)]


def consistent(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the second tree has the first one as its beginning."""
    if not 0 < first <= second or len(consistency_ranges(first, 0, second)) != len(proof):
        return False
    given = iter(proof)

    def fold(low: int, high: int) -> tuple[bytes, bytes]:
        if first == high:
            known = first_root if low == 0 else next(given)
            return known, known
        middle = split(low, high)
        if first <= middle:
            old, new = fold(low, middle)
            return old, node_hash(new, next(given))
        old, new = fold(middle, high)
        left = next(given)
        return node_hash(left, old), node_hash(left, new)

    return fold(0, second) == (first_root, second_root)


class Edge:
    """A tree that grows leaf by leaf, of which only the roots of its full subtrees are held."""

    def __init__(self) -> None:
        self.size, self._full = 0, list[bytes]()

    def push(self, leaf: bytes) -> None:
        """One leaf more."""
        number, self.size = self.size, self.size + 1
        while number & 1:
            leaf = node_hash(self._full.pop(), leaf)
            number >>= 1
        self._full.append(leaf)

    def with_leaves(self, leaves: Iterable[bytes]) -> Edge:
        """The same tree with more leaves; this one stays as it is."""
        grown = Edge()
        grown.size, grown._full = self.size, [*self._full]
        for leaf in leaves:
            grown.push(leaf)
        return grown

    def root(self) -> bytes:
        """The root as it is now."""
        if not self._full:
            return root_of([])
        found = self._full[-1]
        for hash_ in reversed(self._full[:-1]):
            found = node_hash(hash_, found)
        return found


# What a leaf holds.


def encode(texts: Iterable[str | None], data: bytes) -> bytes:
    """The bytes of an event's leaf: the format's name, the fields, the data; each with its length
    in four bytes before it, all ones where there is none. So no two events have the same bytes.
    """
    parts = []
    for text in (FORMAT, *texts):
        if text is None:
            parts.append(NULL)
        else:
            content = text.encode()
            parts += (_length(len(content)), content)
    return b"".join((*parts, _length(len(data)), data))


def hash_of(event: Mapping[str, Any]) -> bytes:
    """The leaf hash of an exported event; ValueError or KeyError if it is none."""
    data = base64.b64decode(event["data"], validate=True)
    return leaf_hash(encode((event[name] for name in FIELDS), data))


# Signed checkpoints (c2sp.org/signed-note, c2sp.org/tlog-checkpoint).


@dataclass(frozen=True)
class Checkpoint:
    """What a service has signed: so many leaves, this root."""

    origin: str
    size: int
    root: bytes


class Unverifiable(Exception):  # noqa: N818 - says what it is
    """What is there proves nothing: unreadable, not signed, or signed by nobody known."""


def key_id(name: str, public: bytes) -> bytes:
    """The four bytes by which a signature names its key."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def parse_key(text: str) -> tuple[str, bytes, bytes]:
    """(name, id, public key) of `name+id+key`, as Go's sumdb/note writes a verifier key."""
    name, _, rest = text.strip().partition("+")
    hex_id, _, encoded = rest.partition("+")
    try:
        id_, key = bytes.fromhex(hex_id), base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise Unverifiable(f"不是公钥 · not a public key: {text}") from error
    if key[:1] != ED25519 or len(key) != 33 or id_ != key_id(name, key[1:]):
        raise Unverifiable(f"不是公钥 · not a public key: {text}")
    return name, id_, key[1:]


def open_note(note: str, keys: Iterable[str]) -> Checkpoint:
    """The checkpoint that a note holds if one of the keys signed it; else `Unverifiable`."""
    known = {(name, id_): public for name, id_, public in map(parse_key, keys)}
    text, gap, signatures = note.rpartition("\n\n")
    lines = signatures.splitlines()
    if not gap or len(lines) > SIGNATURES_MAX:
        raise Unverifiable("不是签名检查点 · not a signed checkpoint")
    signed = False
    for line in lines:
        dash, name, encoded = (*line.split(" "), "", "", "")[:3]
        with contextlib.suppress(binascii.Error):
            signature = base64.b64decode(encoded, validate=True)
            public = known.get((name, signature[:4]))
            if dash == "—" and public is not None:
                _check(public, signature[4:], f"{text}\n".encode())
                signed = True
    if not signed:
        raise Unverifiable("没有已知公钥的签名 · signed by no known key")
    return _parse(text)


def _opens(note: str, keys: Sequence[str]) -> bool:
    try:
        open_note(note, keys)
    except Unverifiable:
        return False
    return True


def _check(public: bytes, signature: bytes, text: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except InvalidSignature as error:
        raise Unverifiable("签名不符 · the signature does not match") from error


def _parse(text: str) -> Checkpoint:
    origin, size, root, *_ = (*text.split("\n"), "", "", "")
    try:
        found = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except ValueError as error:
        raise Unverifiable("不是检查点 · not a checkpoint") from error
    if not origin or found.size < 0 or str(found.size) != size or len(found.root) != 32:
        raise Unverifiable("不是检查点 · not a checkpoint")
    return found


# What may be wrong with a log.

KINDS = {
    "altered": "事件被改动 · this event was altered",
    "removed": "事件被删除 · the event was removed",
    "inserted": "事件是后来插入的 · this event was inserted",
    "leaf": "事件完好，叶记录被改动或删除 · only its leaf record was altered or removed",
    "rewritten": "其中有事件连同哈希被改写 · in here events were rewritten with their hashes",
    "cut": "签名之后被截断 · signed, and now missing",
    "checkpoint": "检查点被改动 · this checkpoint was altered",
    "proof": "检查点之间的证明被改动 · the proof between two checkpoints was altered",
    "older": "与旧导出不同 · not what the older export holds",
    "witness": "与见证人留存的检查点不符 · not the log that the witness saw",
    "rolled back": "比见证人见过的短 · shorter than what the witness saw",
    "unreadable": "无法读取 · cannot be read",
}


@dataclass(frozen=True)
class Finding:
    """Something that differs. `first`, `last`: numbers of the leaves concerned, from 0."""

    kind: str
    first: int | None
    last: int | None
    position: str = ""
    stream: str = ""
    version: str = ""
    note: str = ""

    def __str__(self) -> str:
        where = "" if self.first is None else f"leaf {self.first}"
        if self.last != self.first:
            where += f"–{self.last}"
        named = (("position", self.position), ("stream", self.stream), ("version", self.version))
        more = [f"{name} {value}" for name, value in named if value]
        return f"{KINDS[self.kind]}: {', '.join(filter(None, (where, *more, self.note)))}"


@dataclass
class Leaf:
    """`kept`: the leaf's hash as it was kept (None: its record is gone); `seen`: the hash of the
    event that stands there now (None: there is none).
    """

    number: int
    kept: bytes | None = None
    seen: bytes | None = None
    position: str = ""
    stream: str = ""
    version: str = ""
    note: str = ""

    def finding(self, kind: str) -> Finding:
        """What is wrong here."""
        return Finding(
            kind, self.number, self.number, self.position, self.stream, self.version, self.note
        )

    def differs(self) -> Finding | None:
        """What is wrong, if the leaf as kept is right."""
        if self.seen is None:
            return self.finding("removed")
        if self.kept is None:
            return self.finding("leaf")
        return None if self.seen == self.kept else self.finding("altered")


def leaf_of(line: Mapping[str, Any], number: int) -> Leaf:
    """A leaf from its line. An event that is not shown counts as its kept hash."""
    kept = base64.b64decode(line["hash"]) if line.get("hash") else None
    event = line.get("event")
    place = [str(line.get(name) or "") for name in ("position", "stream", "version")]
    leaf = Leaf(number, kept, kept if "event" not in line else None, *place)
    if event is not None:
        now = (event["stream"], event["version"])
        if leaf.stream and now != (leaf.stream, leaf.version):
            leaf.note = f"现在是 · there is now: stream {now[0]}, version {now[1]}"
        leaf.stream, leaf.version = leaf.stream or now[0], leaf.version or now[1]
        with contextlib.suppress(ValueError, KeyError, AttributeError, TypeError):
            leaf.seen = hash_of(event)
        leaf.seen = leaf.seen or b"unreadable"
    return leaf


class Audit:
    """A log, line by line, from its first leaf. `findings`: what is wrong; `signed`: the last
    checkpoint that could be verified, `note` its text; `withheld`: events that were not shown.

    `others`: keys that the log names and nobody vouches for; what only they signed counts as not
    signed, and is in `unvouched`. Between two checkpoints the leaves are held against the proof
    between them, and so against both signatures: what was changed before hides nothing there.
    """

    def __init__(
        self,
        keys: Sequence[str],
        witnesses: Iterable[str] = (),
        older: Iterable[Leaf] = (),
        others: Sequence[str] = (),
    ) -> None:
        self.keys, self.others = keys, others
        self.findings: list[Finding] = []
        self.signed: Checkpoint | None = None
        self.note, self.count, self.withheld = "", 0, 0
        self.unvouched: set[str] = set()
        self._leaves: list[Leaf] = []
        self._loose: list[Leaf] = []
        self._waiting: list[tuple[str, Sequence[bytes]]] = []
        self._edge = Edge()
        self._older = iter(older)
        self._witnessed = sorted((open_note(one, keys) for one in witnesses), key=lambda w: w.size)

    def line(self, line: Mapping[str, Any]) -> None:
        """Takes one line of the log."""
        if "checkpoint" in line:
            proof = [base64.b64decode(hash_) for hash_ in line["proof"]]
            self._waiting.append((line["checkpoint"], proof))
            self._settle()
        elif line["leaf"] is None:
            self._loose.append(leaf_of(line, self.count))
        else:
            self.withheld += "event" not in line
            self._leaf(leaf_of(line, line["leaf"]))

    def _leaf(self, leaf: Leaf) -> None:
        if self._leaves and leaf.number == self.count - 1:
            # Two events at one position: the one that the leaf is of was there first.
            if leaf.seen == leaf.kept:
                leaf, self._leaves[-1] = self._leaves[-1], leaf
            self.findings.append(leaf.finding("inserted"))
        elif leaf.number < self.count:
            self.findings.append(leaf.finding("unreadable"))
        else:
            if leaf.number > self.count and not self._fill(leaf.number):
                self._take([Leaf(number) for number in range(self.count, leaf.number)])
            self._settle()
            self._take([leaf])

    def _take(self, leaves: Sequence[Leaf]) -> None:
        self._leaves += leaves
        self.count += len(leaves)

    def _fill(self, size: int) -> bool:
        """Events without leaf take the places of leaves without record, if they are as many."""
        here = [one for one in self._loose if one.number == self.count]
        if len(here) != size - self.count:
            return False
        self._loose = [one for one in self._loose if one.number != self.count]
        for number, one in enumerate(here, self.count):
            one.number = number
        self._take(here)
        return True

    def _settle(self) -> None:
        """Takes the checkpoints that wait, as far as their leaves are there."""
        while self._waiting:
            note, proof = self._waiting[0]
            point = self._opened(note)
            if point is not None and point.size > self.count:
                return
            del self._waiting[0]
            if point is not None:
                for low, high, hash_ in self._trusted(point, proof):
                    self._range(low, high, hash_, point.root)
                self._push()
                self.signed, self.note = point, note

    def _opened(self, note: str) -> Checkpoint | None:
        """A checkpoint that may follow the last one; None if it is to be passed over."""
        size = note.split("\n")[1:2]
        try:
            point = open_note(note, self.keys)
        except Unverifiable as error:
            if _opens(note, self.others):
                self.unvouched.add(note)
            else:
                why = f"size {''.join(size)}: {error}"
                self.findings.append(Finding("checkpoint", None, None, note=why))
            return None
        if self.signed and (point.origin != self.signed.origin or point.size < self.signed.size):
            self.findings.append(Finding("checkpoint", None, None, note=f"size {point.size}"))
            return None
        return point

    def _trusted(
        self, point: Checkpoint, proof: Sequence[bytes]
    ) -> list[tuple[int, int, bytes | None]]:
        """Ranges since the checkpoint before, each with the hash that both signatures stand for."""
        before = self.signed
        self._match(point.size)
        if before is None:
            return [(0, point.size, point.root)]
        if consistent(before.size, before.root, point.size, point.root, proof):
            ranges = zip(consistency_ranges(before.size, 0, point.size), proof, strict=True)
            return [(low, high, h) for (low, high), h in ranges if low >= before.size]
        at = f"size {before.size} → {point.size}"
        self.findings.append(Finding("proof", None, None, note=at))
        return [(before.size, point.size, None)]

    def _match(self, size: int) -> None:
        """An event without leaf that some leaf without event is of: only the record was moved. What
        stands where a tree of that size ends may belong behind it.
        """
        homeless = {one.seen: one for one in self._loose}
        for leaf in self._leaves:
            found = homeless.pop(leaf.kept, None) if leaf.seen is None and leaf.kept else None
            if found is not None:
                self.findings.append(found.finding("leaf"))
                leaf.seen = leaf.kept
                self._loose.remove(found)
        self.findings += [one.finding("inserted") for one in self._loose if one.number < size]
        self._loose = [one for one in self._loose if one.number >= size]

    def _range(self, low: int, high: int, expected: bytes | None, root: bytes) -> None:
        """Leaves against what was signed: the events are right, or the kept hashes, or neither."""
        begin = self._edge.size
        leaves = self._leaves[low - begin : high - begin]
        if self._agrees([leaf.seen for leaf in leaves], expected, root):
            self.findings += [leaf.finding("leaf") for leaf in leaves if leaf.kept != leaf.seen]
            for leaf in leaves:
                leaf.kept = leaf.seen
            return
        right = self._agrees([leaf.kept or leaf.seen for leaf in leaves], expected, root)
        self.findings += filter(None, (leaf.differs() for leaf in leaves))
        if not right:
            self.findings.append(Finding("rewritten", low, high - 1))

    def _agrees(self, hashes: Sequence[bytes | None], expected: bytes | None, root: bytes) -> bool:
        known = [one for one in hashes if one is not None]
        if len(known) < len(hashes):
            return False
        if expected is not None:
            return root_of(known) == expected
        return self._edge.with_leaves(known).root() == root

    def _push(self) -> None:
        """What was held against a signature joins the tree, and is held against other memories."""
        for leaf in self._leaves:
            self._edge.push(leaf.kept or leaf.seen or bytes(32))
            older = next(self._older, None)
            if older is not None and older.seen != leaf.seen:
                then = f"stream {older.stream}, version {older.version}, position {older.position}"
                leaf.note = f"当时是 · there was then: {then}"
                self.findings.append(leaf.finding("older"))
            while self._witnessed and self._witnessed[0].size == self._edge.size:
                self._witness(self._witnessed.pop(0))
        self._leaves.clear()

    def _witness(self, seen: Checkpoint) -> None:
        if self._edge.root() != seen.root:
            self.findings.append(Finding("witness", 0, seen.size - 1))

    def end(self) -> None:
        """Nothing more comes. Leaves that no checkpoint covers yet are held against their events
        alone.
        """
        points = [one for note, _ in self._waiting if (one := self._opened(note)) is not None]
        if points and self._fill(points[0].size):
            self._settle()
        if self._waiting and points:
            self.findings.append(Finding("cut", self.count, points[-1].size - 1))
        self._match(self.count + 1)
        self.findings += filter(None, (leaf.differs() for leaf in self._leaves))
        self._push()
        lost = [seen.size for seen in self._witnessed if seen.size > self.count]
        rest = [leaf.number + 1 for leaf in self._older]
        if lost or rest:
            self.findings.append(Finding("rolled back", self.count, max(lost + rest) - 1))


# Where a log comes from: a file, or a running service.


def lines_of(path: str) -> Iterator[dict[str, Any]]:
    """The lines of an export; `Unverifiable` at one that is none."""
    with Path(path).open(encoding="utf-8") as stream:
        for number, text in enumerate(stream, 1):
            try:
                yield dict(json.loads(text))
            except ValueError as error:
                raise Unverifiable(f"{path}: 第 {number} 行 · line {number}: {error}") from error


def older_leaves(path: str) -> Iterator[Leaf]:
    """The leaves of an older export, in order."""
    for line in lines_of(path):
        if line.get("leaf") is not None:
            yield leaf_of(line, line["leaf"])


class Http:
    """The log of a running service. `token`: whoever holds none sees checkpoints and proofs."""

    def __init__(self, base: str, token: str = "") -> None:
        self.base = base.rstrip("/") + "/log/"
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> str:
        """What is answered; `Unverifiable` if it is no."""
        request = urllib.request.Request(self.base + path, headers=self.headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise Unverifiable(f"{self.base}{path}: {error.read().decode()[:500]}") from error
        except OSError as error:
            raise Unverifiable(f"{self.base}{path}: {error}") from error

    def lines(self, size: int) -> Iterator[dict[str, Any]]:
        """The first so many leaves, page by page; what comes later meanwhile is left out."""
        for first in range(0, size, PAGE):
            page = self.get(f"leaves?first={first}&limit={min(PAGE, size - first)}")
            yield from (json.loads(text) for text in page.splitlines())


def check_witness(source: Http, keys: Sequence[str], witnesses: Iterable[str]) -> Audit:
    """Only the checkpoint, and that it is what witnesses saw, grown: what needs no sign-in."""
    audit = Audit(keys)
    audit.note = source.get("checkpoint")
    audit.signed = now = open_note(audit.note, keys)
    for seen in (open_note(one, keys) for one in witnesses):
        if seen.size > now.size:
            audit.findings.append(Finding("rolled back", now.size, seen.size - 1))
            continue
        answer = json.loads(source.get(f"proofs/consistency?first={seen.size}&second={now.size}"))
        proof = [base64.b64decode(one) for one in answer["hashes"]]
        if not consistent(seen.size, seen.root, now.size, now.root, proof):
            audit.findings.append(Finding("witness", 0, seen.size - 1))
    return audit


def check_receipt(receipt: Mapping[str, Any], keys: Sequence[str]) -> Audit:
    """One event and its proof, as `/log/proofs/inclusion` answers."""
    audit = Audit(keys)
    audit.note = receipt["checkpoint"]
    audit.signed = point = open_note(audit.note, keys)
    proof = [base64.b64decode(one) for one in receipt["hashes"]]
    leaf = leaf_of({**receipt, "event": receipt["event"]}, receipt["leaf"])
    if not included(leaf.seen or b"", leaf.number, point.size, proof, point.root):
        audit.findings.append(leaf.finding("altered"))
    return audit


# The command line.


def parser() -> argparse.ArgumentParser:
    """What can be said."""
    made = argparse.ArgumentParser(
        prog="verify.py", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("log", help="导出文件、事件凭据或服务地址 · an export, a receipt, or a URL")
    made.add_argument("--key", action="append", default=[], help="事先拿到的公钥 · a key you trust")
    made.add_argument("--token-file", default="", help="访问令牌所在文件 · a file with a token")
    made.add_argument("--witness", action="append", default=[], help="留存的检查点 · one kept")
    made.add_argument("--older", default="", help="旧的导出 · an older export of the same log")
    made.add_argument("--keep", default="", help="无误则把检查点存入 · keep the checkpoint here")
    made.add_argument("--json", action="store_true", help="以 JSON 输出 · answer as JSON")
    return made


def verified(options: argparse.Namespace) -> Audit:
    """Verifies what the options name; raises `Unverifiable`."""
    # The first time there is none kept yet.
    kept = [name for name in options.witness if name != options.keep or Path(name).exists()]
    notes = [Path(name).read_text("utf-8") for name in kept]
    if options.log.startswith(("http://", "https://")):
        token = Path(options.token_file).read_text("utf-8").strip() if options.token_file else ""
        source = Http(options.log, token)
        told = list(json.loads(source.get("keys"))["keys"])
        if not token:
            return check_witness(source, options.key or told, notes)
        notes.append(source.get("checkpoint"))
        lines = source.lines(open_note(notes[-1], options.key or told).size)
    else:
        lines = lines_of(options.log)
        header = next(lines, {})
        told = list(header.get("keys", ()))
        if "hashes" in header:
            return check_receipt(header, options.key)
        if "houqin_log" not in header:
            raise Unverifiable(f"{options.log}: 不是导出文件 · not an export")
    older = older_leaves(options.older) if options.older else ()
    audit = Audit(options.key or told, notes, older, told)
    for line in lines:
        audit.line(line)
    audit.end()
    if audit.withheld and not options.log.startswith("http"):
        raise Unverifiable("导出不全，有事件没有写出 · events were left out of the export")
    if audit.signed is None and not audit.findings:
        raise Unverifiable("没有签名检查点，什么也证明不了 · nothing is signed, nothing proven")
    return audit


def outcome(audit: Audit, *, pinned: bool) -> str:
    """The outcome in words."""
    lines = [str(one) for one in audit.findings]
    point = audit.signed
    if point is not None:
        root = base64.b64encode(point.root).decode()
        lines.append(f"{point.origin}: {point.size} 条已签名 · leaves signed, root {root}")
        later = audit.count - point.size
        if later > 0:
            lines.append(f"另有 {later} 条尚未签名 · {later} more are not signed yet")
    if audit.withheld:
        lines.append(f"{audit.withheld} 条只验了哈希 · verified by hash alone, not shown to you")
    if audit.unvouched:
        count = len(audit.unvouched)
        lines.append(f"{count} 个检查点的公钥未经确认 · checkpoints of keys that you did not name")
    if not pinned:
        lines.append("公钥来自日志本身，只证明自洽 · keys came with the log: pin them with --key")
    if audit.findings:
        lines.append(f"✗ 日志被改动 · the log was changed: {len(audit.findings)}")
    else:
        lines.append("✓ 没有发现改动 · nothing was changed")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 unchanged, 1 changed, 2 could not be verified."""
    options = parser().parse_args(arguments)
    try:
        audit = verified(options)
    except (Unverifiable, OSError, KeyError, TypeError, ValueError) as error:
        print(f"无法验证 · could not be verified: {error}", file=sys.stderr)
        return 2
    if options.json:
        size = audit.signed.size if audit.signed else None
        found = [asdict(one) for one in audit.findings]
        print(json.dumps({"size": size, "leaves": audit.count, "findings": found}))
    else:
        print(outcome(audit, pinned=bool(options.key)))
    if options.keep and not audit.findings:
        Path(options.keep).write_text(audit.note, "utf-8")
    return int(bool(audit.findings))


if __name__ == "__main__":
    sys.exit(main())
