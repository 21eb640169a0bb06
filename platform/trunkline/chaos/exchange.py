"""An exchange to be hurt: embedded servers, every part as a child process, and what can be done to each."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from trunkline.authoring.app import App
from trunkline.chaos.plan import Part
from trunkline.client.client import Client
from trunkline.domain.errors import NotUnderstood
from trunkline.embedded.children import Children
from trunkline.embedded.parts import all_joined, gateway_answers, parts_of
from trunkline.embedded.serving import to_its_end
from trunkline.embedded.stack import Stack
from trunkline.store import workers as roster
from trunkline.store.database import Database, Unreachable
from trunkline.store.workers import Worker

LOOK_EVERY = 0.1  # seconds
PATIENCE = 5.0  # seconds that parts have to stop in the end


class Exchange:
    """Made by ``running``. ``client`` starts runs: through the gateway if there is one, else directly."""

    def __init__(self, stack: Stack, children: Children, db: Database, direct: Client, client: Client) -> None:
        self.stack, self.children, self.db, self.direct, self.client = stack, children, db, direct, client
        self.tenant = stack.settings().tenant

    # --- who is there -----------------------------------------------------------------------------------------------

    async def workers(self, part: Part) -> list[Worker]:
        """The workers of this kind that run just now, by their own word."""
        pids = set(self.children.pids.values())
        with suppress(Unreachable):
            return [one for one in await roster.list_workers(self.db) if one.kind == part and one.pid in pids]
        return []

    def name_of(self, pid: int) -> str:
        """The child's name; empty if it is gone."""
        return next((name for name, one in self.children.pids.items() if one == pid), "")

    def pid_of(self, part: Part) -> int:
        """The process of a part that there is one of; 0 if it does not run just now."""
        if part is Part.NATS:
            return self.stack.nats.pid if self.stack.nats.running else 0
        if part is Part.POSTGRES:
            return self.stack.postgres.pid if self.stack.postgres.running else 0
        return self.children.pids.get(part, 0)

    # --- what is done to it -----------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """SIGKILL to a child; it is started again."""
        self.children.signal(name, signal.SIGKILL)

    async def kill_server(self, part: Part, *, wipe: bool) -> None:
        """SIGKILL to NATS or Postgres; NATS may also forget everything."""
        kill = self.stack.nats.kill if part is Part.NATS else self.stack.postgres.kill
        await to_its_end(self.stack.nats.wipe if wipe else kill)

    async def revive(self) -> None:
        """Start the servers that do not run."""
        await to_its_end(self.stack.nats.start)
        await to_its_end(self.stack.postgres.start)

    @asynccontextmanager
    async def paused(self, name: str) -> AsyncIterator[None]:
        """The child does nothing meanwhile, and does not know it."""
        self.children.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.children.signal(name, signal.SIGCONT)


@asynccontextmanager
async def running(
    spec: str,
    app: App,
    stack: Stack,
    tell: Callable[[str, str], None],
    *,
    workers: int,
    gateway: bool,
    environment: Mapping[str, str],
) -> AsyncIterator[Exchange]:
    """Every part of ``app``, all of them ready; ``environment`` is added to theirs, and their lines are told.

    Raises:
        NotUnderstood: a part says that it cannot start like this.
        Unavailable: Postgres or NATS is away.
    """
    parts = parts_of(spec, app, workers, models=workers)
    parts.pop("sensors", None)  # the load is ours alone, so that it has an end
    port = _free_port()
    if not gateway:
        del parts["gateway"]
    own = stack.environment(log_level="warning", log_format="console", metrics_port=0, host="127.0.0.1", port=port)
    async with AsyncExitStack() as ends:
        last: dict[str, str] = {}

        def heard(name: str, line: str) -> None:
            last[name] = line
            tell(name, line)

        children = await ends.enter_async_context(Children({**own, **environment}, heard, patience=PATIENCE))
        for name, arguments in parts.items():
            children.add(name, *arguments)
        settings = stack.settings()
        db = await Database.of(settings, size=4)
        ends.push_async_callback(db.close)
        direct = await ends.enter_async_context(await Client.direct(settings=settings))
        url = f"http://127.0.0.1:{port}"
        client = await ends.enter_async_context(Client(url=url, patience=1.0)) if gateway else direct
        await _ready(children, db, parts, url if gateway else "", last)
        yield Exchange(stack, children, db, direct, client)


async def _ready(
    children: Children, db: Database, parts: Mapping[str, Sequence[str]], gateway: str, last: Mapping[str, str]
) -> None:
    while not (await all_joined(db, parts) and (not gateway or await gateway_answers(gateway))):
        if children.broken.done() and isinstance(error := children.broken.exception(), NotUnderstood):
            what = error.fields["what"]
            raise NotUnderstood(what=what, reason=last.get(what) or error.fields["reason"])
        await asyncio.sleep(LOOK_EVERY)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
