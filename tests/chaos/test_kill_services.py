"""SIGKILL to the supervisor and to the gateway in the middle of 200 runs."""

from __future__ import annotations

from chaos.killing import a_part_is_killed


async def test_the_supervisor() -> None:
    await a_part_is_killed("supervisor")


async def test_the_gateway_while_it_accepts() -> None:
    await a_part_is_killed("gateway", by_http=True)
