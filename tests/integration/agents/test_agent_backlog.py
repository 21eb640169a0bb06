"""More is asked than a worker can do: what has begun ends first, and what waits costs it nothing meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands
from integration.agents.test_agent_sleep import changed, held
from trunkline.bus.connection import Bus
from trunkline.bus.events import publish_event
from trunkline.domain.events import CloudEvent
from trunkline.store import runs
from trunkline.store.append import Appender
from trunkline_workers.agent import service
from trunkline_workers.agent.service import AgentWorker

__all__ = ["hands"]


class Commits:
    """Says for every appender whether more instances wait to be written than a commit can take."""

    def __init__(self) -> None:
        self.full = False
        self.asked = 0

    def look(self, _: Appender) -> bool:
        self.asked += 1
        return self.full


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    commits = Commits()
    monkeypatch.setattr(Appender, "backlogged", property(commits.look))
    return commits


async def test_while_commits_are_full_nobody_else_is_taken_up_and_then_all_are(
    exchange: Exchange, commits: Commits
) -> None:
    commits.full = True
    async with Worker(exchange.settings):
        waiting = [await exchange.request("patient", f"k{n}", f"k{n}") for n in range(3)]
        before = commits.asked
        await exchange.eventually(lambda: commits.asked > before + 3)
        assert await held(exchange) == 0
        commits.full = False
        for run in waiting:
            await exchange.until(run, "waiting")


async def test_a_full_worker_hands_back_few_wakes_at_a_time_and_forgets_none(
    exchange: Exchange, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[int] = []
    resting = AgentWorker._rest

    def rest(self: AgentWorker) -> None:
        rests.append(self._passed_by)
        resting(self)

    monkeypatch.setattr(AgentWorker, "_rest", rest)
    monkeypatch.setattr(service, "PASSED_BY", 8)
    async with Worker(changed(exchange, max_activations=2, idle_after=600.0)):
        working = [await exchange.request("finder", str(n), n) for n in range(2)]
        items: list[Any] = [await hands.item() for _ in working]
        waiting = [await exchange.request("patient", f"k{n}", f"k{n}") for n in range(40)]
        await exchange.eventually(lambda: len(rests) >= 2)
        for item in items:
            await hands.answer(item, "done")
        for run in working:
            await exchange.until(run, "completed")
        for run in waiting:
            await exchange.until(run, "waiting")
    assert set(rests) == {8}


async def test_an_event_whose_agent_is_here_needs_no_wake_on_the_bus(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    publish = Bus.publish_soon

    def publish_soon(self: Bus, subject: str, body: bytes, **options: Any) -> bool:
        sent.append(subject)
        return publish(self, subject, body, **options)

    monkeypatch.setattr(Bus, "publish_soon", publish_soon)
    event = CloudEvent(source="/test", type="thing.happened", data={"id": "one"})
    async with Worker(exchange.settings):
        await publish_event(exchange.bus, "default", event)

        async def ended() -> bool:
            found, _ = await runs.list_runs(exchange.db, "default", agent="echoing")
            return [run.status for run in found] == ["completed"]

        await exchange.eventually(ended)
    assert exchange.bus.subjects.inbox("default", "echoing") not in sent
