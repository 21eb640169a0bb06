"""Who may be declared dead: by example, and by a machine that tries to have a living worker declared dead."""

from __future__ import annotations

import math

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trunkline.supervisor.judge import Judge

LEASE = 1.0
STEP = 0.25


class Observer:
    """A judge that probes both lines every ``STEP`` seconds without any delay."""

    def __init__(self) -> None:
        self.judge = Judge(LEASE)
        self.now = 100.0
        self.marks: dict[str, object] = {}
        self.beating: set[str] = set()  # on NATS
        self.beats = 0

    def tick(self, *, nats: bool = True, postgres: bool = True) -> dict[str, object]:
        self.now += STEP
        if nats:
            for worker in self.beating:
                self.judge.heard(worker, self.now)
            self.judge.nats.proven(self.now, self.now)
        if postgres:
            self.judge.read(self.marks, self.now, self.now)
        return self.judge.dead()

    def ticks(self, seconds: float, **sight: bool) -> list[dict[str, object]]:
        return [self.tick(**sight) for _ in range(round(seconds / STEP))]

    def beat_in_postgres(self, worker: str) -> None:
        self.beats += 1
        self.marks[worker] = self.beats


def test_silence_on_both_for_a_lease_is_death() -> None:
    observer = Observer()
    observer.beat_in_postgres("w")
    verdicts = observer.ticks(LEASE)
    assert not any(verdicts)
    assert observer.tick() == {"w": 1}


def test_it_says_when_somebody_could_be_dead_at_the_earliest() -> None:
    observer = Observer()
    assert observer.judge.due() == math.inf, "nobody was in sight yet"
    observer.beat_in_postgres("w")
    observer.tick()
    assert observer.judge.due() == observer.now + LEASE
    while observer.now < observer.judge.due() - STEP:
        assert not observer.tick()
    assert observer.tick() == {"w": 1}
    observer.beating.add("w")
    observer.tick()
    assert observer.judge.due() == observer.now + LEASE
    observer.judge.nats.lost()
    assert observer.judge.due() == math.inf


def test_a_worker_that_beats_on_nats_alone_lives() -> None:
    observer = Observer()
    observer.beat_in_postgres("w")
    observer.beating.add("w")
    assert not any(observer.ticks(10 * LEASE))


def test_a_worker_that_beats_in_postgres_alone_lives() -> None:
    observer = Observer()
    for _ in range(20):
        observer.beat_in_postgres("w")
        assert not any(observer.ticks(LEASE / 2))


def test_an_observer_that_just_connected_declares_nobody_dead_for_a_whole_lease() -> None:
    observer = Observer()
    observer.beat_in_postgres("w")
    observer.ticks(3 * LEASE, nats=False)
    verdicts = observer.ticks(LEASE)
    assert not any(verdicts)
    assert observer.tick() == {"w": 1}


def test_nobody_is_declared_dead_while_either_line_is_out_of_sight() -> None:
    for sight in ({"nats": False}, {"postgres": False}):
        observer = Observer()
        observer.beat_in_postgres("w")
        observer.ticks(LEASE / 2)
        assert not any(observer.ticks(10 * LEASE, **sight))


def test_an_observer_that_was_stopped_begins_again() -> None:
    observer = Observer()
    observer.beat_in_postgres("w")
    observer.ticks(LEASE)
    observer.now += 100 * LEASE
    verdicts = observer.ticks(LEASE)
    assert not any(verdicts)
    assert observer.tick() == {"w": 1}


def test_a_broken_connection_begins_a_new_lease() -> None:
    observer = Observer()
    observer.beat_in_postgres("w")
    observer.ticks(LEASE)
    observer.judge.nats.lost()
    assert not any(observer.ticks(LEASE))
    assert observer.tick() == {"w": 1}


def test_a_worker_that_left_is_forgotten() -> None:
    observer = Observer()
    observer.beat_in_postgres("w")
    observer.ticks(LEASE)
    observer.marks.clear()
    assert not any(observer.ticks(2 * LEASE))


def test_a_heartbeat_of_a_stranger_changes_nothing() -> None:
    observer = Observer()
    observer.beating.add("stranger")
    assert not any(observer.ticks(3 * LEASE))


REST = 0.3 * LEASE  # between two beats, and between two looks, while nobody holds anything


def _stalled(begun: float, seconds: float, *, phase: float = 0.0) -> list[float]:
    """When something is done that is to be done again and again, by who holds nothing and stands still for a while."""
    planned = (REST * number + phase for number in range(1, 30))
    return sorted({begun + seconds if begun <= at < begun + seconds else at for at in planned})


