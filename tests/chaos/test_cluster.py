"""A NATS cluster whose servers die one after the other: whoever leads the work, then whoever leads the wakes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chaos.cluster import cluster
from chaos.exchange import servers
from chaos.load import orders_come
from chaos.roster import PATIENT_LEASE, nobody_died

NAMES = ["gateway", "supervisor", "agents.1", "agents.2", "tools.1", "llm.1"]


@pytest.mark.sweep
async def test_leaders_die_and_come_back(tmp_path: Path) -> None:
    async with servers() as running, cluster(tmp_path) as three:
        running.settings = {"nats_url": three.urls, "nats_replicas": 3, "lease": PATIENT_LEASE}
        await running.until(three.ready, "the cluster takes requests")
        for name in NAMES:
            running.start(name)
        await running.joined(*NAMES)
        async with orders_come(running) as load:
            for stream in ("TL_WORK", "TL_INBOX"):
                victim = await running.until(lambda stream=stream: three.leader(stream), f"{stream} has a leader")
                three.kill(victim)
                await running.until(lambda stream=stream: three.leader(stream), f"{stream} has a leader again")
                await load.goes_on()
                await asyncio.to_thread(three.start, victim)
                for each in ("TL_WORK", "TL_INBOX", "TL_EVENTS", "TL_REPLY"):
                    await running.until(lambda each=each: three.whole(each), f"{each} is whole again")
        await nobody_died(running)
