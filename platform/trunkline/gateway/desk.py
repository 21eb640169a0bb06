"""What the routes stand on: Postgres, the bus, whose key was sent, and the one way in: commit, then wake."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

from fastapi import Request

from trunkline.bus.connection import Bus
from trunkline.domain.codec import digest, dumps, loads
from trunkline.domain.errors import IdempotencyConflict, PayloadTooLarge, Unauthorized, Unavailable, UnknownAgent
from trunkline.domain.ids import check_key, derived_id, new_id
from trunkline.domain.mail import Accepted, Envelope
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.work import Wake
from trunkline.observe import logs
from trunkline.settings import Settings
from trunkline.store import definitions
from trunkline.store.accept import accept
from trunkline.store.database import Database

log = logs.get("gateway")


class Desk:
    """``bus`` is ``None`` while NATS has not been reached: what is accepted then is woken by the supervisor."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self.settings, self.db = settings, db
        self.bus: Bus | None = None

    def tenant(self, request: Request) -> str:
        """Whose key the request bears.

        Raises:
            Unauthorized: keys are set, and it bears none of them.
        """
        if not self.settings.api_keys:
            return self.settings.tenant
        sent = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        found = [
            tenant
            for tenant, key in self.settings.api_keys.items()
            if hmac.compare_digest(key.get_secret_value().encode(), sent)
        ]
        if not found:
            raise Unauthorized
        return found[0]

    async def body(self, request: Request) -> Any:
        """The request's JSON, read no further than ``settings.max_payload`` bytes.

        Raises:
            PayloadTooLarge: it is longer.
            BadJson: it is malformed, or holds what may not be kept.
        """
        limit, read = self.settings.max_payload, bytearray()
        async for chunk in request.stream():
            read += chunk
            if len(read) > limit:
                raise PayloadTooLarge(what="the request's body", size=len(read), limit=limit)
        return loads(bytes(read), what="the request's body") if read else {}

    async def start(self, tenant: str, agent: str, key: str | None, value: Any, idempotency_key: str | None) -> str:
        """Accept a run and wake its instance. Without ``key`` the instance is the run's own.

        Raises:
            UnknownAgent: no worker declared it.
            IdempotencyConflict: the idempotency key was used before with another input.
        """
        await self.known(tenant, agent)
        run = new_id()
        own = f"run-{derived_id('keyless', tenant, agent, idempotency_key) if idempotency_key else run}"
        letter = Envelope(
            tenant,
            agent,
            check_key(key) if key is not None else own,
            f"idem:{idempotency_key}" if idempotency_key else f"req:{run}",
            EnvelopeKind.REQUEST,
            {"input": value, "handler": "", "parent": None},
            run=run,
            digest=digest(value),
        )
        return (await self.accept([letter], idempotency_key))[0].run

    async def known(self, tenant: str, agent: str) -> None:
        """Return if a worker declared ``agent``.

        Raises:
            UnknownAgent: none did; the error names those that are.
        """
        known = await definitions.current(self.db, tenant, "agent")
        if agent not in known:
            raise UnknownAgent(agent=agent, known=", ".join(sorted(known)) or "none")

    async def accept(self, letters: Sequence[Envelope], idempotency_key: str | None = None) -> list[Accepted]:
        """Commit, then wake. A repeat finds what was accepted first."""
        accepted = await accept(self.db, letters)
        if any(one.conflict for one in accepted):
            raise IdempotencyConflict(key=idempotency_key)
        for letter in letters:
            self.wake(letter)
        return accepted

    def wake(self, letter: Envelope) -> None:
        """Say that there is mail. Without NATS the supervisor will."""
        if self.bus is not None and self.bus.connected:
            wake = Wake(tenant=letter.tenant, agent=letter.agent, instance=letter.instance)
            self.bus.publish_soon(self.bus.subjects.inbox(letter.tenant, letter.agent), dumps(wake))

    def missing(self) -> dict[str, str]:
        """What is not reached just now."""
        return {} if self.bus is not None and self.bus.connected else {"nats": "not connected"}

    async def ready(self) -> dict[str, str]:
        """What is missing, by name; empty when all is there."""
        missing = self.missing()
        try:
            await self.db.ping()
        except Unavailable as error:
            missing["postgres"] = str(error)
        return missing
