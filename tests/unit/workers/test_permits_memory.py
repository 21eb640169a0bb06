"""Whose memory counts when a permit is asked for: never that of a worker which lost the instance meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.domain.codec import dumps
from trunkline.domain.work import PermitAnswer, PermitRequest
from trunkline.store import leases
from trunkline_workers.absence import Absence
from trunkline_workers.agent.permits import Permits

INSTANCE, LEASE = "00000000-0000-4000-8000-000000000001", 1.25


class Office:
    """A worker "me" that remembers an instance, in which the step that is asked about does not run (any more)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, epoch: int, owner: str | None) -> None:
        self.now, self.forwarded = 100.0, 0
        activation = SimpleNamespace(runs={}, lease=SimpleNamespace(epoch=epoch))
        registry: Any = SimpleNamespace(find=lambda _: activation, empty=False)
        bus: Any = SimpleNamespace(request=self._request, subjects=SimpleNamespace(worker_permit=lambda owner: owner))
        self.permits = Permits(bus, SimpleNamespace(), registry, "me", LEASE)  # type: ignore[arg-type]
        self.permits._absence = Absence(LEASE, clock=lambda: self.now)
        monkeypatch.setattr("trunkline_workers.agent.permits.time.monotonic", lambda: self.now)

        async def owner_of(*_: Any) -> str | None:
            return owner

        monkeypatch.setattr(leases, "owner_of", owner_of)

    async def _request(self, subject: str, _data: bytes, _timeout: float) -> bytes:
        assert subject == "other"
        self.forwarded += 1
        return dumps(PermitAnswer(answer="go"))

    async def beat(self) -> None:
        await self.permits.on_own_heartbeat(SimpleNamespace())  # type: ignore[arg-type]

    async def ask(self, epoch: int) -> str:
        request = PermitRequest(
            tenant="default", instance=INSTANCE, agent="orders", run="r", step="tool:a#1", attempt=1, epoch=epoch,
            worker="w", execution="e",
        )  # fmt: skip
        answer = await self.permits.on_request(SimpleNamespace(data=dumps(request)))  # type: ignore[arg-type]
        return PermitAnswer.model_validate_json(answer).answer


async def test_the_owner_answers_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, epoch=3, owner=None)
    assert await office.ask(epoch=3) == "refused"
    assert await office.ask(epoch=2) == "refused"


@pytest.mark.parametrize(("owner", "answer"), [("other", "go"), ("me", "later"), (None, "later")])
async def test_a_later_lease_than_its_own_is_asked_in_postgres(
    monkeypatch: pytest.MonkeyPatch, owner: str | None, answer: str
) -> None:
    office = Office(monkeypatch, epoch=1, owner=owner)
    assert await office.ask(epoch=3) == answer


@pytest.mark.parametrize(("owner", "answer"), [("other", "go"), ("me", "refused"), (None, "later")])
async def test_after_a_silence_postgres_says_who_the_owner_is(
    monkeypatch: pytest.MonkeyPatch, owner: str | None, answer: str
) -> None:
    office = Office(monkeypatch, epoch=1, owner=owner)
    await office.beat()
    office.now += 4.0  # it was stopped
    assert await office.ask(epoch=1) == answer
    for _ in range(8):
        office.now += 0.25
        await office.beat()
    assert await office.ask(epoch=1) == "refused", "it has heard meanwhile, if it was declared dead"
