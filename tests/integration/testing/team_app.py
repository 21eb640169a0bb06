"""Teams of workers that end when they are told to, and note in a ledger outside when they begin and when they stop."""

from __future__ import annotations

from typing import Any

from trunkline import App, Context, Member, RestartPolicy, RunCancelled

app = App("teams")
go = app.signal("go", str)
released = app.signal("released", str)

noted: list[str] = []


@app.agent("hand")
async def hand(ctx: Context, name: str) -> str:
    """Works until it is told how to end; cancelled, it notes that."""
    await ctx.step(note, f"+{name}")
    try:
        word = await ctx.wait_for(go)
    except RunCancelled:
        await ctx.step(note, f"-{name}")
        raise
    if word == "fail":
        raise ValueError(f"{name} was told to")
    return f"{name} {word}"


@app.agent("stubborn")
async def stubborn(ctx: Context, name: str) -> str:
    """Does not let itself be stopped."""
    try:
        await ctx.wait_for(go)
    except RunCancelled:
        await ctx.wait_for(released)
    return name


def note(word: str) -> str:
    noted.append(word)
    return word


def key_of(name: str) -> Any:
    return lambda team: f"{team}-{name}"


def three(prefix: str = "", restart: Any = "transient", agent: Any = hand) -> list[Member[Any]]:
    return [Member(agent, name, name=name, key=key_of(prefix + name), restart=restart) for name in "abc"]


single = app.team("single", members=three(), strategy="one_for_one", input=str)
rest = app.team("rest", members=three(), strategy="rest_for_one", input=str)
whole = app.team("whole", members=three(), strategy="one_for_all", input=str)
lasting = app.team("lasting", members=three(restart="permanent"), max_restarts=2, within="10m", input=str)
mixed = app.team(
    "mixed",
    members=[
        Member(hand, "a", name="a", key=key_of("a"), restart="transient"),
        Member(hand, "b", name="b", key=key_of("b"), restart="temporary"),
        Member(
            hand,
            lambda team: f"c of {team}",
            name="c",
            key=key_of("c"),
            restart=RestartPolicy(restart="transient", max_restarts=0),  # type: ignore[arg-type]
        ),
    ],
    strategy="one_for_all",
    input=str,
)
slow = app.team(
    "slow",
    members=[*three()[:1], Member(stubborn, "s", key=key_of("s"), restart="transient")],
    strategy="one_for_all",
    shutdown="1m",
    input=str,
)
inner = app.team("inner", members=three(restart="permanent")[:1], max_restarts=0, input=str)
outer = app.team(
    "outer",
    members=[Member(inner, lambda team: team, name="inner", restart="permanent")],
    max_restarts=1,
    within="1h",
    input=str,
)