def _declared(looks: list[float], beats: list[float]) -> bool:
    """Whether a worker that beats on both lines in turn is ever dead to an observer, who goes first at any time."""
    judge, marks, turn = Judge(LEASE), {"w": 0}, 0
    for at, who in sorted([(at, 0) for at in looks] + [(at, 1) for at in beats]):
        if who == 0:
            judge.nats.proven(at, at)
            judge.read(marks, at, at)
            if judge.dead():
                return True
        elif (turn := turn + 1) % 2:
            judge.heard("w", at)
        else:
            marks = {"w": turn}
    return False


MOMENTS, PHASES = st.floats(0.0, 6.0), st.floats(0.0, REST)


@given(begun=MOMENTS, seconds=st.floats(0.0, 3.0), phase=PHASES)
@example(begun=3.6, seconds=0.95, phase=0.29)
def test_at_rest_a_machine_that_stands_still_kills_nobody(begun: float, seconds: float, phase: float) -> None:
    assert not _declared(_stalled(begun, seconds, phase=phase), _stalled(begun, seconds))


@given(begun=MOMENTS, seconds=st.floats(0.0, 0.65 * LEASE), phase=PHASES)
def test_at_rest_a_worker_may_stand_still_for_most_of_a_lease(begun: float, seconds: float, phase: float) -> None:
    assert not _declared(_stalled(0.0, 0.0, phase=phase), _stalled(begun, seconds))


def test_at_rest_a_worker_that_stands_still_for_long_is_found() -> None:
    assert _declared(_stalled(0.0, 0.0), _stalled(3.0, 2.0))


WORKERS = ("a", "b")
SECONDS = st.sampled_from([0.05, 0.25, 0.5, 0.9, 1.5, 10.0])


class TrickedObserver(RuleBasedStateMachine):
    """Beats queue up behind an observer that is slow, stopped or cut off; probes come back late or never."""

    def __init__(self) -> None:
        super().__init__()
        self.judge = Judge(LEASE)
        self.now = 50.0
        self.on_nats: dict[str, list[float]] = {worker: [] for worker in WORKERS}
        self.in_postgres: dict[str, list[float]] = {worker: [] for worker in WORKERS}
        self.echoed = self.read = 0.0  # when the last probe that came back was sent
        self.marks: dict[str, object] = dict.fromkeys(WORKERS, 0)
        self.wire: list[tuple[str, float]] = []  # what NATS holds for the observer: a worker's beat, or an echo
        self.reading: tuple[float, dict[str, object]] | None = None

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(worker=st.sampled_from(WORKERS))
    def beats_on_nats(self, worker: str) -> None:
        self.on_nats[worker].append(self.now)
        self.wire.append((worker, self.now))

    @rule(worker=st.sampled_from(WORKERS))
    def beats_in_postgres(self, worker: str) -> None:
        self.in_postgres[worker].append(self.now)
        self.marks[worker] = self.now

    @rule()
    def echo_is_sent(self) -> None:
        self.wire.append(("", self.now))

    @precondition(lambda self: self.wire)
    @rule(count=st.integers(1, 5))
    def observer_reads_the_wire(self, count: int) -> None:
        for worker, sent in self.wire[:count]:
            if worker:
                self.judge.heard(worker, self.now)
            else:
                self.judge.nats.proven(sent, self.now)
                self.echoed = sent
        del self.wire[:count]

    @rule()
    def nats_breaks(self) -> None:
        self.wire.clear()
        self.judge.nats.lost()

    @precondition(lambda self: self.reading is None)
    @rule()
    def reading_begins(self) -> None:
        self.reading = (self.now, dict(self.marks))

    @precondition(lambda self: self.reading is not None)
    @rule()
    def reading_ends(self) -> None:
        assert self.reading is not None
        begun, marks = self.reading
        self.judge.read(marks, begun, self.now)
        self.reading, self.read = None, begun

    @rule()
    def all_is_well_for_long_and_nobody_beats(self) -> None:
        self.reading = None
        for _ in range(round(3 * LEASE / STEP)):
            self.now += STEP
            self.wire.append(("", self.now))
            self.observer_reads_the_wire(len(self.wire))
            self.reading_begins()
            self.reading_ends()
        assert set(self.judge.dead()) == set(WORKERS)

    @invariant()
    def the_dead_were_silent_for_a_lease_on_both(self) -> None:
        for worker in self.judge.dead():
            assert not any(self.echoed - LEASE < at < self.echoed for at in self.on_nats[worker])
            assert not any(self.read - LEASE < at < self.read for at in self.in_postgres[worker])


TestTrickedObserver = TrickedObserver.TestCase
TestTrickedObserver.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
