"""pydantic-ai on DBOS: the model's turns are durable steps, the tool is one too, and the conversation is a workflow."""

from __future__ import annotations

import os

import uvloop
from dbos import DBOS
from pydantic_ai import Agent
from pydantic_ai.durable_exec.dbos import DBOSDurability
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from benchmarks.contenders.counting import counter
from benchmarks.contenders.dbos_workflows import configured
from benchmarks.contenders.load import Asked, asked, drive, versions

SETTINGS = (
    "DBOSDurability, the tool a DBOS step, default executor threads; "
    "conversations are started in the process that runs them, which also calls the model; uvloop"
)


@DBOS.step()
async def look_up(order: str) -> str:
    """Look an order up."""
    counter()()
    return f"{order} was shipped"


async def main(asked: Asked) -> None:
    model = OpenAIChatModel("scripted", provider=OpenAIProvider(base_url=asked.model, api_key="none"))
    DBOS(config=configured(asked.postgres, ""))
    agent = Agent(model, name="turn", instructions="You help.", tools=[look_up], capabilities=[DBOSDurability()])

    @DBOS.workflow()
    async def turn(question: str) -> str:
        return str((await agent.run(question)).output)

    DBOS.launch()

    async def run(_number: int) -> None:
        handle = await DBOS.start_workflow_async(turn, "Where is it?")
        await handle.get_result()

    about = {"settings": SETTINGS, "versions": versions("pydantic-ai-slim", "dbos", "openai", "psycopg", "uvloop")}
    await drive(asked, run, {"agents": os.getpid()}, about)


if __name__ == "__main__":
    uvloop.run(main(asked()))
