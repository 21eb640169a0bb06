"""A handler that blocks takes its worker with it, and is parked before it takes them all; its neighbours go on."""

from __future__ import annotations

import json
from typing import Any

from chaos.exchange import Exchange, exchange

NEIGHBOURS = 40


async def test_the_blocking_run_is_parked_and_all_others_complete() -> None:
    workers = [f"agents.{number}" for number in range(1, 5)]  # one more than may die of it
    async with exchange(["gateway", "supervisor", *workers]) as running:
        await running.post([("/v1/agents/blocker/instances/b/runs", {"input": 1}, "b")])
        await running.post(
            [
                (f"/v1/agents/tally/instances/{number}/runs", {"input": number}, f"{number}")
                for number in range(NEIGHBOURS)
            ]
        )
        ((run, reason, actions),) = await running.until(lambda: _parked(running), "the blocking run is parked")
        assert reason == "kills-its-worker"
        assert any("resolve" in action for action in actions)
        await running.until(lambda: _neighbours(running), "its neighbours are done")
        await running.until(lambda: _three_ended(running, workers), "those that it blocked have ended")
        told = [line for line in _log_lines(running, workers) if line["event"] == "the event loop is blocked"]
        assert len(told) == 3, "once for each block"
        assert {(line["agent"], line["run"]) for line in told} == {("blocker", run)}
        assert all("time.sleep(3600)" in line["stack"] for line in told)


async def _three_ended(running: Exchange, workers: list[str]) -> bool:
    return sum(running.processes[name].poll() == 70 for name in workers) == 3


def _log_lines(running: Exchange, workers: list[str]) -> list[dict[str, Any]]:
    logs = "".join((running.stack.directory / f"{name}.log").read_text() for name in workers)
    return [json.loads(line) for line in logs.splitlines() if line.startswith("{")]


async def _parked(running: Exchange) -> Any:
    return await running.ask(
        "select id::text, parked_reason, next_actions from runs where agent = 'blocker' and status = 'parked'"
    )


async def _neighbours(running: Exchange) -> bool:
    rows = await running.ask("select count(*) from runs where agent = 'tally' and status = 'completed'")
    return rows == [(NEIGHBOURS,)]
