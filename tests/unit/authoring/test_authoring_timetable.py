"""Schedules as they are declared: names, keys, what the handler is given, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trunkline import App, At, BadDeclaration, Context, Cron, Every, Tick
from trunkline.domain.errors import BadKey
from trunkline.engine.occurrences import envelope

AT = datetime(2031, 2, 3, 12, tzinfo=UTC)


def declared(schedule: Any, input_: Any = Tick) -> Any:
    async def report(ctx: Context, tick) -> None: ...

    report.__annotations__["tick"] = input_
    return App("app").agent("report", schedule=schedule)(report).spec.schedules


def test_what_is_declared_is_data() -> None:
    cron, every, at = declared([
        Cron("0 2 * * *", tz="Europe/Berlin"),
        Every("15m", missed="skip", key="{due_at:%Y}"),
        At(AT, missed="all", name="the day"),
    ])  # fmt: skip
    assert (cron.name, cron.kind, cron.cron, cron.tz) == (
        "cron 0 2 * * * Europe/Berlin",
        "cron",
        "0 2 * * *",
        "Europe/Berlin",
    )
    assert (every.name, every.every, every.missed, every.key) == ("every 15m", 900.0, "skip", "{due_at:%Y}")
    assert (at.name, at.at, at.missed) == ("the day", AT.timestamp(), "all")
    assert (cron.missed, cron.tick) == ("once", True)


def test_an_occurrence_is_known_by_agent_schedule_and_due_time() -> None:
    [spec] = declared(Cron("0 2 * * *", tz="Europe/Berlin"))
    due = datetime(2026, 7, 1, 0, tzinfo=UTC).timestamp()
    letter = envelope("t", "report", spec, due)
    assert letter == envelope("t", "report", spec, due)
    assert letter.run != envelope("t", "report", spec, due + 86400).run != envelope("t", "other", spec, due).run
    assert letter.key == "cron 0 2 * * * Europe/Berlin"
    assert letter.body["input"] == {"due_at": "2026-07-01T02:00:00+02:00", "schedule": spec.name}


def test_a_key_is_filled_in_on_the_clock_of_the_zone() -> None:
    [spec] = declared(Cron("30 0 * * *", tz="Europe/Berlin", key="{agent} of {due_at:%Y-%m-%d}", name="nightly"))
    assert (
        envelope("t", "report", spec, datetime(2026, 6, 30, 22, 30, tzinfo=UTC).timestamp()).key
        == "report of 2026-07-01"
    )


@pytest.mark.parametrize("input_", [Tick, dict[str, Any], Any, Tick | None, str | Tick])
def test_who_can_take_a_tick_gets_it(input_: Any) -> None:
    [spec] = declared(Every("1h"), input_)
    assert envelope("t", "report", spec, 0.0).body["input"]["schedule"] == "every 1h"


def test_who_declares_nothing_gets_nothing() -> None:
    [spec] = declared(Every("1h"), None)
    assert envelope("t", "report", spec, 0.0).body["input"] is None


def test_a_schedule_that_stays_is_the_same() -> None:
    [one], [other] = declared(Every(900, name="often")), declared(Every(timedelta(minutes=15), name="often"))
    assert one == other


@pytest.mark.parametrize(
    ("schedule", "input_", "words"),
    [
        (Cron("0 2 * *"), Tick, "is not understood"),
        (Cron("0 2 * * *", tz="Europe/Atlantis"), Tick, "time zone 'Europe/Atlantis' is unknown"),
        (Every("never"), Tick, "Every="),
        (Every("500ms"), Tick, "below a second"),
        (At(AT.replace(tzinfo=None)), Tick, "no time with a time zone"),
        ("0 2 * * *", Tick, "is no schedule"),
        ([Every("1h"), Every("1h")], Tick, "two of its schedules have one name"),
        (Every("1h", name="n" * 201), Tick, "name of a schedule is not usable"),
        (Every("1h", missed="later"), Tick, "missed"),  # type: ignore[arg-type]
        (Every("1h", key="{due_at.__class__}"), Tick, "the key of its schedule"),
        (Every("1h", key="{run}"), Tick, "the key of its schedule"),
        (Every("1h", key="{schedule:>999999999}"), Tick, "the key of its schedule"),
        (Every("1h", key="{due_at"), Tick, "the key of its schedule"),
        (Every("1h", key="k" * 600), Tick, "the key of its schedule"),
        (Every("1h"), int, "its input is no Tick"),
        (Every("1h"), str, "its input is no Tick"),
    ],
)
def test_what_cannot_be_meant_is_refused(schedule: Any, input_: Any, words: str) -> None:
    with pytest.raises(BadDeclaration, match=words) as refused:
        declared(schedule, input_)
    assert "agent 'report'" in str(refused.value)


def test_a_key_that_is_none_when_it_is_filled_in_is_told() -> None:
    [spec] = declared(Every("1h"))
    with pytest.raises(BadKey):
        envelope("t", "report", spec.model_copy(update={"key": "\x00"}), 0.0)
