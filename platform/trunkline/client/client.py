"""``Client``: start runs, follow them, signal them, publish events; over HTTP, or directly on Postgres and NATS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from trunkline.access.entrance import Entrance
from trunkline.access.following import Following
from trunkline.authoring.agent_ref import AgentRef
from trunkline.authoring.signals import SignalType
from trunkline.bus.connection import Bus
from trunkline.client.http import Http
from trunkline.client.run import Run
from trunkline.client.transport import OverHttp, Straight, Transport
from trunkline.domain.codec import roundtrip
from trunkline.domain.deadlines import Deadline, as_json
from trunkline.domain.errors import BadDeclaration
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import new_id
from trunkline.settings import Settings
from trunkline.store.database import Database

if TYPE_CHECKING:
    from trunkline.authoring.app import App

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

PATIENCE = 30.0  # seconds for which a gateway that is away is asked again


class Client:
    """An async context::

    async with Client(url="http://127.0.0.1:8080") as tl:
        run = await tl.start(orders, order, key=order.id)
        verdict = await run.result(timeout=30)
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        patience: float = PATIENCE,
        transport: Transport | None = None,
    ) -> None:
        """``url`` and ``api_key`` are otherwise taken from TRUNKLINE_GATEWAY_URL and TRUNKLINE_API_KEY. A gateway that
        is away is asked again for ``patience`` seconds; nothing is done twice by that.
        """
        settings = Settings()
        key = api_key or (settings.api_key.get_secret_value() if settings.api_key else None)
        self._transport: Transport = transport or OverHttp(Http(url or settings.gateway_url, key, patience=patience))

    @classmethod
    async def direct(
        cls,
        database_url: str | None = None,
        nats_url: str | None = None,
        *,
        tenant: str | None = None,
        settings: Settings | None = None,
    ) -> Self:
        """The same without a gateway. What is not given is taken from the ``settings``, or from the environment.

        Raises:
            Unavailable: Postgres or NATS cannot be reached.
            NotUnderstood: ``database_url`` is no URL of a database.
            NotConfigured: behind a pooler, the database role's ``search_path`` does not begin with the schema.
        """
        given = {"database_url": database_url, "nats_url": nats_url, "tenant": tenant}
        chosen = {name: value for name, value in given.items() if value is not None}
        settings = Settings(**{**(settings or Settings()).model_dump(), **chosen})
        db = await Database.of(settings, name="client")
        try:
            bus = await Bus.connect(settings, name="client")
        except BaseException:
            await db.close()
            raise
        entrance = Entrance(db, bus, max_mailbox=settings.max_mailbox)
        return cls(transport=Straight(db, entrance, Following(db, bus), settings.tenant))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    # --- runs -------------------------------------------------------------------------------------------------------

    @overload
    async def start(
        self,
        agent: AgentRef[I, O],
        input: I,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        deadline: Deadline | None = None,
        connection: Any = None,
    ) -> Run[O]: ...
    @overload
    async def start(
        self,
        agent: str,
        input: Any = None,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        deadline: Deadline | None = None,
        connection: Any = None,
    ) -> Run[Any]: ...
    async def start(
        self,
        agent: AgentRef[Any, Any] | str,
        input: Any = None,  # noqa: A002
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        deadline: Deadline | None = None,
        connection: Any = None,
    ) -> Run[Any]:
        """Start a run; it is accepted when this returns. ``key`` names the instance; without it the run has its own.
        One that has not ended by its ``deadline`` (a duration from now, or a time) is cancelled, with all that it asked
        for.

        With ``connection`` (psycopg's AsyncConnection, or SQLAlchemy's AsyncConnection or AsyncSession, on the same
        database) it is a part of the caller's transaction, and accepted when that commits. Only a direct client can.

        ``idempotency_key`` is remembered for as long as the run that it began is kept: for ever, or, where it is set,
        for ``TRUNKLINE_RETENTION_DAYS`` after its end.

        Raises:
            UnknownAgent: no worker declared it.
            BadInput, NotJson: ``input`` does not fit the agent, or has no JSON form; or ``deadline`` is none.
            IdempotencyConflict: ``idempotency_key`` was used before, with another input.
            Unavailable: it was not accepted.
        """
        name, decode, value = _of(agent, input)
        by = as_json(deadline)
        if connection is None:
            run = await self._transport.start(name, key, value, idempotency_key or new_id(), by)
            return Run(self._transport, run, decode)
        straight = self._straight()
        run, letter = await straight.entrance.start_in(
            connection, straight.tenant, name, key, value, idempotency_key=idempotency_key, deadline=by
        )
        return Run(straight, run, decode, wake=lambda: straight.entrance.wake(letter))

    def run(self, id_: str) -> Run[Any]:
        """A run that was started before."""
        return Run(self._transport, id_, _as_it_is)

    # --- messages ---------------------------------------------------------------------------------------------------

    async def signal(self, agent: AgentRef[Any, Any] | str, key: str, signal: SignalType[Any] | str, data: Any = None,
                     *, idempotency_key: str = "") -> None:  # fmt: skip
        """Give an instance a named message, for the run that it handles or the next."""
        name = signal if isinstance(signal, str) else signal.name
        to = agent if isinstance(agent, str) else agent.name
        value = roundtrip(data, what=f"the signal {name!r}")
        await self._transport.signal_instance(to, key, name, value, idempotency_key or new_id())

    async def publish(self, event: CloudEvent) -> list[str]:
        """Publish an event to the agents that subscribe; the ids of the runs that it started. A repeat starts none."""
        return await self._transport.publish(event)

    async def decide(self, approval: str, *, approved: bool, by: str, comment: str | None = None) -> None:
        """Decide about a pending approval, once.

        Raises:
            UnknownApproval: nobody waits for it (any more).
        """
        await self._transport.decide(approval, {"approved": approved, "by": by, "comment": comment})

    async def pause(self, agent: AgentRef[Any, Any] | str, *, reason: str) -> None:
        """Let no new run of ``agent`` begin: what is asked of it is accepted, and waits; runs that have begun go on.
        Workers hear of it within a second.

        Raises:
            UnknownAgent: no worker declared it.
            BadInput: there is no reason.
        """
        await self._transport.pause(agent if isinstance(agent, str) else agent.name, reason)

    async def resume(self, agent: AgentRef[Any, Any] | str) -> None:
        """Let runs of ``agent`` begin again; what waited does.

        Raises:
            UnknownAgent: no worker declared it.
        """
        await self._transport.resume(agent if isinstance(agent, str) else agent.name)

    async def redrive(self, dead_letter: str) -> None:
        """Send a dead letter out again."""
        await self._transport.redrive(dead_letter)

    async def discard(self, dead_letter: str) -> None:
        """Settle a dead letter without doing anything with it."""
        await self._transport.discard(dead_letter)

    # --- definitions ------------------------------------------------------------------------------------------------

    async def deploy(self, app: App) -> list[dict[str, Any]]:
        """Make the definitions of ``app``'s agents current: runs that begin from now on keep to them.

        Returns:
            ``{"name", "version", "previous"}`` of each that was not.

        Raises:
            NotDeployable: an agent that is at work would use a tool that no worker has declared.
        """
        agents, _ = app.specs()
        return list((await self._transport.deploy([spec.model_dump(mode="json") for spec in agents]))["moved"])

    async def rollback(self, agent: AgentRef[Any, Any] | str, *, to: int) -> list[dict[str, Any]]:
        """Make version ``to`` of an agent's definition current again; returns as ``deploy``.

        Raises:
            UnknownVersion: there is no such version.
        """
        name = agent if isinstance(agent, str) else agent.name
        return list((await self._transport.roll_back({name: to}))["moved"])

    async def definitions(self, agent: str = "") -> dict[str, Any]:
        """The current definition of every agent; or all versions of ``agent``, the newest first."""
        return await self._transport.listed("definitions", agent=agent)

    # --- what there is ----------------------------------------------------------------------------------------------

    async def instance(self, agent: AgentRef[Any, Any] | str, key: str) -> dict[str, Any]:
        """An instance's state, conversation and open runs."""
        return await self._transport.instance(agent if isinstance(agent, str) else agent.name, key)

    async def erase(self, agent: AgentRef[Any, Any] | str, key: str) -> dict[str, Any]:
        """Erase an instance with all that it was: ``{"instance": id, "erased_at": seconds, "purged": bool}``.

        Its open runs fail as ``Erased``; what comes to the same key later begins a fresh instance. ``purged`` is false
        while the rest of a long journal is still being deleted.

        Raises:
            UnknownInstance: nothing was ever accepted for it.
        """
        return await self._transport.erase(agent if isinstance(agent, str) else agent.name, key)

    async def runs(
        self, *, agent: str = "", key: str = "", status: str = "", limit: int = 50, cursor: str = ""
    ) -> dict[str, Any]:
        """``{"items": […], "next": cursor or None}``, newest first; likewise the others."""
        return await self._transport.listed("runs", agent=agent, key=key, status=status, limit=limit, cursor=cursor)

    async def approvals(self, *, limit: int = 50, cursor: str = "") -> dict[str, Any]:
        """Decisions that runs wait for."""
        return await self._transport.listed("approvals", limit=limit, cursor=cursor)

    async def dead_letters(self, *, limit: int = 50, cursor: str = "") -> dict[str, Any]:
        """What could not be handled."""
        return await self._transport.listed("dead-letters", limit=limit, cursor=cursor)

    async def agents(self) -> dict[str, Any]:
        """Declared agents."""
        return await self._transport.listed("agents")

    async def schedules(self) -> dict[str, Any]:
        """Declared schedules: each with ``agent``, ``name``, ``spec``, and ``due_at``, ``fired_at`` and ``missed_at``
        (seconds since the epoch, or None): when it is due next, and what was fired, or let go, last.
        """
        return await self._transport.listed("schedules")

    async def tools(self) -> dict[str, Any]:
        """Declared tools."""
        return await self._transport.listed("tools")

    async def workers(self) -> dict[str, Any]:
        """Processes at work, and what they hold."""
        return await self._transport.listed("workers")

    def _straight(self) -> Straight:
        if isinstance(self._transport, Straight):
            return self._transport
        fix = "Use Client.direct(…): a transaction does not pass through HTTP."
        raise BadDeclaration(what="start(connection=)", reason="this client speaks to a gateway", fix=fix)


def _of(agent: AgentRef[Any, Any] | str, given: Any) -> tuple[str, Any, Any]:
    """Name, decoder of the output, and the input as JSON."""
    if isinstance(agent, str):
        return agent, _as_it_is, roundtrip(given, what=f"the input of {agent}")
    return agent.name, agent.output.decode, agent.input.encode(given)


def _as_it_is(value: Any) -> Any:
    return value
