"""SIGKILL to nats-server and to Postgres in the middle of 200 runs; and a NATS that comes back empty."""

from __future__ import annotations

import pytest

from chaos.killing import a_part_is_killed, nats_is_wiped


@pytest.mark.parametrize(("server", "missed"), [("nats", "publish"), ("postgres", "post")])
async def test_everything_goes_on_once_it_is_back(server: str, missed: str) -> None:
    await a_part_is_killed(server, missed=missed)


@pytest.mark.sweep
async def test_everything_goes_on_when_nats_has_forgotten_everything() -> None:
    await nats_is_wiped()
