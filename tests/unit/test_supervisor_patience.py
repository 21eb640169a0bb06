"""When the same instance is woken again."""

from __future__ import annotations

from trunkline.supervisor.patience import Patience


def test_delays_double_up_to_the_longest() -> None:
    patience = Patience(2.0, 30.0)
    tries = []
    for now in range(150):
        if patience.due("i", float(now)):
            tries.append(now)
        patience.end_look()
    assert tries == [0, 2, 6, 14, 30, 60, 90, 120]


def test_what_is_not_found_again_is_forgotten() -> None:
    patience = Patience(2.0, 30.0)
    assert patience.due("a", 0.0)
    assert patience.due("b", 0.0)
    patience.end_look()
    assert not patience.due("a", 1.0)
    patience.end_look()
    assert len(patience) == 1
    assert patience.due("b", 1.5)
