"""Declarations of teams that cannot be, and spawns and monitors of what is none."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import App, BadDeclaration, BadInput, Context, Member, RestartPolicy
from trunkline.domain.status import Restart

app = App("declared")


@app.agent("worker")
async def worker(ctx: Context, number: int) -> int:
    return number


@app.tool
async def tool(number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"members": []}, "not a list of Member"),
        ({"members": [worker]}, "not a list of Member"),
        ({"members": [Member(worker, 1), Member(worker, 2)]}, "two members have the name 'worker'"),
        ({"strategy": "none_for_all"}, "strategy='none_for_all'"),
        ({"max_restarts": -1}, "max_restarts"),
        ({"within": 0}, "within= is zero"),
        ({"shutdown": "soon"}, "shutdown="),
        ({"on_busy": "shout"}, "on_busy='shout'"),
    ],
)
def test_a_team_that_cannot_be(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(BadDeclaration, match=told):
        App("other").team("team", **{"members": [Member(worker, 1)], **wrong})


def test_a_member_that_cannot_be() -> None:
    with pytest.raises(BadDeclaration, match="not an agent"):
        Member(tool, 1)  # type: ignore[arg-type]
    with pytest.raises(BadDeclaration, match="restart='sometimes'"):
        Member(worker, 1, restart="sometimes")  # type: ignore[arg-type]
    with pytest.raises(BadInput):
        Member(worker, "one")  # type: ignore[arg-type]


def test_what_a_member_is_given() -> None:
    of_team = Member(worker, lambda number: number + 1, name="next", key=lambda number: f"k{number}")
    assert (of_team.input_for(1), of_team.key_for(1, "run")) == (2, "k1")
    plain = Member(worker, 5)
    assert (plain.name, plain.input_for(1), plain.key_for(1, "run")) == ("worker", 5, "run-worker")
    assert plain.restart.restart is Restart.PERMANENT


def test_a_member_with_a_policy_of_its_own() -> None:
    team = App("third").team("team", members=[Member(worker, 1)], max_restarts=7, within="2m", input=int)
    assert team.spec.description == "a team of worker"
    own = RestartPolicy(restart=Restart.TRANSIENT, max_restarts=1)
    assert Member(worker, 1, restart=own).restart == own
