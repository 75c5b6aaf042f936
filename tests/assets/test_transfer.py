"""Transfer: sent as a list, counted by the receiver, and nothing is in two places."""

from copy import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.assets.card import Card, cards
from services.assets.card.depreciate import DepreciateMonth
from services.assets.card.events import (
    AssetDepreciated,
    CardMoved,
    CardPutInTransit,
    CardTransitEnded,
    DepreciationReversed,
)  # fmt: skip
from services.assets.card.move import AssetTotal, EndTransit, MoveCard, PutInTransit
from services.assets.transfer import (
    CancelTransfer,
    ItemMissing,
    MissingItem,
    ReceiveTransfer,
    RemindOfTransfer,
    SendTransfer,
    TransferCancelled,
    TransferOverdue,
    TransferReceived,
    TransferSent,
    TransferStatus,
    asset_transfers,
    transfers,
)  # fmt: skip
from shared.kernel import Recorded, Refused, Send
from shared.testing import STREAM, by, given
from tests.assets.test_card import command
from tests.assets.world import NORTH, SOUTH, World, north, south

AT = "2026-09-07T08:00:00+08:00"
SENDER, RECEIVER = by("li", unit=SOUTH), by("zhao", unit=SOUTH, at="2026-09-08T08:00:00+08:00")


def world_with(count: int, at: str = AT) -> tuple[World, tuple[UUID, ...]]:
    """Desk-and-chair sets at the southern campus."""
    world, made = World(), []
    for number in range(count):
        tag = f"KZ-{number:04}"
        world.do(
            cards, cards.id_of(SOUTH, tag),
            command(
                organisation=SOUTH, tag=tag, name="课桌椅", category="A05010101",
                measure_unit="套", value_cny=Decimal("180.00"), bulk=True,
            ),
            at=at,
        )  # fmt: skip
        made.append(cards.id_of(SOUTH, tag))
    return world, tuple(made)


WORLD, IDS = world_with(2)
KNOWN: dict[UUID, Card] = {id_: WORLD.states[id_] for id_ in IDS}
COMMAND = SendTransfer(organisation=SOUTH, to_unit=NORTH, cards=IDS, reason="北校区扩班")
TOTAL = AssetTotal(
    category="A05010101", measure_unit="套", cards=2, quantity=2, gross_cny=Decimal("360.00")
)


def send(change: dict[str, Any] | None = None, *events: Any, **facts: Any) -> Any:
    facts = {"known": KNOWN, "receiver": north} | facts
    return given(transfers, *events).when(COMMAND.model_copy(update=change), by=SENDER, **facts)


SENT = send().outcome()[0]
assert isinstance(SENT, TransferSent)
ITEM = ItemMissing(card=IDS[0], note="车上没有")
MISSING = MissingItem(card=IDS[0], note="车上没有")
ONE = replace(TOTAL, cards=1, quantity=1, gross_cny=Decimal("180.00"))
RECEIVED = TransferReceived(
    from_unit=SOUTH, to_unit=NORTH, totals=(TOTAL,), missing=(), missing_totals=(),
    receiver="zhao", note="",
)  # fmt: skip
CANCELLED = TransferCancelled(from_unit=SOUTH, to_unit=NORTH, reason="不再需要")


def test_sends_a_list_and_puts_every_card_in_transit() -> None:
    put = PutInTransit(transfer=STREAM, from_unit=SOUTH, to_unit=NORTH)
    send().then(SENT, Send(cards, IDS[0], put), Send(cards, IDS[1], put))
    assert SENT.totals == (TOTAL,) and SENT.sender == "li"
    assert SENT.receive_by == datetime.fromisoformat("2026-09-14T08:00:00+08:00")
    send({}, SENT).then()
    send({"cards": IDS[:1]}, SENT).refused("transfer_exists", field="id")


def test_refuses_a_unit_that_cannot_receive() -> None:
    send({"to_unit": SOUTH}, receiver=south).refused("same_unit", field="to_unit")
    send(receiver=None).refused("to_unit_unknown", field="to_unit")
    closed = replace(north, closed_on=SENDER.day)
    send(receiver=closed).refused("to_unit_closed", field="to_unit")


