"""A decision is for a wait of just its name, and nobody looks through all that the run waits for to find that."""

from __future__ import annotations

from typing import Any

from trunkline.domain.approvals import signal_name
from trunkline.domain.mail import Mail
from trunkline.domain.status import EnvelopeKind
from trunkline.engine.replay import RunDriver
from trunkline_workers.agent import mail
from trunkline_workers.agent.live import Live
from unit.engine.driving import Driven, wait


class Unread(dict[Any, Any]):
    """Fails when it is looked through."""

    def __iter__(self) -> Any:
        raise AssertionError("all open steps are looked through")

    def values(self) -> Any:
        raise AssertionError("all open steps are looked through")


async def asks_for_many(driver: RunDriver) -> Any:
    return await driver.gather([wait(driver, signal_name("pay", {"n": number})) for number in range(50)])


def decision(number: int) -> Mail:
    body = {"name": signal_name("pay", {"n": number}), "data": {"approved": True}}
    return Mail(number, "instance", f"d{number}", EnvelopeKind.SIGNAL, "run", body)


def test_a_decision_finds_its_wait_without_a_look_at_the_others() -> None:
    run = Driven(asks_for_many)
    live = Live(run.driver.started, run.driver)
    run.driver._ledger.open = Unread(run.driver._ledger.open)
    assert mail._asked_for(live, decision(7))
    assert not mail._asked_for(live, decision(70))
