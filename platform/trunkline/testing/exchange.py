"""An exchange for one test: real NATS, real Postgres, and every worker in the test's own process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Self
from uuid import uuid4

from trunkline.access.entrance import Entrance
from trunkline.access.following import Following
from trunkline.authoring.agent_ref import AgentRef
from trunkline.authoring.app import App
from trunkline.bus import stored
from trunkline.bus.connection import Bus
from trunkline.client.client import Client
from trunkline.client.replaying import Wanted, held_against
from trunkline.client.run import Run
from trunkline.client.transport import Straight
from trunkline.domain import codec
from trunkline.domain.durations import Duration
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import child_run_id
from trunkline.domain.status import StepKind
from trunkline.embedded.stack import Stack
from trunkline.settings import Settings
from trunkline.store import journal, migrate, runs, stillness, workers
from trunkline.store.database import Database
from trunkline.supervisor import service as supervisor
from trunkline.supervisor.reclaim import Reclaim
from trunkline.supervisor.replies import Replies
from trunkline.testing.fakes import Toolkit
from trunkline.testing.journal import Journal
from trunkline.testing.openai_server import OpenAIServer
from trunkline.testing.passing import Passing
from trunkline.testing.provider import MODEL, provider
from trunkline.testing.running import START
from trunkline.testing.script import ModelScript
from trunkline.testing.staff import Kind, Service, Staff
from trunkline_workers.agent import service as agent_worker
from trunkline_workers.agent.office import Clock
from trunkline_workers.llm import service as llm_worker
from trunkline_workers.tool import service as tool_worker

ExchangeFactory = Callable[..., "Exchange"]  # what the fixture ``exchange`` is: it takes what ``Exchange`` takes

WITHIN = 10.0  # seconds
LOOK_EVERY = 0.01
PAGE = 1000  # journal entries
MOST_APPROVALS = 200

# Short terms: a test should not wait for what others wait for in minutes.
TERMS: dict[str, Any] = {
    "metrics_port": -1, "drain": 0.0, "heartbeat": 0.2, "lease": 1.0, "reconcile_every": 0.5, "reconcile_after": 0.5,
    "alarm_every": 0.05, "idle_after": 3600.0,
}  # fmt: skip


class Exchange(Client):
    """A direct client of an exchange of its own, which lives as long as the ``async with`` block::

    async with Exchange(app, model=["Hello"], tools={"refund": "done"}) as tl:
        run = await tl.start(orders, order, key="o-1")
        await tl.skip("2d")
        assert await run.result() == ...
        (await tl.journal(run)).completed("refund", times=1)

    A schema and a namespace of their own keep it apart from all others on the same servers.
    """

    model: OpenAIServer
    """What the model agents ask; its ``calls`` are what they asked."""

    settings: Settings
    """What its workers run with."""

    def __init__(
        self,
        *apps: App,
        model: ModelScript | None = None,
        tools: Mapping[str, Any] | None = None,
        agents: int = 1,
        at: float = START,
        schedules: bool = True,
        stack: Stack | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """``apps`` are carried out: their agents by ``agents`` workers, their tools by one, and by another, if there
        are model-driven agents, their model calls.

        * ``model`` and ``tools`` are as in ``testing.run``: what the model answers, and fakes by name. The function may
          be asynchronous here. Without a fake the real function runs.
        * ``at`` (seconds since the epoch) is what ``ctx.now()`` begins with; ``schedules`` (of agents, and
          ``app.cron``) are due when time is skipped, and only then.
        * ``stack`` are the servers; without it the exchange starts, and stops, servers of its own. ``settings`` are
          fields of ``trunkline.settings.Settings``.

        Raises:
            UnknownFake: ``tools`` names what is no tool.
        """
        self._apps, self._script, self._agents = apps, model, agents
        self._toolkit = Toolkit(apps, tools or {})
        self._clock = Clock()
        self._at, self._schedules, self._given = at, schedules, dict(settings or {})
        self._servers = stack
        self._stack = AsyncExitStack()
        self._decided: set[str] = set()  # approvals; they are listed until a worker has taken the decision

    # --- its life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Begin.

        Raises:
            Unavailable, NotConfigured: the servers cannot be started, or reached.
        """
        async with AsyncExitStack() as stack:
            self.settings = await self._prepare(stack)
            await self._connect(stack)
            self._staff = Staff(self._services())
            stack.push_async_callback(self._staff.end)
            await self._staff.begin()
            self._begin_time()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End it, and remove what it left on the servers.

        Raises:
            Exception: what a worker ended with.
        """
        await self._stack.aclose()

    # --- what happens -----------------------------------------------------------------------------------------------

    async def publish(self, event: CloudEvent | str, data: Any = None) -> list[str]:
        """Publish an event, or one of this type with ``data``. The ids of the runs that it started: ``tl.run(id)``."""
        if isinstance(event, str):
            body = codec.roundtrip(data, what="the event's data")
            event = CloudEvent(id=uuid4().hex, source="test", type=event, data=body)
        return await super().publish(event)

    async def approve(
        self, name: str, *, approved: bool = True, by: str = "test", comment: str | None = None, run: str = ""
    ) -> None:
        """Decide about the approval ``name`` (of ``ctx.approve``, or of a tool that needs one) once a run waits for it.

        With ``run``, an id, only about that run's.

        Raises:
            AssertionError: no run waits for it, and there is nothing left that moves.
        """
        __tracebackhide__ = True
        resting = asyncio.ensure_future(self.settle())
        try:
            while not (asked := await self._pending(name, run)):
                if resting.done():
                    resting.result()
                    others = ", ".join(one["name"] for one in (await self.approvals())["items"]) or "none"
                    raise AssertionError(f"no run waits for the approval {name!r}; what is waited for: {others}")
                await asyncio.wait({resting}, timeout=LOOK_EVERY)
        finally:
            resting.cancel()
            await asyncio.gather(resting, return_exceptions=True)
        self._decided.add(asked[-1])
        await self.decide(asked[-1], approved=approved, by=by, comment=comment)

    async def deploy(self, app: App) -> list[dict[str, Any]]:
        """As any client, and returns once every worker has taken it up: runs that are started behind it keep to it."""
        return await self._taken_up(await super().deploy(app))

    async def rollback(self, agent: AgentRef[Any, Any] | str, *, to: int) -> list[dict[str, Any]]:
        """Likewise."""
        return await self._taken_up(await super().rollback(agent, to=to))

    async def diverging(self, app: App) -> dict[str, str]:
        """The runs under way that the code of ``app`` does not fit, by id, and where it would go another way: what
        ``trunkline runs replay --all-open --against APP`` says.
        """
        found = await held_against(self._db, self.settings.tenant, app, Wanted())
        return {one["run"]: one["difference"] for one in found["items"] if one["difference"]}

    async def _taken_up(self, moved: list[dict[str, Any]]) -> list[dict[str, Any]]:
        wanted = {one["name"]: one["version"] for one in moved}
        async with asyncio.timeout(WITHIN):
            while True:
                self._staff.check()
                at_work = (await workers.announced(self._db, self.settings.tenant)).values()
                known = [(name, told["definition"]) for agents in at_work for name, told in agents.items()]
                if all(wanted.get(name, version) == version for name, version in known):
                    return moved
                await asyncio.sleep(LOOK_EVERY)

    async def skip(self, duration: Duration, *, during_steps: bool = False) -> None:
        """Let time pass for handlers: sleeps end, waits time out and schedules are due, each in its turn.

        Nothing moves before, and when this returns all that became due has happened. With ``during_steps`` steps that
        are being carried out are not waited for: a tool hangs meanwhile.

        Raises:
            BadDuration: it is no duration.
            TooFar: too many things are due on the way.
            AssertionError: the exchange does not come to rest.
        """
        __tracebackhide__ = True
        await self._passing.skip(duration, partial(self._rest, WITHIN, steps=not during_steps))

    async def settle(self, within: float = WITHIN) -> None:
        """Wait until nothing moves: every run has ended, is parked, or waits for a signal, a person, or its time.

        Raises:
            AssertionError: something still moves after ``within`` seconds; the text says what.
            Exception: what a worker ended with.
        """
        __tracebackhide__ = True
        await self._rest(within)

    async def _rest(self, within: float, *, steps: bool = True) -> None:
        __tracebackhide__ = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        self._staff.check()
        while moving := await stillness.moving(self._db, self.settings.tenant, steps=steps):
            self._staff.check()
            if loop.time() > deadline:
                told = "\n  ".join(moving)
                raise AssertionError(f"the exchange did not come to rest within {within:g} s:\n  {told}")
            await asyncio.sleep(LOOK_EVERY)

    async def crash(self, kind: Kind) -> None:
        """Every worker of a kind dies where it stands: what it had in memory is gone, and nothing was given back.

        Its leases are reclaimed, and what it was carrying out is delivered again, at once instead of after the usual
        terms; as many new workers take over. (A synchronous tool goes on in its thread, and nobody hears of it.)

        Raises:
            ValueError: there is no worker of that kind.
        """
        self._staff.check_kind(kind)
        for worker in await workers.list_workers(self._db):
            if worker.kind == kind:
                await workers.declare_dead(self._db, worker.worker, math.inf)
        await self._staff.lose(kind)
        replies = Replies(self._db, self._bus, self.settings)
        await Reclaim(self._db, self._bus, self.settings, replies).look()
        await self._staff.begin(kind)

    # --- what there is ----------------------------------------------------------------------------------------------

    async def journal(self, run: Run[Any] | str) -> Journal:
        """The journal of a run (or of the run with this id) as it is now, with those of the runs that it asked for.

        Raises:
            UnknownRun: there is no such run.
        """
        found = await runs.get(self._db, self.settings.tenant, run if isinstance(run, str) else run.id)
        return await self._journal(found.id)

    async def _journal(self, run: str) -> Journal:
        found = Journal()
        after = 0
        while rows := await journal.read_run(self._db, self.settings.tenant, run, after=after, limit=PAGE):
            found.extend(row.entry for row in rows)
            after = rows[-1].version
        for step in found.steps:
            if step.kind == StepKind.AGENT:
                found.asked[step.key] = await self._journal(child_run_id(run, step.key))
        return found

    async def _pending(self, name: str, run: str) -> list[str]:
        """The ids of the approvals of this name that are still to be decided, the newest first."""
        items = (await self.approvals(limit=MOST_APPROVALS))["items"]
        fitting = [one["id"] for one in items if one["name"] == name and run in ("", one["run"])]
        return [id_ for id_ in fitting if id_ not in self._decided]

    # --- parts ------------------------------------------------------------------------------------------------------

    async def _prepare(self, stack: AsyncExitStack) -> Settings:
        """Servers, a schema, a model; and settings that lead there."""
        if self._servers is None:
            servers = self._servers = Stack()
            await asyncio.to_thread(servers.start)
            stack.push_async_callback(asyncio.to_thread, servers.stop)
        name = f"t{uuid4().hex[:12]}"
        url = self._servers.postgres.url
        stack.push_async_callback(asyncio.to_thread, migrate.drop, url, name)
        await asyncio.to_thread(migrate.upgrade, url, name)
        self.model = await stack.enter_async_context(provider(self._script))
        places = {"namespace": name, "database_schema": name, "model": MODEL, "model_api_base": self.model.url}
        return self._servers.settings(**{**TERMS, **places, **self._given})

    async def _connect(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        self._db = await Database.of(settings)
        stack.push_async_callback(self._db.close)
        self._bus = await Bus.connect(settings, name="test")
        stack.push_async_callback(self._bus.close)
        stack.push_async_callback(stored.delete_streams, self._bus)
        following = Following(self._db, self._bus)
        stack.callback(following.close)
        entrance = Entrance(self._db, self._bus, ahead=lambda: self._clock.ahead)
        super().__init__(transport=Straight(self._db, entrance, following, settings.tenant))
        self._clock.ahead = self._at - await self._db.now()

    def _begin_time(self) -> None:
        self._passing = Passing(self._db, self._bus, self.settings, self._clock, publish=super().publish)
        if self._schedules:
            self._passing.follow(self._apps)

    def _services(self) -> list[tuple[str, Service]]:
        watching = partial(supervisor.serve, self.settings, ahead=_long_ago)
        services: list[tuple[str, Service]] = [("supervisor", watching)]
        for app in self._apps:
            played = self._toolkit.stand_in(app)
            agents = partial(agent_worker.serve, app, self.settings, clock=self._clock)
            services += [("agents", agents)] * (self._agents if app.agents else 0)
            services += [("tools", partial(tool_worker.serve, played, self.settings))] * bool(app.tools)
            models = any(spec.model is not None for spec in app.specs()[0])
            services += [("llm", partial(llm_worker.serve, app, self.settings))] * models
        return services


def _long_ago() -> float:
    """What the supervisor tells schedules: they are due when time is skipped, and only then."""
    return -1e10
