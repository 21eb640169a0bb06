"""A router between a real NATS and a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from routing import Exchange

from trunkline.settings import Settings


@pytest.fixture
async def exchange(settings: Settings) -> AsyncIterator[Exchange]:
    """Connections, and a router at work."""
    async with AsyncExitStack() as stack:
        yield await Exchange.open(settings.model_copy(update={"max_payload": 4096, "ack_wait": 1.0}), stack)
