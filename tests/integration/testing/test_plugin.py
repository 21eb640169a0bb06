"""The fixtures as a user has them: in a project of one's own, with pytest-asyncio in its strict mode."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SETTINGS = """
[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""
TESTS = """
import pytest
from trunkline import App, Context

app = App("mine")


@app.agent("greeter")
async def greeter(ctx: Context, name: str) -> str:
    await ctx.sleep("1d")
    return f"Hello {name}"


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["Ann", "Bob"])
async def test_it(exchange, name):
    async with exchange(app) as tl:
        run = await tl.start(greeter, name)
        await tl.skip("1d")
        assert await run.result() == f"Hello {name}"


@pytest.mark.asyncio
async def test_a_claim_fails_where_it_was_made(exchange):
    async with exchange(app) as tl:
        run = await tl.start(greeter, "Ann")
        (await tl.journal(run)).completed("refund")
"""


def test_the_fixtures_work_in_a_users_project(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_mine.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "trunkline.testing.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "AssertionError: refund never completed." in done.stdout
    assert "journal.py" not in done.stdout, "it is shown where the claim stands, and not inside the kit"
