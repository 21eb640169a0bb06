"""Death in every crash window: between each two things that cannot become true together (ARCHITECTURE.md).

Several workers die at once, each at a point of its own; ``make sweep`` takes one after the other, and pairs, and lets
each point fail or be slow.
"""

from __future__ import annotations

from typing import get_args

import pytest

from chaos.sweep import SITES, seeded_pairs, sweep, together
from trunkline.observe.faults import Point

PAIRS = 24


def test_every_point_has_its_turn() -> None:
    assert {site.point for site in SITES} == set(get_args(Point))
    assert sorted(map(str, SITES)) == sorted(str(site) for group in together() for site in group)


@pytest.mark.timeout(600)
async def test_nothing_is_lost_and_nothing_recorded_is_done_again() -> None:
    async with sweep() as through:
        for group in together():
            await through.through(*group)


@pytest.mark.sweep
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["agents", "tools", "llm", "supervisor", "gateway"])
async def test_one_death_after_the_other(kind: str) -> None:
    async with sweep() as through:
        for site in SITES:
            if site.kind == kind:
                await through.through(site)


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(4))
async def test_two_deaths_that_overlap(seed: int) -> None:
    async with sweep() as through:
        for pair in seeded_pairs(seed, PAIRS):
            await through.through(*pair)


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("action", ["fail", "delay:0.5"])
async def test_what_fails_or_is_slow_at_a_point_loses_nothing(action: str) -> None:
    async with sweep() as through:
        for site in SITES:
            await through.through(site, action=action)