def test_refuses_cards_that_are_not_at_hand() -> None:
    send({"cards": (IDS[0], IDS[0])}).refused("card_twice", field="cards")
    send(known={}).refused("card_unknown", field="cards")
    elsewhere = {id_: replace(card, holder=NORTH) for id_, card in KNOWN.items()}
    send(known=elsewhere).refused("card_elsewhere", field="cards")


def test_the_receiver_confirms_and_the_cards_move() -> None:
    move = MoveCard(transfer=STREAM, to_unit=NORTH, place="N1", keeper="zhao")
    receive = ReceiveTransfer(place="N1", keeper="zhao")
    sends = [Send(cards, id_, move) for id_ in IDS]
    given(transfers, SENT).when(receive, by=RECEIVER).then(RECEIVED, *sends)
    given(transfers, SENT, RECEIVED).when(receive, by=RECEIVER).then()
    assert transfers.decisions[ReceiveTransfer].at == "to_unit"


def test_what_is_missing_stays_with_the_sender() -> None:
    receive = ReceiveTransfer(missing=(ITEM,))
    received = replace(RECEIVED, totals=(ONE,), missing=(MISSING,), missing_totals=(ONE,))
    given(transfers, SENT).when(receive, by=RECEIVER).then(
        received,
        Send(cards, IDS[1], MoveCard(transfer=STREAM, to_unit=NORTH)),
        Send(cards, IDS[0], EndTransit(transfer=STREAM)),
    )
    given(transfers, SENT, received).when(receive, by=RECEIVER).then()
    nothing = ReceiveTransfer(missing=tuple(ItemMissing(card=id_, note="没有") for id_ in IDS))
    [empty, *ends] = given(transfers, SENT).when(nothing, by=RECEIVER).outcome()
    assert isinstance(empty, TransferReceived)
    assert (empty.totals, empty.missing_totals, len(ends)) == ((), (TOTAL,), 2)
    stranger = ReceiveTransfer(missing=(ItemMissing(card=UUID(int=1), note="没有"),))
    given(transfers, SENT).when(stranger, by=RECEIVER).refused("card_not_on_list", field="missing")


def test_nobody_receives_what_he_has_sent() -> None:
    himself = by("li", unit=NORTH, at="2026-09-08T08:00:00+08:00")
    given(transfers, SENT).when(ReceiveTransfer(), by=himself).refused("receiver_is_sender")


def test_receives_nothing_before_it_was_sent_and_nothing_twice() -> None:
    early = by("zhao", at="2026-09-07T07:59:00+08:00")
    given(transfers, SENT).when(ReceiveTransfer(), by=early).refused("before_what_it_follows")
    other = ReceiveTransfer(missing=(ITEM,))
    given(transfers, SENT, RECEIVED).when(other, by=RECEIVER).refused("transfer_closed")
    given(transfers, SENT, CANCELLED).when(ReceiveTransfer(), by=RECEIVER).refused(
        "transfer_closed"
    )


def test_the_sender_may_cancel_until_it_is_received() -> None:
    cancel = CancelTransfer(reason="不再需要")
    ends = [Send(cards, id_, EndTransit(transfer=STREAM)) for id_ in IDS]
    given(transfers, SENT).when(cancel).then(CANCELLED, *ends)
    given(transfers, SENT, CANCELLED).when(cancel).then()
    given(transfers, SENT, RECEIVED).when(cancel).refused("transfer_closed")


def overdue(level: int, now: str, upcoming: str | None) -> tuple[TransferOverdue, Any]:
    event = TransferOverdue(
        from_unit=SOUTH, to_unit=NORTH, level=level, totals=(TOTAL,), receive_by=SENT.receive_by,
        next_alarm_at=datetime.fromisoformat(upcoming) if upcoming else None,
    )  # fmt: skip
    return event, by("system", at=now)


