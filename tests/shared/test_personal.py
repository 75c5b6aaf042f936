"""A personal value is kept sealed or not at all, and opens only where it was sealed."""

from copy import replace
from typing import Annotated
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealing import record as r
from sealing.cipher import DataKey, Tampered, new_secret
from shared import personal as p
from shared.fields import personal
from shared.kernel import Event, View

STREAM, SCHOOL = uuid4(), uuid4()


class Party(msgspec.Struct, frozen=True, kw_only=True):
    name: Annotated[str, personal("name")]
    share: int


class SomethingTold(Event):
    person: str
    story: Annotated[str, personal("person")]
    case: Annotated[str | None, personal()] = None
    parties: tuple[Party, ...] = ()
    by_role: dict[str, Party] = {}
    open: str = ""


class NothingTold(Event):
    story: str


class StoryRow(View):
    id: UUID
    story: Annotated[str, personal("id")]


def key(algorithm: str = "aes-256-gcm") -> DataKey:
    return DataKey(uuid4(), algorithm, new_secret(algorithm))


def told(story: str = "病了", **fields: object) -> SomethingTold:
    return SomethingTold(person="wang", story=story, **fields)  # type: ignore[arg-type]


def keys_of(values: list[r.Private], algorithm: str = "aes-256-gcm") -> r.Keys:
    """Seals values, each subject with a key of its own; the keys."""
    made = {value.subject: key(algorithm) for value in values}
    for value in values:
        value.record = r.sealed(value, value.place, STREAM, made[value.subject])
    return {one.id: one for one in made.values()}


texts = st.text(st.characters(codec="utf-8"), max_size=30)


@given(st.sampled_from(["aes-256-gcm", "sm4-gcm"]), texts, st.none() | texts, st.lists(texts))
def test_an_event_is_kept_sealed_and_opens_as_it_was(
    algorithm: str, story: str, case: str | None, names: list[str]
) -> None:
    parties = tuple(Party(name=name, share=1) for name in names)
    roles = {"first": parties[0]} if parties else {}
    event = told(story, case=case, parties=parties, by_role=roles, open="门口")
    marked, values = p.marked(event, STREAM, SCHOOL)
    assert marked == event
    keys = keys_of(values, algorithm)
    data = r.kept(marked)
    for value in values:
        assert len(value) < 4 or value.encode() not in data
    assert "门口".encode() in data
    assert p.opened(msgspec.json.decode(data, type=SomethingTold), STREAM, keys) == event
    assert r.key_ids(data) == set(keys)


def test_each_value_is_about_whom_it_names() -> None:
    event = told(case="case", parties=(Party(name="li", share=1),))
    _, values = p.marked(event, STREAM, SCHOOL)
    assert [(str(one), one.subject, one.place) for one in values] == [
        ("病了", (SCHOOL, "wang"), "SomethingTold.story"),
        ("case", (SCHOOL, str(STREAM)), "SomethingTold.case"),
        ("li", (SCHOOL, "li"), "SomethingTold.parties.name"),
    ]


def test_no_encoder_takes_it_unless_it_is_told_how() -> None:
    marked, values = p.marked(told(), STREAM, SCHOOL)
    for encode in (msgspec.json.encode, msgspec.msgpack.encode, r.kept):
        with pytest.raises(TypeError):
            encode(marked)
    with pytest.raises(TypeError):
        r.kept(object())
    with pytest.raises(TypeError):
        r.clear_of(object())
    keys_of(values)
    assert b"sealed:1:" in r.kept(marked)
    assert "病了" in msgspec.json.encode(marked, enc_hook=r.clear_of).decode()


def test_a_record_opens_only_in_its_own_stream_and_field() -> None:
    one = key()
    record, keys = r.sealed("病了", "SomethingTold.story", STREAM, one), {one.id: one}
    assert r.unsealed(record, STREAM, keys, "SomethingTold.story") == "病了"
    with pytest.raises(Tampered):
        r.unsealed(record, uuid4(), keys)
    with pytest.raises(Tampered):
        r.unsealed(record, STREAM, keys, "SomethingTold.case")
    renamed = record.replace("SomethingTold.story", "SomethingTold.case")
    with pytest.raises(Tampered):
        r.unsealed(renamed, STREAM, keys)


def test_another_subjects_key_does_not_open_it() -> None:
    mine, other = key(), key()
    record = r.sealed("病了", "SomethingTold.story", STREAM, mine)
    moved = record.replace(mine.id.hex, other.id.hex)
    with pytest.raises(Tampered):
        r.unsealed(moved, STREAM, {other.id: other})
    posing = DataKey(mine.id, mine.algorithm, other.secret)
    with pytest.raises(Tampered):
        r.unsealed(record, STREAM, {mine.id: posing})


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_an_altered_record_never_opens_to_another_text(at: int, character: str) -> None:
    one = key()
    record = r.sealed("病了", "SomethingTold.story", STREAM, one)
    at %= len(record)
    altered = record[:at] + character + record[at + 1 :]
    try:
        opened = str(r.unsealed(altered, STREAM, {one.id: one}))
    except (Tampered, ValueError):
        return
    assert opened in {"病了", altered} or "key missing" in opened


def test_erased_is_told_from_lost_and_one_from_another() -> None:
    mine, other = key(), key()
    records = [r.sealed("x", "SomethingTold.story", STREAM, one) for one in (mine, mine, other)]
    gone = {mine.id: None, other.id: None}
    shown = [r.unsealed(record, STREAM, gone) for record in records]
    assert shown[0] == shown[1] != shown[2]
    assert all("已删除" in one and "erased" in one for one in shown)
    assert [one.record for one in shown] == records, "what is kept stays as it is"
    missing = r.unsealed(records[0], STREAM, {})
    assert "key missing" in missing
    assert "erased" not in missing
    assert missing.record == records[0], "a newer copy of the keys opens it again"


def test_what_was_written_before_the_declaration_reads_as_it_is() -> None:
    old = msgspec.json.encode(told("旧"))
    event = p.opened(msgspec.json.decode(old, type=SomethingTold), STREAM, {})
    assert event.story == "旧"
    assert r.kept(event) == old


async def test_rows_open_in_place() -> None:
    row = {"id": STREAM, "story": "旧"}
    await p.reveal(None, StoryRow, [row])
    assert row == {"id": STREAM, "story": "旧"}
    record = r.sealed("新", "SomethingTold.story", STREAM, key())
    with pytest.raises(RuntimeError, match="HOUQIN_KEYS"):
        await p.reveal(None, StoryRow, [{"id": STREAM, "story": record}])


def test_whoever_has_no_key_sees_that_there_is_something() -> None:
    record = r.sealed("病了", "SomethingTold.story", STREAM, key())
    shown = r.veiled({"a": [record, "open", 1], "b": {"c": record}})
    assert "sealed" not in str(shown)
    assert shown["a"][1:] == ["open", 1]


def test_a_wrong_declaration_is_an_error() -> None:
    class Counted(Event):
        count: Annotated[int, personal()]

    class Nobodys(Event):
        story: Annotated[str, personal("person")]

    for wrong in (Counted, Nobodys):
        with pytest.raises(TypeError, match="about somebody"):
            p.marks_of(wrong)
    assert p.carries(SomethingTold)
    assert not p.carries(NothingTold)
    assert replace(told(), story="x").story == "x"
