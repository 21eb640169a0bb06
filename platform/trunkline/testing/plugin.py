"""pytest's fixtures for an exchange. It is loaded whenever pytest starts, so it imports nothing until a test asks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from trunkline.embedded.stack import Stack
    from trunkline.testing.exchange import ExchangeFactory


@pytest.fixture(scope="session")
def trunkline_stack() -> Iterator[Stack]:
    """A real NATS and a real Postgres, once for all tests of this pytest process. Override it to use others."""
    from trunkline.embedded.stack import Stack  # noqa: PLC0415 - only when it is used

    with Stack() as stack:
        yield stack


@pytest.fixture
def exchange(trunkline_stack: Stack) -> ExchangeFactory:
    """``async with exchange(app, model=[…]) as tl:`` is an ``Exchange`` of this test alone."""
    from trunkline.testing.exchange import Exchange  # noqa: PLC0415

    return partial(Exchange, stack=trunkline_stack)
