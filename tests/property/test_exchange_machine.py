"""Whatever is delivered late, twice or never, and whoever dies, is paused or hands over: every run that was accepted
comes to the end that a small model knows, and nothing outside happens twice.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from property.exchange_clock import Clockwork
from property.exchange_hands import Job
from property.exchange_healing import heal
from property.exchange_lines import Message
from property.exchange_model import Asked
from property.exchange_worker import Worker
from property.exchange_world import World
from trunkline.domain.ids import instance_id
from trunkline.settings import Settings
from trunkline.store.database import Database

T = TypeVar("T")

MOST_WORKERS = 3
MOST_RUNS = 6
STEPS = 30  # moves of one example, at most

keys = st.sampled_from(["a", "b"])
places = st.integers(0, 1000)  # of something among those that there are
mishaps = st.sampled_from(["die", "lose", "lose the query", ""])
ways_to_fail = st.sampled_from(["die", "die late", "dawdle", "fail", "cut", "cut late"])
orders = st.lists(places, min_size=1, max_size=5)
numbers = st.integers(1, 9)
simple = st.sampled_from(["local", "look", "post", "pay", "both"])
inner = st.lists(st.tuples(simple, numbers, st.just([])), min_size=1, max_size=2)
others = st.sampled_from(["wait", "patient", "nap", "shared", "pay", "boom", "anew", "trip"])
parts = st.one_of(
    st.tuples(simple, numbers, st.just([])),
    st.tuples(others, numbers, st.just([])),
    st.tuples(st.sampled_from(["child", "spawned"]), numbers, inner),
    st.tuples(st.just("tied"), numbers, st.one_of(inner, st.just([("boom", 1, [])]))),
)
plans = st.lists(parts, min_size=1, max_size=4)


def in_order(tenant: str) -> bool:
    """Whether the ids of its instances come in the same order as in every other example; some things go by it."""
    ids = [instance_id(tenant, agent, key) for agent, key in (("clerk", "a"), ("clerk", "b"), ("till", "one"))]
    return ids == sorted(ids)


class ExchangeMachine(RuleBasedStateMachine):
    """One example is a tenant of its own in one database."""

    tenants = filter(in_order, map("t{}".format, itertools.count(1)))
    runner: asyncio.Runner
    db: Database
    settings: Settings

    @initialize(
        asked=st.lists(st.tuples(keys, plans), min_size=1, max_size=3),
        moves=st.integers(0, 25),
        fuse=st.tuples(st.integers(1, 25), mishaps),
        how=ways_to_fail,
        idle_after=st.sampled_from([20.0, 1e6]),
        anew=st.booleans(),
    )
    def open(
        self,
        *,
        asked: list[tuple[str, list[Any]]],
        moves: int,
        fuse: tuple[int, str],
        how: str,
        idle_after: float,
        anew: bool,
    ) -> None:
        """Begin in the midst of things. ``anew``: whether they end without any of the workers of the beginning."""
        settings = self.settings.model_copy(update={"tenant": next(self.tenants), "idle_after": idle_after})
        self.anew = anew

        async def begin() -> World:
            world = World(self.db, settings)
            await world.join()
            await world.join()
            for key, plan in asked:
                await world.accept(key, plan)
            world.workers[0].fuse.arm(*fuse)
            await world.flow(world.workers[0], moves)
            return world

        self.world = self.run(begin())
        self.work_badly(place=0, to=0, how=how)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @staticmethod
    def pick(choices: Sequence[T], place: int) -> T | None:
        return choices[place % len(choices)] if choices else None

    def worker(self, place: int) -> Worker | None:
        return self.pick([one for one in self.world.workers if not one.gone], place)

    def message(self, place: int) -> Message | None:
        return self.pick(self.world.pool.messages, place)

    def asked(self, place: int) -> Asked | None:
        return self.pick(list(self.world.model.asked.values()), place)

    def job(self, place: int) -> Job | None:
        """One that somebody works on, or one that somebody begins: an unsafe one if there is any, for the risk."""
        items = [one for one in self.world.pool.messages if ".work." in one.subject]
        risky = [one for one in items if one.subject.endswith(".pay")]
        if items and not self.world.hands.jobs:
            self.world.hands.take(self.pick(risky or items, place))
        return self.pick(self.world.hands.jobs, place)

    # --- what is asked for ------------------------------------------------------------------------------------------

    @rule(key=keys, plan=plans)
    def accept(self, key: str, plan: list[Any]) -> None:
        if len(self.world.model.asked) < MOST_RUNS:
            self.run(self.world.accept(key, plan))

    @rule(place=places)
    def accept_again(self, place: int) -> None:
        if asked := self.asked(place):
            self.run(self.world.accept_again(asked))

    @rule(place=places, again=st.booleans())
    def signal(self, place: int, again: bool) -> None:
        if asked := self.asked(place):
            self.run(self.world.signal(asked, again=again))

    @rule(place=places, really=st.sampled_from([False, False, False, True]))
    def cancel(self, place: int, really: bool) -> None:
        if (asked := self.asked(place)) and really:
            self.run(self.world.cancel(asked))

    @rule(place=places, outcome=st.sampled_from(["happened", "failed", "again"]))
    def resolve(self, place: int, outcome: str) -> None:
        if parked := self.pick(self.run(self.world.parked()), place):
            self.run(self.world.resolve(parked, outcome))

    # --- the bus ----------------------------------------------------------------------------------------------------

    @rule(order=orders, to=places, answered=st.sampled_from([True, True, True, False]))
    def deliver(self, order: list[int], to: int, answered: bool) -> None:
        for place in order:
            worker, message = self.worker(to), self.message(place)
            if worker and message:
                self.run(self.world.deliver(message, worker, answered=answered))

    @rule(to=places, most=st.integers(1, 12))
    def flow(self, to: int, most: int) -> None:
        self.run(self.world.flow(self.worker(to), most))

    @rule(place=places, twice=st.booleans())
    def mislay(self, place: int, twice: bool) -> None:
        """Lose a message, or send it a second time."""
        message = self.message(place)
        if message and twice:
            self.world.pool.put(Message(message.subject, message.data, message.reply))
        elif message:
            self.world.pool.discard(message)

    # --- tool workers -----------------------------------------------------------------------------------------------

    @rule(place=places, often=st.integers(1, 3))
    def work(self, place: int, often: int) -> None:
        for _ in range(often):
            if job := self.job(place):
                self.run(self.world.work(job))

    @rule(place=places, to=places, how=ways_to_fail)
    def work_badly(self, place: int, to: int, how: str) -> None:
        if job := self.job(place):
            self.run(self.world.work_badly(job, how, self.worker(to)))

    # --- agent workers ----------------------------------------------------------------------------------------------

    @rule()
    def join(self) -> None:
        if sum(one.alive for one in self.world.workers) < MOST_WORKERS:
            self.run(self.world.join())

    @rule(place=places, crossings=st.integers(1, 8), then=mishaps)
    def arm(self, place: int, crossings: int, then: str) -> None:
        if worker := self.worker(place):
            worker.fuse.arm(crossings, then)

    @rule(place=places, how=st.sampled_from(["dies", "is declared dead", "is declared dead", "hands over"]))
    def lose_worker(self, place: int, how: str) -> None:
        """One that is declared dead may be alive: it was only paused, and goes on."""
        worker = self.pick([one for one in self.world.workers if not one.departed], place)
        if worker and how == "is declared dead":
            self.run(self.world.declare_dead(worker))
        elif worker and not worker.gone:
            self.run(self.world.kill(worker) if how == "dies" else self.world.hand_over(worker))

    @rule(place=places, moves=st.integers(1, 12))
    def pause(self, place: int, moves: int) -> None:
        """One is declared dead in the midst of its work, and then goes on with it."""
        busy = [one for one in self.world.workers if one.alive and one.holds]
        if worker := self.pick(busy, place):
            self.run(self.world.declare_dead(worker))
            self.run(self.world.flow(worker, moves))

    # --- time -------------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.3, 3.0, 12.0, 40.0, 100.0]))
    def advance(self, seconds: float) -> None:
        self.run(self.world.advance(seconds))

    @rule(number=st.integers(1, 2))
    def fire_timers(self, number: int) -> None:
        self.run(self.world.fire_timers(number))

    @rule()
    def reconcile(self) -> None:
        self.run(self.world.reconcile())

    # --- what must be true ------------------------------------------------------------------------------------------

    @invariant()
    def nothing_goes_back(self) -> None:
        if hasattr(self, "world"):
            self.run(self.world.watch.look())
            assert self.world.watch.faults == []

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                wrong = self.run(heal(self.world, anew=self.anew))
            finally:
                self.run(self.world.close())
            assert wrong == []


@pytest.fixture
def machine(settings: Settings) -> Any:
    """The machine's class, with a database that is open as long as the test goes on."""
    with asyncio.Runner(loop_factory=Clockwork) as runner:
        url = settings.database_url.get_secret_value()
        unseen: list[str] = []
        runner.get_loop().set_exception_handler(lambda _, context: unseen.append(str(context)))
        db = runner.run(Database.open(url, schema=settings.database_schema))
        yield type("Machine", (ExchangeMachine,), {"runner": runner, "db": db, "settings": settings})
        runner.run(db.close())
        gc.collect()
        assert unseen == [], "errors that nobody looked at"


@pytest.mark.timeout(3600)
def test_the_exchange_keeps_its_promises_whatever_happens(machine: type[ExchangeMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=hypothesis.settings(
            stateful_step_count=STEPS,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
