"""What is read from the bus is a whole message of its kind, or is told apart by name: nothing else comes through."""

from __future__ import annotations

import pytest

from trunkline.domain.errors import NotAMessage
from trunkline.domain.work import RunEnded


def test_a_message_is_read_and_what_is_new_in_it_is_passed_over() -> None:
    assert RunEnded.read(b'{"run": "r", "status": "failed", "since": 3}') == RunEnded(run="r", status="failed")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{not json", "not acceptable JSON"),
        (b"\xff\xfe", "not acceptable JSON"),
        (b'{"run": "a\\u0000b", "status": "failed"}', "NUL"),
        (b'{"run": "r"}', "status: Field required"),
        (b'{"run": 1, "status": "failed"}', "run: Input should be a valid string"),
        (b"[]", "the body: Input should be a valid dictionary"),
    ],
)
def test_what_is_none_says_where_it_does_not_fit(data: bytes, reason: str) -> None:
    with pytest.raises(NotAMessage) as caught:
        RunEnded.read(data)
    assert "RunEnded" in str(caught.value)
    assert reason in str(caught.value)
