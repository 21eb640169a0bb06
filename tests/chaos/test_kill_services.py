"""SIGKILL to the supervisor, the gateway while it accepts, and the only agent worker, in the middle of 200 runs."""

from __future__ import annotations

import pytest

from chaos.killing import a_part_is_killed


async def test_the_supervisor() -> None:
    await a_part_is_killed("supervisor")


async def test_the_gateway_while_it_accepts() -> None:
    await a_part_is_killed("gateway", missed="post")


@pytest.mark.sweep
async def test_the_only_agent_worker_for_a_while() -> None:
    await a_part_is_killed("agents.1", away=10.0, names=["gateway", "supervisor", "agents.1", "tools.1", "llm.1"])
