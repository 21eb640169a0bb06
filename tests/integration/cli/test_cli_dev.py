"""``trunkline dev`` as a person meets it: it starts, an agent answers, what dies comes back, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

APP = """
import os, sys
from trunkline import App, Context

app = App("shop")

@app.tool
async def add(a: int, b: int) -> int:
    return a + b

@app.agent("sum")
async def sum_(ctx: Context, n: int) -> int:
    return await ctx.call(add, n, 1)
"""
ONLY_THERE = (
    APP
    + """
if "tools" in sys.argv:
    raise ValueError("only there")
"""
)
READY = "Ctrl-C stops everything"
PATIENCE = 60.0  # seconds

Eventually = Callable[..., Awaitable[Any]]


class Dev:
    """One ``trunkline dev``, and all processes that carry its mark."""

    def __init__(self, directory: Path, temporary: Path) -> None:
        self.directory, self.temporary, self.port = directory, temporary, _free_port()
        self.mark = f"TRUNKLINE_TEST_MARK={uuid4().hex}"
        self.said: list[str] = []
        self.process: asyncio.subprocess.Process

    async def start(self, *arguments: str, app: str = APP) -> Dev:
        (self.directory / "app.py").write_text(app)
        own = {"TRUNKLINE_PORT": str(self.port), "TMPDIR": str(self.temporary), "NO_COLOR": "1"}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "trunkline.cli.main", "dev", "app.py", *arguments),
            cwd=self.directory,
            env={**os.environ, **own, **dict([self.mark.split("=")])},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return self

    async def says(self, words: str) -> str:
        """Wait for a line with ``words``."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while raw := await self.process.stdout.readline():
                self.said.append(raw.decode().rstrip())
                if words in self.said[-1]:
                    return self.said[-1]
        raise AssertionError(f"it did not say {words!r}:\n" + "\n".join(self.said))

    async def ended(self) -> int:
        """Read it to its end: its exit status."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            self.said += (await self.process.stdout.read()).decode().splitlines()
            return await self.process.wait()

    async def answers(self, number: int) -> str:
        """Ask the agent; the run."""
        url = f"http://127.0.0.1:{self.port}/v1/agents/sum/runs?wait=20"
        async with httpx2.AsyncClient(timeout=30) as http:
            answer = await http.post(url, json={"input": number})
        assert (answer.status_code, answer.json()["output"]) == (200, number + 1)
        return str(answer.json()["id"])

    async def get(self, path: str) -> Any:
        async with httpx2.AsyncClient(timeout=30) as http:
            return (await http.get(f"http://127.0.0.1:{self.port}{path}")).json()

    def ctrl_c(self) -> None:
        """As a terminal sends it: to every process in its foreground."""
        os.killpg(self.process.pid, signal.SIGINT)

    def pid(self, program: str) -> int:
        """The process that was begun as ``program``; 0 if there is none."""
        return next((pid for pid in sorted(self.left()) if _program(pid) == program), 0)

    def left(self) -> list[int]:
        """The processes that still run, itself included."""
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._ours(entry)]

    def _ours(self, entry: Path) -> bool:
        with suppress(OSError):
            return self.mark.encode() in (entry / "environ").read_bytes()
        return False


@pytest.fixture
async def dev(tmp_path: Path, open_path: Path) -> AsyncIterator[Dev]:
    """Killed after the test, whatever it did."""
    dev = Dev(tmp_path, open_path)
    yield dev
    for pid in dev.left():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await dev.process.wait()


async def test_it_starts_an_agent_answers_and_ctrl_c_leaves_nothing(dev: Dev) -> None:
    await dev.start()
    await dev.says("starting NATS and Postgres")
    await dev.says("starting gateway, supervisor, agents.1, tools.1")
    await dev.says(READY)
    await dev.answers(41)
    exports = [line for line in dev.said if line.startswith("export ")]
    assert await pasted(*exports, "check") == "1 instances, 1 runs (0 are under way), 0 violations."
    dev.process.send_signal(signal.SIGINT)
    assert await dev.ended() == 0, dev.said
    assert dev.left() == []
    assert list(dev.temporary.iterdir()) == []


async def test_a_part_that_dies_is_started_again(dev: Dev) -> None:
    await dev.start()
    await dev.says(READY)
    pids = {worker["kind"]: worker["pid"] for worker in (await dev.get("/v1/workers"))["items"]}
    for kind in ("tools", "agents"):
        os.kill(pids[kind], signal.SIGKILL)
        assert (await dev.says("ended (killed by SIGKILL); starts again")).startswith(f"{kind}.1")
    await dev.answers(1)
    dev.process.send_signal(signal.SIGTERM)
    assert await dev.ended() == 0, dev.said
    assert dev.left() == []


async def test_data_outlives_a_killed_dev_and_its_servers_do_not(dev: Dev, eventually: Eventually) -> None:
    data = ("--data", str(dev.temporary / "data"))
    await dev.start(*data)
    await dev.says(READY)
    run = await dev.answers(1)
    dev.process.kill()
    await dev.process.wait()
    await eventually(lambda: dev.left() == [], timeout=20)
    await dev.start(*data)
    await dev.says(READY)
    assert (await dev.get(f"/v1/runs/{run}"))["output"] == 2
    await dev.answers(2)
    dev.process.send_signal(signal.SIGHUP)  # the terminal is closed
    assert await dev.ended() == 0, dev.said
    assert dev.left() == []


@pytest.mark.parametrize("words", ["starting NATS", "starting gateway"])
async def test_it_can_be_stopped_while_it_starts(dev: Dev, words: str) -> None:
    await dev.start()
    await dev.says(words)
    dev.process.send_signal(signal.SIGINT)
    assert await dev.ended() == 0, dev.said
    assert dev.left() == []
    assert list(dev.temporary.iterdir()) == []


async def test_ctrl_c_while_the_cluster_is_made_is_quiet(dev: Dev, eventually: Eventually) -> None:
    await dev.start()
    await eventually(lambda: dev.pid("initdb"), timeout=PATIENCE)
    dev.ctrl_c()
    assert await dev.ended() == 0, dev.said
    own = [line for line in dev.said if " │ " not in line]  # its children may have begun, and say that they stop
    assert own[-1].startswith("stopping"), dev.said
    assert "Traceback" not in "".join(dev.said)
    assert dev.left() == []
    assert list(dev.temporary.iterdir()) == []


@pytest.mark.parametrize("program", ["initdb", "postgres"])
async def test_a_second_ctrl_c_ends_it_at_once_and_leaves_nothing(
    dev: Dev, eventually: Eventually, program: str
) -> None:
    await dev.start()
    await eventually(lambda: dev.pid(program), timeout=PATIENCE)
    dev.ctrl_c()
    await dev.says("stopping")
    dev.ctrl_c()
    assert await dev.ended() in (0, 130), dev.said  # 0: it had stopped already
    await eventually(lambda: dev.left() == [], timeout=20)
    assert list(dev.temporary.iterdir()) == []


@pytest.mark.parametrize(("program", "name"), [("nats-server", "nats"), ("postgres", "postgres")])
async def test_a_server_that_dies_ends_it(dev: Dev, program: str, name: str) -> None:
    await dev.start()
    await dev.says(READY)
    os.kill(dev.pid(program), signal.SIGKILL)
    assert await dev.ended() == 1
    assert f"The embedded {name} has ended, and is not started again." in dev.said[-1]
    assert dev.left() == []
    assert list(dev.temporary.iterdir()) == []


async def test_a_part_that_cannot_start_ends_it(dev: Dev) -> None:
    await dev.start(app=ONLY_THERE)
    assert await dev.ended() == 2
    assert any("tools.1" in line and "ValueError: only there" in line for line in dev.said), dev.said
    assert "tools.1: it cannot start like this" in dev.said[-1]
    assert dev.left() == []


async def test_a_port_that_is_taken_is_one_line(dev: Dev) -> None:
    with socket.create_server(("127.0.0.1", dev.port)):
        await dev.start()
        assert await dev.ended() == 2
    [line] = dev.said
    assert line.startswith(f"trunkline: 127.0.0.1:{dev.port}: the gateway cannot listen there (address already in use)")


@pytest.mark.parametrize(
    ("app", "words"), [("1 / 0", "raised ZeroDivisionError"), ("x = 1", "holds no App"), ("def (", "SyntaxError")]
)
async def test_an_app_that_is_none_is_one_line(dev: Dev, app: str, words: str) -> None:
    await dev.start(app=app)
    assert await dev.ended() == 2
    [line] = dev.said
    assert words in line


async def pasted(*lines: str) -> str:
    """What ``trunkline …``, the last line, says in a shell behind the others."""
    script = "\n".join([*lines[:-1], f"{sys.executable} -m trunkline.cli.main {lines[-1]}"])
    process = await asyncio.create_subprocess_exec("/bin/sh", "-c", script, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    return out.decode().strip()


def _program(pid: int) -> str:
    with suppress(OSError):
        return Path(os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])).name
    return ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
