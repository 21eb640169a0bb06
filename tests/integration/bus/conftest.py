"""A bus on the shared NATS in a namespace of its own, and servers of their own for tests that kill them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from listening import Connect

from trunkline.bus.connection import Bus
from trunkline.bus.subjects import Stream
from trunkline.embedded.nats import EmbeddedNats
from trunkline.embedded.stack import Stack
from trunkline.settings import Settings


@pytest.fixture
def bus_settings(stack: Stack, namespace: str) -> Settings:
    """The shared server; without a schema in Postgres, which the bus does not know."""
    return stack.settings(namespace=namespace)


@pytest.fixture
async def bus(bus_settings: Settings) -> AsyncIterator[Bus]:
    """Connected, with its streams, which are deleted after the test."""
    bus = await Bus.connect(bus_settings, name="test")
    await bus.declare()
    yield bus
    await bus.close()
    cleaner = await Bus.connect(bus_settings, name="cleaner")
    for stream in Stream:
        await cleaner.request(f"$JS.API.STREAM.DELETE.{cleaner.subjects.stream_name(stream)}", b"", 5)
    await cleaner.close()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[EmbeddedNats]:
    """A server of this test alone."""
    nats = EmbeddedNats(tmp_path / "nats")
    nats.start()
    yield nats
    nats.kill()


@pytest.fixture
async def connect(nats: EmbeddedNats) -> AsyncIterator[Connect]:
    """``await connect(**settings)``: a bus on the test's own server, with its streams; closed after the test."""
    made: list[Bus] = []

    async def connect(**overrides: object) -> Bus:
        bus = await Bus.connect(Settings(nats_url=nats.url, **overrides), name="test")
        made.append(bus)
        await bus.declare()
        return bus

    yield connect
    for bus in made:
        await bus.close()
