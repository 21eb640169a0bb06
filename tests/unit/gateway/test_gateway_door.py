"""The bound on what a gateway takes in: by number, by tenant, by bytes; and every place is given back once."""

from __future__ import annotations

import pytest

from trunkline.domain.errors import Busy, TenantBusy
from trunkline.gateway.door import BYTES, Door


def test_as_many_are_inside_as_may_be_and_each_place_is_given_back_once() -> None:
    door = Door(2, several=False)
    first, _ = door.enter(), door.enter()
    with pytest.raises(Busy) as refused:
        door.enter()
    assert refused.value.status == 503
    first.leave()
    first.leave()
    assert door.inside == 1
    door.enter()
    with pytest.raises(Busy):
        door.enter()


def test_one_tenant_among_several_has_three_quarters_of_the_places() -> None:
    door = Door(8, several=True)
    theirs = [door.enter() for _ in range(6)]
    for ticket in theirs:
        ticket.belongs("loud")
    beyond = door.enter()
    with pytest.raises(TenantBusy) as refused:
        beyond.belongs("loud")
    assert refused.value.status == 429
    beyond.leave()
    door.enter().belongs("quiet")
    theirs[0].leave()
    door.enter().belongs("loud")


def test_one_tenant_alone_has_them_all() -> None:
    door = Door(4, several=False)
    for _ in range(4):
        door.enter().belongs("only")


def test_bodies_together_are_bounded_and_a_single_one_may_be_larger() -> None:
    door = Door(10, several=False)
    large, small = door.enter(), door.enter()
    large.weigh(BYTES)
    large.weigh(1)
    with pytest.raises(Busy):
        small.weigh(1)
    small.leave()
    large.leave()
    assert (door.inside, door.weight) == (0, 0)
    door.enter().weigh(1)


def test_who_has_left_holds_nothing_any_more() -> None:
    door = Door(4, several=True)
    ticket = door.enter()
    ticket.leave()
    ticket.belongs("late")
    ticket.weigh(10)
    assert (door.inside, door.weight) == (0, 0)
    for _ in range(3):
        door.enter().belongs("late")
