"""The tool process of the floor: it answers, and acknowledges the work once JetStream has the answer."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from nats.aio.msg import Msg

from benchmarks.contenders.counting import counter
from benchmarks.contenders.floor import line_to


async def main(url: str) -> None:
    line = await line_to(url)
    under_way: set[asyncio.Task[None]] = set()

    def work(message: Msg) -> None:
        counter()()
        task = asyncio.create_task(answer(message))
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    async def answer(message: Msg) -> None:
        stored = asyncio.Event()
        lane = message.subject.rpartition(".")[2]
        await line.publish(f"reply.{lane}", b'{"result":true}', stored.set)
        await stored.wait()
        await line.client.publish(message.reply, b"+ACK")

    await line.read("work", work)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
