"""LangGraph with its Postgres saver: a chain of ten nodes, and a checkpoint for each before the next begins."""

from __future__ import annotations

import os
from typing import Any, TypedDict

import uvloop
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.contenders.counting import counter
from benchmarks.contenders.load import STEPS, Asked, asked, drive, versions

POOL = 16  # connections; with one it was as fast, for the saver uses one at a time
SETTINGS = (
    f'durability="sync", a node a step, AsyncPostgresSaver over a pool of {POOL} connections, uvloop; '
    "graphs are invoked in the process that runs them"
)


class State(TypedDict):
    number: int


async def noop(state: State) -> State:
    counter()()
    return {"number": state["number"]}


def chain() -> Any:
    graph = StateGraph(State)
    for step in range(STEPS):
        graph.add_node(f"step{step}", noop)
        graph.add_edge(f"step{step - 1}" if step else START, f"step{step}")
    graph.add_edge(f"step{STEPS - 1}", END)
    return graph


async def main(asked: Asked) -> None:
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(asked.postgres, min_size=POOL, max_size=POOL, kwargs=options, timeout=600) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        graph = chain().compile(checkpointer=saver)

        async def run(number: int) -> None:
            thread = {"configurable": {"thread_id": str(number)}}
            await graph.ainvoke({"number": number}, thread, durability="sync")

        about = {"settings": SETTINGS, "versions": versions("langgraph", "langgraph-checkpoint-postgres", "psycopg")}
        await drive(asked, run, {"agents": os.getpid()}, about)


if __name__ == "__main__":
    uvloop.run(main(asked()))
