"""Trunkline: one agent worker, one tool worker where there are tools, and the supervisor, each its own process.

The load is this process: a direct client, as one in a web server would be. Its CPU time is told apart. The variant is
how many LLM workers there are in turns: a model call costs milliseconds of CPU, whoever makes it.
"""

from __future__ import annotations

import uvloop

from benchmarks.contenders.load import Asked, asked, drive, versions
from benchmarks.contenders.trunkline_parts import LLM_CONCURRENCY, VERSIONS, settings_of, start
from trunkline.client.client import Client

WORKERS = {"local": ("agents",), "remote": ("agents", "tools"), "turn": ("agents", "tools")}
SETTINGS = (
    "default settings{more}, uvloop; the load is a direct client in a process of its own, which waits for each result"
)


async def main(asked: Asked) -> None:
    agent = asked.workload.removesuffix("-500ms")
    llm = int(asked.variant or 1) if agent == "turn" else 0
    pids = await start(asked, WORKERS[agent] + ("llm",) * llm)
    async with await Client.direct(settings=settings_of(asked)) as client:

        async def one(number: int) -> None:
            run = await client.start(agent, "Where is it?" if agent == "turn" else number)
            await run.result(timeout=600)

        more = f" but {LLM_CONCURRENCY} model calls at once in each of {llm} LLM worker(s)" if llm else ""
        about = {"settings": SETTINGS.format(more=more), "versions": versions(*VERSIONS)}
        await drive(asked, one, pids, about)


if __name__ == "__main__":
    uvloop.run(main(asked()))
