"""Whose memory counts when a permit is asked for: never that of a worker which lost the instance meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal

import pytest

from trunkline.domain.codec import dumps
from trunkline.domain.errors import NobodyListens, Unavailable, UnknownRun
from trunkline.domain.work import PermitAnswer, PermitRequest
from trunkline.store import leases, runs
from trunkline_workers.absence import Absence
from trunkline_workers.agent.hearing import Hearing
from trunkline_workers.agent.permits import Permits

INSTANCE, LEASE = "00000000-0000-4000-8000-000000000001", 1.25


class Office:
    """A worker "me" that remembers an instance, in which the step that is asked about does not run (any more)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, epoch: int, owner: str | None) -> None:
        self.now = 100.0
        self.owner_says: Literal["go"] | Exception = "go"  # the other one, that is
        self.status: str | None = "waiting"
        self.runs: dict[str, Any] = {}
        activation = SimpleNamespace(runs=self.runs, lease=SimpleNamespace(epoch=epoch))
        registry: Any = SimpleNamespace(find=lambda _: activation, empty=False)
        subjects = SimpleNamespace(worker_permit=lambda owner: owner, heartbeat=lambda worker: worker)
        bus: Any = SimpleNamespace(request=self._request, subscribe=self._subscribe, subjects=subjects)
        self.permits = Permits(bus, SimpleNamespace(), registry, "me", LEASE)  # type: ignore[arg-type]
        self.permits._absence = Absence(LEASE, clock=lambda: self.now)
        self.permits._hearing = Hearing(bus, LEASE, clock=lambda: self.now)
        monkeypatch.setattr("trunkline_workers.agent.permits.time.monotonic", lambda: self.now)

        async def owner_of(*_: Any) -> str | None:
            return owner

        async def get(*_: Any) -> Any:
            if self.status is None:
                raise UnknownRun(run="r")
            return SimpleNamespace(status=self.status)

        monkeypatch.setattr(leases, "owner_of", owner_of)
        monkeypatch.setattr(runs, "get", get)

    async def _request(self, subject: str, _data: bytes, _timeout: float) -> bytes:
        assert subject == "other"
        if isinstance(self.owner_says, Exception):
            raise self.owner_says
        return dumps(PermitAnswer(answer=self.owner_says))

    async def _subscribe(self, *_: object) -> None:
        """Nobody else beats."""

    async def beat(self) -> None:
        await self.permits.on_own_heartbeat(SimpleNamespace())  # type: ignore[arg-type]

    async def ask(self, epoch: int, execution: str = "e") -> str | None:
        request = PermitRequest(
            tenant="default", instance=INSTANCE, agent="orders", run="r", step="tool:a#1", attempt=1, epoch=epoch,
            worker="w", execution=execution,
        )  # fmt: skip
        answer = await self.permits.on_request(SimpleNamespace(data=dumps(request)))  # type: ignore[arg-type]
        return None if answer is None else PermitAnswer.model_validate_json(answer).answer


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


@pytest.mark.parametrize(
    ("error", "answer"), [(NobodyListens(what="o"), "later"), (Unavailable(what="o", reason="no answer"), None)]
)
async def test_where_the_owner_may_have_said_go_nobody_else_says_anything(
    monkeypatch: pytest.MonkeyPatch, error: Exception, answer: str | None
) -> None:
    office = Office(monkeypatch, epoch=1, owner="other")
    office.owner_says = error
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


async def test_who_was_cut_off_takes_nobody_for_dead_that_it_could_not_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(monkeypatch, epoch=1, owner="me")
    step = SimpleNamespace(attempt=1, started=None, scheduled=SimpleNamespace(options={}))
    driver, remote = SimpleNamespace(open_steps={"tool:a#1": step}), SimpleNamespace(permits={})
    office.runs["r"] = SimpleNamespace(parked="", driver=driver, remote=remote)
    assert await office.ask(epoch=1, execution="first") == "go"
    assert await office.ask(epoch=1, execution="second") == "later", "it runs already"
    office.now += 4.0  # neither its own heartbeats nor those of the one that it let go came
    assert await office.ask(epoch=1, execution="second") == "later", "that may be alive"
    for _ in range(8):
        office.now += 0.25
        await office.beat()
    assert await office.ask(epoch=1, execution="second") == "go", "it is heard of no more"


@pytest.mark.parametrize(
    ("status", "answer"), [("parked", "later"), ("running", "later"), ("completed", "refused"), (None, "refused")]
)
async def test_of_an_instance_that_nobody_holds_postgres_says_whether_its_run_has_ended(
    monkeypatch: pytest.MonkeyPatch, status: str | None, answer: str
) -> None:
    office = Office(monkeypatch, epoch=1, owner=None)
    office.status = status
    assert await office.ask(epoch=3) == answer
