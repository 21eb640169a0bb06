"""SIGKILL to a worker that holds work, in the middle of 200 runs; another of its kind finishes them."""

from __future__ import annotations

import pytest

from chaos.killing import a_worker_is_killed


@pytest.mark.parametrize("kind", ["agents", "tools", "llm"])
async def test_the_others_finish_what_it_held(kind: str) -> None:
    await a_worker_is_killed(kind)
