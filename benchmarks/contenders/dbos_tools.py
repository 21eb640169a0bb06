"""The tool process of DBOS's *remote*: it takes child workflows from the queue."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from dbos import DBOS

from benchmarks.contenders.dbos_workflows import QUEUE, configured


async def main(postgres: str, threads: str = "") -> None:
    DBOS(config=configured(postgres, threads))
    DBOS.listen_queues([QUEUE])
    DBOS.launch()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
