"""Subjects and streams: names of one namespace, each stored in the stream that says so."""

from __future__ import annotations

import pytest

from trunkline.bus.subjects import Stream, Subjects
from trunkline.bus.topology import streams
from trunkline.settings import Settings

SUBJECTS = Subjects("tl")


@pytest.mark.parametrize(
    ("subject", "stream"),
    [
        (SUBJECTS.event("default", "order.placed"), Stream.EVENTS),
        (SUBJECTS.inbox("default", "orders"), Stream.INBOX),
        (SUBJECTS.tool("default", "support", "refund"), Stream.WORK),
        (SUBJECTS.llm("default", "fast"), Stream.WORK),
        (SUBJECTS.reply("default", "0192"), Stream.REPLY),
        (SUBJECTS.stream("default", "0193"), Stream.STREAM),
        (SUBJECTS.permit("default", "orders"), None),
        (SUBJECTS.ended("default", "0193"), None),
        (SUBJECTS.cancel("default", "0193"), None),
        (SUBJECTS.heartbeat("0192"), None),
        (SUBJECTS.worker_wake("0192"), None),
        (SUBJECTS.worker_permit("0192"), None),
        ("other.default.inbox.orders", None),
        ("tl.default.inbox", None),
    ],
)
def test_a_subject_is_stored_in_one_stream_or_none(subject: str, stream: Stream | None) -> None:
    assert SUBJECTS.stored_in(subject) is stream
    taking = [each for each in Stream if any(_matches(pattern, subject) for pattern in SUBJECTS.taken_by(each))]
    assert taking == ([stream] if stream else [])


def test_names_carry_the_namespace() -> None:
    assert SUBJECTS.event("acme", "order.placed") == "tl.acme.event.order.placed"
    assert SUBJECTS.stream_name("WORK") == "TL_WORK"
    assert Subjects("blue").tool("acme", "support", "refund") == "blue.acme.work.tool.support.refund"


def test_dead_letters_come_from_our_streams_alone() -> None:
    advisories = SUBJECTS.taken_by(Stream.DEAD)
    assert "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.TL_WORK.>" in advisories
    assert "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.TL_INBOX.>" in advisories
    assert not [subject for subject in advisories if "TL_DEAD" in subject]


def test_the_window_of_deduplication_never_exceeds_the_age() -> None:
    configs = streams(Settings(stream_max_age=10.0))
    assert configs[Stream.STREAM]["duplicate_window"] == 10 * 10**9
    assert configs[Stream.EVENTS]["duplicate_window"] == 120 * 10**9


def _matches(pattern: str, subject: str) -> bool:
    """NATS's matching of subjects."""
    wanted, tokens = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(tokens) > place
        if place >= len(tokens) or token not in ("*", tokens[place]):
            return False
    return len(wanted) == len(tokens)