def test_overdue_climbs_to_the_top_and_then_is_silent() -> None:
    assert transfers.timer is not None and transfers.timer.timer is not None
    first, at1 = overdue(1, "2026-09-14T08:00:00+08:00", "2026-09-17T08:00:00+08:00")
    second, at2 = overdue(2, "2026-09-17T08:00:00+08:00", "2026-09-20T08:00:00+08:00")
    third, at3 = overdue(3, "2026-09-20T08:00:00+08:00", None)
    assert transfers.timer.timer(given(transfers, SENT).state) == SENT.receive_by
    early = by("system", at="2026-09-14T07:59:00+08:00")
    given(transfers, SENT).when(RemindOfTransfer(), by=early).then()
    given(transfers, SENT).when(RemindOfTransfer(), by=at1).then(first)
    given(transfers, SENT, first).when(RemindOfTransfer(), by=at1).then()
    given(transfers, SENT, first).when(RemindOfTransfer(), by=at2).then(second)
    given(transfers, SENT, first, second).when(RemindOfTransfer(), by=at3).then(third)
    top = given(transfers, SENT, first, second, third)
    assert transfers.timer.timer(top.state) is None
    assert top.state.status is TransferStatus.OVERDUE
    top.when(ReceiveTransfer(), by=RECEIVER).outcome()
    given(transfers, SENT, RECEIVED).when(RemindOfTransfer(), by=at1).then()


def test_a_hundred_sets_go_from_south_to_north() -> None:
    world, ids = world_with(101)
    bulk = COMMAND.model_copy(update={"cards": ids[:100]})
    world.do(transfers, STREAM, bulk)
    assert len(world.told(CardPutInTransit)) == 100
    again = COMMAND.model_copy(update={"cards": ids[99:]})
    with pytest.raises(Refused, match="card_in_transit"):
        world.do(transfers, UUID(int=2), again)
    world.do(transfers, STREAM, ReceiveTransfer(), "zhao", at="2026-09-09T08:00:00+08:00")
    received = world.told(TransferReceived)[0]
    assert isinstance(received, TransferReceived)
    assert [(total.measure_unit, total.quantity) for total in received.totals] == [("套", 100)]
    assert len(world.told(CardMoved)) == 100
    assert {world.states[id_].holder for id_ in ids[:100]} == {NORTH}
    assert world.states[ids[100]].holder == SOUTH


def test_a_transfer_entered_late_counts_depreciation_where_it_belongs() -> None:
    world, (card, other) = world_with(2, at="2026-09-07T08:00:00+08:00")
    for id_ in (card, other):
        world.do(cards, id_, DepreciateMonth(), "system", at="2026-12-31T23:59:00+08:00")
    only = COMMAND.model_copy(update={"cards": (card,)})
    world.do(transfers, STREAM, only, at="2026-10-07T08:00:00+08:00")
    world.do(transfers, STREAM, ReceiveTransfer(), "zhao", at="2026-10-08T08:00:00+08:00")
    world.do(cards, card, DepreciateMonth(), "system", at="2026-12-31T23:59:30+08:00")
    per_unit = {SOUTH: Decimal(0), NORTH: Decimal(0)}
    for stream, event in world.log:
        if stream == card and isinstance(event, AssetDepreciated):
            per_unit[event.holder] += event.amount_cny
        elif stream == card and isinstance(event, DepreciationReversed):
            per_unit[event.holder] -= event.amount_cny
    assert per_unit == {SOUTH: Decimal("1.00"), NORTH: Decimal("3.00")}
    assert world.states[card].accumulated_cny == world.states[other].accumulated_cny


def test_what_did_not_arrive_can_be_sent_again() -> None:
    world, ids = world_with(2)
    world.do(transfers, STREAM, COMMAND.model_copy(update={"cards": ids}))
    missing = ReceiveTransfer(missing=(ItemMissing(card=ids[0], note="没到"),))
    world.do(transfers, STREAM, missing, "zhao", at="2026-09-09T08:00:00+08:00")
    assert len(world.told(CardTransitEnded)) == 1
    assert world.states[ids[0]].holder == SOUTH
    world.do(transfers, UUID(int=2), COMMAND.model_copy(update={"cards": ids[:1]}))


def test_both_units_see_it() -> None:
    moment = datetime.fromisoformat(AT)
    recorded = Recorded(
        id=UUID(int=1), stream=STREAM, version=1, organisation=SOUTH, actor="li",
        occurred_at=moment, recorded_at=moment,
    )  # fmt: skip
    rows = asset_transfers(given(transfers, SENT).state, recorded)
    assert {row.organisation: row.incoming for row in rows.values()} == {SOUTH: False, NORTH: True}
    assert rows["sent"].quantity == 2
