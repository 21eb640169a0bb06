"""How often a roster looks: by whether anybody holds anything."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from trunkline.bus.connection import CoreMessage
from trunkline.domain.codec import dumps
from trunkline.domain.work import Heartbeat
from trunkline.settings import Settings
from trunkline.supervisor import roster as module
from trunkline.supervisor.roster import AT_REST, LOOK_EVERY, Roster

LEASE = 1.0
NOW = 1000.2


class Watched:
    """A roster at a time that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.presence = SimpleNamespace(held=0, worker="supervisor", look=self._look)
        settings = Settings(lease=LEASE)
        self.roster = Roster(cast("Any", None), cast("Any", None), settings, cast("Any", self.presence), lambda _: None)

    @staticmethod
    async def _look() -> dict[str, float]:
        return {}

    async def hear(self, held: int) -> None:
        beat = Heartbeat(worker="w", kind="agents", host="here", pid=1, started_at=1.0, held=held)
        await self.roster._hear(CoreMessage("tl.heartbeat.w", dumps(beat)))

    @property
    def until_next(self) -> float:
        return self.roster._until_next()


async def test_while_nobody_holds_anything_it_looks_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    await watched.hear(held=0)
    await watched.roster._look()
    watched.now = LEASE * AT_REST * 1000
    assert watched.until_next == pytest.approx(LEASE * AT_REST)
    assert LEASE * AT_REST * 1.05 < LEASE / 2, "a look that is late still leaves the judge's sight unbroken"


@pytest.mark.parametrize("line", ["nats", "postgres"])
async def test_once_somebody_does_it_looks_as_often_as_it_can_matter(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    if line == "nats":
        await watched.hear(held=1)
    else:
        watched.presence.held = 1
        await watched.roster._look()
    watched.now += LEASE * 0.9
    assert watched.until_next == LEASE * LOOK_EVERY
    watched.now = NOW + LEASE * 3
    assert LEASE * AT_REST * 0.05 <= watched.until_next != LEASE * LOOK_EVERY
