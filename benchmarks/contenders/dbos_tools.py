"""The tool process of DBOS's *remote*: it takes child workflows from the queue."""

from __future__ import annotations

import sys
import threading

from dbos import DBOS

from benchmarks.contenders.dbos_workflows import QUEUE, configured


def main(postgres: str, threads: str = "") -> None:
    DBOS(config=configured(postgres, threads))
    DBOS.listen_queues([QUEUE])
    DBOS.launch()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
