"""How long the runs of quiet instances take, alone and beside others that flood, raise, or block: ``make neighbours``.

Default settings, embedded servers, two agent workers, one tool worker, one supervisor; for each row servers of its own.
Neighbours' runs come at a steady rate whatever happens, so a worker that stands still shows in what comes meanwhile.
Times are those that Postgres noted: from acceptance to the end of the run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.bench import report

from trunkline.client.client import Client
from trunkline.embedded.children import Children
from trunkline.embedded.serving import servers
from trunkline.embedded.stack import Stack
from trunkline.store import workers
from trunkline.store.database import Database

APP = str(Path(__file__).with_name("neighbours_app.py"))
RESULT = Path(__file__).parents[1] / "results" / "neighbours.json"
WORKERS = {
    "agents.1": ("worker", "agents", APP),
    "agents.2": ("worker", "agents", APP),
    "tools.1": ("worker", "tools", APP),
}
OTHER = "other"  # a second tenant
INSTANCES = 200
EVERY = 0.02  # seconds between two runs of neighbours
FLOOD = 5000
SENDERS = 16  # under way at once, for those who flood

_TOOK = """
select extract(epoch from coalesce(ended_at, clock_timestamp()) - created_at)::float8, ended_at is not null
from runs where agent = 'neighbour' and tenant = 'default' and created_at > to_timestamp(%s)
"""

Beside = Callable[[Client, Client], Awaitable[object]]


@dataclass(frozen=True)
class Row:
    """Seconds. ``open`` runs were not done a while after the last one began; they count with their age."""

    beside: str
    runs: int
    open: int
    p50_s: float
    p99_s: float
    slowest_s: float
    load: float


async def nobody(_: Client, __: Client) -> None:
    """The neighbours are alone."""


async def signals(client: Client, _: Client) -> None:
    await at_once(lambda n: client.signal("wide", "flooded", "nobody-waits-for-it", n), FLOOD)


async def map_of_calls(client: Client, _: Client) -> None:
    await client.start("wide", FLOOD, key="wide")


async def both(client: Client, other: Client) -> None:
    await map_of_calls(client, other)
    await signals(client, other)


async def of_another_tenant(_: Client, other: Client) -> None:
    await both(other, other)


async def raising(client: Client, _: Client) -> None:
    await at_once(lambda n: client.start("raiser", n, key=f"{n % 10}"), FLOOD // 5)


def blocking(seconds: float) -> Beside:
    async def block(client: Client, _: Client) -> None:
        await client.start("blocker", seconds, key="b")

    return block


BESIDE: dict[str, Beside] = {
    "nobody": nobody,
    "5,000 signals to one instance": signals,
    "a map of 5,000 calls in one run": map_of_calls,
    "both": both,
    "both, of another tenant": of_another_tenant,
    "1,000 runs that raise": raising,
    "a handler that blocks for 2 s": blocking(2),
    "a handler that blocks for 4 s": blocking(4),
    "a handler that blocks for 60 s": blocking(60),
}


async def at_once(act: Callable[[int], Awaitable[object]], times: int) -> None:
    """``act`` so many times, ``SENDERS`` at once."""
    numbers = iter(range(times))

    async def send() -> None:
        for number in numbers:
            await act(number)

    await asyncio.gather(*(send() for _ in range(SENDERS)))


async def measure(name: str, beside: Beside, seconds: float) -> Row:
    async with AsyncExitStack() as stack:
        stack_of_servers = await stack.enter_async_context(servers())
        for tenant in ("default", OTHER):
            await stack.enter_async_context(_children(stack_of_servers, tenant))
        db = await Database.open(stack_of_servers.postgres.url, size=2, wait=30)
        stack.push_async_callback(db.close)
        client = await Client.direct(settings=stack_of_servers.settings())
        other = await Client.direct(settings=stack_of_servers.settings(tenant=OTHER))
        for one in (client, other):
            await stack.enter_async_context(one)
        await _all_joined(db)
        await _neighbours(client, 3.0)  # warm
        began = await db.now()
        noise = asyncio.create_task(_then(1.0, beside(client, other)))
        await _neighbours(client, seconds)
        await noise
        return await _row(name, db, began)


def _children(stack: Stack, tenant: str) -> Children:
    environment = stack.environment(metrics_port=0, log_level="error", tenant=tenant)
    children = Children(environment, lambda *_: None, patience=3.0)
    for name, arguments in WORKERS.items():
        children.add(f"{tenant}.{name}", *arguments)
    if tenant == "default":
        children.add("supervisor", "supervisor")
    return children


async def _all_joined(db: Database) -> None:
    joining = 2 * len(WORKERS)
    while sum(one.kind in ("agents", "tools") for one in await workers.list_workers(db)) < joining:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


async def _then(delay: float, work: Awaitable[object]) -> None:
    await asyncio.sleep(delay)
    await work


async def _neighbours(client: Client, seconds: float) -> None:
    """Begin runs at a steady rate, however long the ones before take."""
    loop = asyncio.get_running_loop()
    began, begun = loop.time(), []
    for number in itertools.count():
        at = began + number * EVERY
        if at > began + seconds:
            break
        await asyncio.sleep(max(0.0, at - loop.time()))
        begun.append(asyncio.create_task(client.start("neighbour", number, key=str(number % INSTANCES))))
    await asyncio.gather(*begun)


async def _row(name: str, db: Database, began: float) -> Row:
    for _ in range(100):
        async with db.connection() as connection:
            found = await (await connection.execute(_TOOK, [began])).fetchall()
        if all(ended for _, ended in found):
            break
        await asyncio.sleep(0.2)
    took = sorted(seconds for seconds, _ in found)
    return Row(
        beside=name,
        runs=len(took),
        open=sum(not ended for _, ended in found),
        p50_s=round(median(took), 3),
        p99_s=round(took[int(0.99 * len(took))], 3),
        slowest_s=round(took[-1], 3),
        load=round(os.getloadavg()[0], 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="for which neighbours' runs come in, for each row")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args()
    wanted = {name: beside for name, beside in BESIDE.items() if chosen.only in name}
    rows = [asyncio.run(measure(name, beside, chosen.seconds)) for name, beside in wanted.items()]
    report.tell_and_keep([asdict(row) for row in rows], chosen.out)


if __name__ == "__main__":
    main()
