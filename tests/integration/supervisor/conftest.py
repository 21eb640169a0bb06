"""A quick supervisor's settings and connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from watching import Beating

from trunkline.bus.connection import Bus
from trunkline.settings import Settings
from trunkline.store.database import Database


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Everything happens within a second."""
    return settings.model_copy(
        update={
            "heartbeat": 0.1,
            "lease": 0.8,
            "reconcile_every": 0.2,
            "reconcile_after": 0.2,
            "alarm_every": 0.05,
            "metrics_port": -1,
        }
    )


@pytest.fixture
async def db(quick: Settings) -> AsyncIterator[Database]:
    database = await Database.open(quick.database_url.get_secret_value(), schema=quick.database_schema)
    yield database
    await database.close()


@pytest.fixture
async def bus(quick: Settings) -> AsyncIterator[Bus]:
    connected = await Bus.connect(quick, name="test")
    await connected.declare()
    yield connected
    await connected.close()


@pytest.fixture
async def beating(db: Database, bus: Bus) -> AsyncIterator[Callable[..., Beating]]:
    """Makes workers, which fall silent after the test."""
    made: list[Beating] = []

    def make(**options: object) -> Beating:
        made.append(Beating(db, bus, **options))
        return made[-1]

    yield make
    for worker in made:
        await worker.fall_silent()
