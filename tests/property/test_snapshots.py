"""A snapshot and the entries behind it come to what the whole journal comes to, wherever it was made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.domain.errors import SnapshotUnusable
from trunkline.domain.journal import (
    Entry,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunStarted,
    StepCompleted,
    StepScheduled,
)
from trunkline.domain.snapshot import Snapshot, decode
from trunkline.engine.fold import InstanceState, fold

INSTANCE = "00000000-0000-4000-8000-000000000001"
JSON = st.recursive(st.none() | st.integers(-9, 9) | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2))
moves = st.lists(st.tuples(st.sampled_from(["start", "step", "complete", "fail", "cancel"]), st.integers(0, 9), JSON))


def lived(schedule: list[tuple[str, int, Any]]) -> list[Entry]:
    """A journal of runs that overlap as they like."""
    entries: list[Entry] = []
    open_runs: list[str] = []
    for place, (move, number, value) in enumerate(schedule):
        if move == "start" or not open_runs:
            open_runs.append(f"run{place}")
            entries.append(RunStarted(open_runs[-1], input=value, at=1.0, seed="s", message_id="m"))
        elif move == "step":
            run, key = open_runs[number % len(open_runs)], f"tool:t#{place}"
            entries.append(StepScheduled(run, key=key, kind="tool", name="t", args=value))
            if number % 2:
                entries.append(StepCompleted(run, key=key, value=value, at=2.0))
        else:
            entries.append(_end(move, open_runs.pop(number % len(open_runs)), value))
    return entries


def _end(move: str, run: str, value: Any) -> Entry:
    if move == "complete":
        return RunCompleted(run, output=value, state={"of": value}, conversation=[{"role": "user", "content": value}])
    return RunFailed(run, error={"type": "X"}) if move == "fail" else RunCancelled(run, reason="no")


def stored(snapshot: Snapshot) -> Snapshot:
    """As Postgres gives it back: the content as it was written, to the byte."""
    body = snapshot.encode(INSTANCE).decode()
    parts = json.loads(body)
    content = body[body.index('"content":') + len('"content":') : -1]
    assert json.loads(content) == parts["content"]
    return decode(INSTANCE, snapshot.version, str(parts["format"]), parts["digest"], content)


@given(moves)
def test_a_snapshot_and_its_tail_come_to_what_the_whole_journal_comes_to(schedule: list[tuple[str, int, Any]]) -> None:
    entries = lived(schedule)
    whole = fold(entries)
    for version in range(1, len(entries) + 1):
        then = fold(entries[:version])
        if then.open_runs:
            continue
        snapshot = stored(Snapshot(version, then.state, then.conversation))
        again = fold(entries[version:], InstanceState(snapshot.state, snapshot.conversation))
        assert (again.state, again.conversation) == (whole.state, whole.conversation)
        assert again.open_runs == whole.open_runs
        assert list(again.runs) == [run for run in whole.runs if run not in then.runs]


WHOLE = Snapshot(7, {"total": 3}, [{"role": "user", "content": "ü"}])


def _parts(snapshot: Snapshot = WHOLE) -> dict[str, Any]:
    body = snapshot.encode(INSTANCE).decode()
    return {"format_": "1", "digest": json.loads(body)["digest"], "content": body[body.index('"content":') + 10 : -1]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format_": "3"}, "its format is 3"),
        ({"format_": "2"}, "another shape"),
        ({"format_": None}, "its format is None"),
        ({"digest": "0" * 64}, "digest does not fit"),
        ({"digest": None}, "digest does not fit"),
        ({"content": None}, "digest does not fit"),
        ({"content": '{"state":{"total":4},"conversation":[]}'}, "digest does not fit"),
        ({"version": 8}, "digest does not fit"),
        ({"instance": "00000000-0000-4000-8000-000000000002"}, "digest does not fit"),
    ],
)
def test_one_that_was_changed_is_told_apart(change: dict[str, Any], says: str) -> None:
    sound = {"instance": INSTANCE, "version": 7, **_parts()}
    assert decode(**sound) == WHOLE
    with pytest.raises(SnapshotUnusable, match=says):
        decode(**{**sound, **change})


@pytest.mark.parametrize("conversation", [None, 7])
def test_one_of_another_shape_is_told_apart(conversation: Any) -> None:
    with pytest.raises(SnapshotUnusable, match="another shape"):
        decode(instance=INSTANCE, version=7, **_parts(Snapshot(7, None, conversation)))
