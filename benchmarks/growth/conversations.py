"""How cost grows with the turns of a conversation: a model-driven run is driven by hand, in this process.

Apart are told the handler's own work, the making of the message to the LLM worker (the whole prompt: as long as the
conversation in any case, as the provider is sent all of it), and the replay, which sends nothing.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from trunkline import App
from trunkline.authoring.agent import InstanceView
from trunkline.domain.codec import dumps
from trunkline.domain.journal import Entry, RunStarted, StepCompleted, StepScheduled
from trunkline.engine.replay import RunDriver

app = App("conversing")
STARTED = RunStarted("00000000-0000-4000-8000-000000000001", input="?", at=1.0, seed="s", message_id="m")
TOLD = "x" * 500  # what the tool returns


@app.tool
def look_up(order: str) -> str:
    """Look an order up."""
    return f"{order} was shipped"


talker = app.llm_agent("talker", model="openai/scripted", instructions="You help.", tools=[look_up], max_turns=100_000)


def measure(turns: list[int]) -> list[dict[str, Any]]:
    """Milliseconds of CPU of a turn: one call of the model, and one of a tool."""
    return [_conversation(count) for count in turns]


def _conversation(turns: int) -> dict[str, Any]:
    body = partial(talker.coroutine, view=InstanceView("default", "talker", "k"), model=None)
    driver, sending = RunDriver(STARTED, body, agent="talker"), 0.0
    entries: list[Entry] = [STARTED]
    began, length, turn = _cpu(), 0, 0
    driver.start()
    while not driver.ended:
        commands = driver.take_commands()
        entries += commands
        for step in [one for one in commands if isinstance(one, StepScheduled)]:
            if step.kind == "llm":
                turn += 1
                before = _cpu()
                length = len(dumps(driver.payload(step.key)))
                sending += _cpu() - before
            _answer(driver, entries, step, last=turn == turns)
    handled = _cpu() - began - sending
    entries += driver.take_commands()
    began = _cpu()
    RunDriver.replay(entries, body, "talker")
    spent = {"handler_ms": handled, "prompt_ms": sending, "replay_ms": _cpu() - began}
    return {"turns": turns, "last_prompt_bytes": length, **{name: _each(value, turns) for name, value in spent.items()}}


def _answer(driver: RunDriver, entries: list[Entry], step: StepScheduled, *, last: bool) -> None:
    call = {"id": "c", "name": "look_up", "arguments": '{"order":"o-1"}'}
    reply: Any = {"text": "It was shipped.", "tool_calls": []} if last else {"text": None, "tool_calls": [call]}
    entry = StepCompleted(STARTED.run, step.key, reply if step.kind == "llm" else TOLD, at=2.0)
    entries.append(entry)
    driver.deliver(entry)


def _cpu() -> float:
    return time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)


def _each(seconds: float, count: int) -> float:
    return round(1000 * seconds / count, 3)
