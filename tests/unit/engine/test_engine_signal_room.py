"""What a run keeps of signals that nobody waits for is bounded, by number and by size; a wait takes one always."""

from __future__ import annotations

from typing import Any, cast

from trunkline.domain.journal import SignalReceived
from trunkline.engine.signals import MOST_BYTES, MOST_KEPT, Signals
from trunkline.engine.step import Recorded


def received(data: Any) -> SignalReceived:
    return SignalReceived("run", name="go", data=data, at=1.0, message_id="m")


def test_there_is_room_for_so_many() -> None:
    signals = Signals()
    for n in range(MOST_KEPT):
        assert signals.takes("go")
        signals.answer(received(n))
    assert not signals.takes("go")
    assert not signals.takes("other")
    assert signals.take("go") == received(0)
    assert signals.takes("go")


def test_there_is_room_for_so_many_bytes() -> None:
    signals = Signals()
    for _ in range(2):
        assert signals.takes("go")
        signals.answer(received("x" * (MOST_BYTES // 2)))
    assert not signals.takes("go")
    signals.take("go")
    assert signals.takes("go")


def test_one_that_is_waited_for_needs_no_room() -> None:
    signals = Signals()
    for n in range(MOST_KEPT):
        signals.answer(received(n))
    signals.wait("other", cast("Recorded[Any]", object()))
    assert signals.takes("other")
    assert list(signals.awaited) == ["other"]
