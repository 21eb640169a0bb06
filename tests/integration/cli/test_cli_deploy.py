"""``trunkline deploy``, ``rollback`` and ``definitions`` as somebody types them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from trunkline import App
from trunkline.gateway.server import serve
from trunkline.settings import Settings
from trunkline_workers.agent import service as agents

Trunkline = Callable[..., Awaitable[tuple[int, str, str]]]

SOURCE = """
from trunkline import App
app = App("desk")
app.llm_agent("triage", model="openai/x", instructions={!r})
app.llm_agent("writer", model="openai/x", instructions="write")
"""


def desk() -> App:
    names: dict[str, Any] = {}
    exec(SOURCE.format("old"), names)
    app: App = names["app"]
    return app


@pytest.fixture
async def trunkline(settings: Settings, run_service: Any, tmp_path: Path) -> Trunkline:
    await run_service(lambda stop, ready: agents.serve(desk(), settings, stop, ready))
    free = settings.model_copy(update={"port": 0})
    gateway = await run_service(lambda stop, ready: serve(free, stop, ready))

    async def run(*arguments: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "trunkline.cli.main", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "TRUNKLINE_GATEWAY_URL": gateway},
            cwd=tmp_path,
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert b"Traceback" not in err
        return process.returncode or 0, out.decode(), err.decode()

    return run


async def test_a_prompt_is_deployed_looked_at_and_taken_back(trunkline: Trunkline, tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(SOURCE.format("new"))
    status, out, _ = await trunkline("deploy", "desk.py", "triage")
    assert (status, out) == (0, "triage is at version 2 now (before: version 1)\n")
    assert "Nothing has changed" in (await trunkline("deploy", "desk.py", "triage"))[1]
    shown = (await trunkline("definitions", "show", "triage"))[1]
    assert ["instructions", "new"] in [line.split() for line in shown.splitlines()]
    assert "old" in (await trunkline("definitions", "show", "triage", "1"))[1]
    status, out, _ = await trunkline("rollback")
    assert (status, out) == (0, "triage is at version 1 now\n")
    status, _, err = await trunkline("rollback", "triage")
    assert (status, "no earlier version" in err) == (1, True)
    assert (await trunkline("rollback", "triage", "--to", "2"))[1].startswith("triage is at version 2 now")
    listed = json.loads((await trunkline("definitions", "list", "--json"))[1])["items"]
    assert {(one["agent"], one["version"], one["cause"]) for one in listed} == {
        ("triage", 2, "rollback"),
        ("writer", 1, "start"),
    }
    table = (await trunkline("definitions", "list", "triage"))[1]
    assert table.count("triage") == 2
    assert "current" in table


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("deploy", "none.py"), 2, "there is no file"),
        (("deploy", "desk.py", "nobody"), 2, "no agent 'nobody'"),
        (("rollback", "--to", "1"), 2, "rollback AGENT --to VERSION"),
        (("rollback", "nobody"), 1, "nobody"),
        (("rollback",), 1, "no earlier version"),
        (("definitions", "show", "triage", "7"), 1, "has no definition 7"),
    ],
)
async def test_what_is_asked_wrongly_is_told(
    trunkline: Trunkline, tmp_path: Path, arguments: tuple[str, ...], status: int, told: str
) -> None:
    (tmp_path / "desk.py").write_text(SOURCE.format("new"))
    found, _, err = await trunkline(*arguments)
    assert (found, told in err) == (status, True), err
