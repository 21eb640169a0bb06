"""Laws of the strategies: who is touched, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from trunkline.domain.status import Strategy
from trunkline.engine.strategy import Change, change


@dataclass(frozen=True)
class Situation:
    members: int
    failed: int
    up: frozenset[int]
    lasting: frozenset[int]

    def change(self, strategy: Strategy) -> Change:
        return change(strategy, self.failed, self.members, up=self.up, lasting=self.lasting)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    members = draw(st.integers(1, 8))
    failed = draw(st.integers(0, members - 1))
    some = st.frozensets(st.integers(0, members - 1))
    return Situation(members, failed, draw(some) - {failed}, draw(some) | {failed})


@given(situation=situations())
def test_one_for_one_touches_one(situation: Situation) -> None:
    assert situation.change(Strategy.ONE_FOR_ONE) == Change((), (situation.failed,))


@given(situation=situations())
def test_rest_for_one_touches_the_suffix_and_one_for_all_everybody(situation: Situation) -> None:
    for strategy, first in ((Strategy.REST_FOR_ONE, situation.failed), (Strategy.ONE_FOR_ALL, 0)):
        change_ = situation.change(strategy)
        assert set(change_.stop) == {place for place in situation.up if place >= first}
        assert set(change_.start) == {place for place in situation.lasting if place >= first}


@given(situation=situations(), strategy=st.sampled_from(Strategy))
def test_stopping_is_the_reverse_of_starting(situation: Situation, strategy: Strategy) -> None:
    change_ = situation.change(strategy)
    assert list(change_.start) == sorted(change_.start)
    assert list(change_.stop) == sorted(change_.stop, reverse=True)


@given(situation=situations(), strategy=st.sampled_from(Strategy))
def test_who_failed_comes_again_and_nobody_runs_twice(situation: Situation, strategy: Strategy) -> None:
    change_ = situation.change(strategy)
    assert situation.failed in change_.start
    assert not (situation.up - set(change_.stop)) & set(change_.start)
