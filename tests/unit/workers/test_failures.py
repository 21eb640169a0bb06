"""Failures as they are sent: one message, no traceback, bounded, and always JSON."""

from __future__ import annotations

import pytest

from trunkline.domain import codec
from trunkline.domain.errors import BadInput, BadOutput, NotJson, PayloadTooLarge
from trunkline_workers.failures import MAX_MESSAGE, failure_of


class Declined(Exception):
    retryable = False


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "type_", "retryable"),
    [
        (ValueError("no such order"), "ValueError", True),
        (Declined("card declined"), "Declined", False),
        (BadInput(target="tool 'x'", reason="a: missing"), "BadInput", False),
        (BadOutput(target="tool 'x'", reason="value: not an int"), "BadOutput", False),
        (NotJson(what="it", reason="NaN"), "NotJson", False),
        (PayloadTooLarge(what="it", size=2, limit=1), "PayloadTooLarge", False),
    ],
)
def test_type_and_retryability(error: Exception, type_: str, retryable: bool) -> None:
    assert failure_of(error) == {"type": type_, "message": str(error), "retryable": retryable}


def test_an_error_without_a_message_is_named() -> None:
    assert failure_of(KeyError())["message"] == "KeyError"


def test_an_error_that_cannot_describe_itself_is_named() -> None:
    assert "Unspeakable" in failure_of(Unspeakable())["message"]


@pytest.mark.parametrize("text", ["a\x00b", "lone \ud800 surrogate", "x" * 100_000])
def test_any_message_can_be_sent(text: str) -> None:
    failure = failure_of(ValueError(text))
    assert codec.loads(codec.dumps(failure)) == failure
    assert len(failure["message"]) <= MAX_MESSAGE
