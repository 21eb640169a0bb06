"""The window of an instance's steps that are out: a parked run takes no place in it, and keeps its steps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trunkline_workers.agent import watching
from trunkline_workers.agent.issuing import Window


class Holder:
    """What a window needs of an activation; ``sent`` are the steps that went out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watching, "watch", lambda *_: None)
        self.closed = False
        self.runs: dict[str, Any] = {}
        self.sent: list[str] = []
        self.soon: list[Any] = []
        dispatch = SimpleNamespace(work=lambda _, live, step: self.sent.append(step.scheduled.key))
        self.office = SimpleNamespace(dispatch=dispatch, soon=self.soon.append)

    def run(self, name: str, *keys: str) -> Any:
        steps = {key: SimpleNamespace(scheduled=SimpleNamespace(key=key)) for key in keys}
        self.runs[name] = SimpleNamespace(run=name, parked="", driver=SimpleNamespace(open_steps=steps))
        return self.runs[name]

    def turn(self) -> None:
        due, self.soon[:] = list(self.soon), []
        for act in due:
            act()


def issued(window: Window, live: Any) -> None:
    for step in live.driver.open_steps.values():
        window.issue(live, step)


def test_a_parked_run_takes_nobodys_place(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder(monkeypatch)
    window: Any = Window(holder, 1)  # type: ignore[arg-type]
    stuck, other = holder.run("stuck", "a", "b"), holder.run("other", "c")
    issued(window, stuck)
    stuck.parked = "outcome-unknown"
    issued(window, other)
    holder.turn()
    assert holder.sent == ["a", "c"]
    assert window.waits("stuck", "b"), "a parked run goes no further"


def test_what_a_parked_run_has_not_sent_goes_out_when_the_instance_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder(monkeypatch)
    window: Any = Window(holder, 1)  # type: ignore[arg-type]
    stuck = holder.run("stuck", "a", "b")
    issued(window, stuck)
    stuck.parked = "outcome-unknown"
    holder.turn()
    assert holder.sent == ["a"]
    window.flush()
    assert holder.sent == ["a", "b"]


def test_what_is_issued_while_its_run_is_parked_goes_out_when_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder(monkeypatch)
    window: Any = Window(holder, 2)  # type: ignore[arg-type]
    stuck = holder.run("stuck", "a", "b")
    stuck.parked = "outcome-unknown"
    issued(window, stuck)
    holder.turn()
    assert holder.sent == []
    stuck.parked = ""
    window.refill_soon()
    holder.turn()
    assert holder.sent == ["a", "b"]
