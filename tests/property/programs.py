"""Random handlers: a program is a small tree, interpreted by a coroutine that uses the driver as ``Context`` does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from trunkline.domain.errors import RunCancelled, StepError
from trunkline.engine.replay import Continuation, RunDriver, RunResult, Step


@dataclass(frozen=True)
class Node:
    """``op`` with its children; ``name`` is the step's, ``number`` an argument."""

    op: str
    name: str = ""
    number: int = 0
    children: tuple[Node, ...] = ()


STEPS = ("tool", "local", "llm", "agent", "wait", "sleep", "emit", "spawn", "monitor")
JOINS = (
    "seq",
    "gather",
    "race",
    "try",
    "late",
    "map",
    "shield",
    "cleanup",
    "timeout",
    "branch",
    "nested",
    "shared",
    "first",
)

OTHERS = ("random", "uuid", "now", "raise", "keyed", "handles", "anew")

names = st.sampled_from(["a", "b", "c"])
leaves = st.one_of(
    st.builds(Node, st.sampled_from(STEPS), names, st.integers(0, 3)),
    st.builds(Node, st.just("wait"), names, st.integers(0, 3)),
    st.builds(Node, st.sampled_from(OTHERS), names, st.integers(0, 3)),
)
programs = st.recursive(
    leaves,
    lambda inner: st.builds(
        Node, st.sampled_from(JOINS), names, st.integers(1, 3), st.lists(inner, min_size=1, max_size=4).map(tuple)
    ),
    max_leaves=12,
)


class Anew(BaseException):
    """The program wants to begin anew, wherever in it this is raised."""


def body_of(program: Node) -> Callable[[RunDriver], Coroutine[Any, Any, Any]]:
    """A handler that interprets ``program``; all that it has seen is its output, or its next input."""

    async def body(driver: RunDriver) -> RunResult | Continuation:
        seen: list[Any] = [driver.started.input]
        try:
            value = await interpret(driver, program, seen)
        except Anew:
            return Continuation(input=seen, conversation=[{"seen": len(seen)}])
        return RunResult(output={"value": value, "seen": seen, "now": driver.now}, conversation=[{"seen": len(seen)}])

    return body


async def interpret(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    value = await _OPS[node.op](driver, node, seen)
    seen.append([node.op, value])
    return value


def _ask(driver: RunDriver, node: Node, kind: str) -> Step[Any]:
    return driver.schedule(kind, node.name, {"number": node.number}, options={"timeout": node.number or None})


async def _step(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    return await _ask(driver, node, node.op)


async def _keyed(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    try:
        return await driver.schedule("tool", "keyed", {"number": node.number}, key=node.name)
    except Exception as error:  # noqa: BLE001 — a key that was used before
        return type(error).__name__


async def _handles(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    """Plain handles in groups, one of them twice."""
    first, second = _ask(driver, node, "tool"), _ask(driver, node, "sleep")
    if node.number % 2:
        return list(await driver.gather([first, second, first]))
    return await driver.race([second, first])


async def _derived(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    if node.op == "now":
        return driver.now
    return str(driver.uuid()) if node.op == "uuid" else driver.random.random()


async def _raise(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    raise ValueError(f"as the program says: {node.name}")


async def _anew(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    if driver.life.number <= node.number:
        raise Anew
    return driver.life.number


async def _seq(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    return [await interpret(driver, child, seen) for child in node.children]


def _branches(driver: RunDriver, node: Node, seen: list[Any]) -> list[Coroutine[Any, Any, Any]]:
    return [interpret(driver, child, seen) for child in node.children]


async def _gather(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    return list(await driver.gather(_branches(driver, node, seen)))


async def _late(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    """Handles made first and awaited later, beside branches; one is never awaited."""
    first = _ask(driver, node, "tool")
    _ask(driver, node, "llm")
    joined = driver.gather(_branches(driver, node, seen))
    return [await first, list(await joined)]


async def _race(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    race = driver.race(_branches(driver, node, seen))
    return [await race, race.winner]


async def _timeout(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    """A group against a clock."""
    race = driver.race([driver.gather(_branches(driver, node, seen)), _ask(driver, node, "sleep")])
    value = await race
    return [list(value) if isinstance(value, tuple) else value, race.winner]


async def _nested(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    """Groups of groups."""
    inner = driver.gather(_branches(driver, node, seen))
    other = driver.race([driver.gather([]), _ask(driver, node, "tool")])
    return [list(value) for value in await driver.gather([inner, driver.gather([other])])]


async def _shared(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    """One handle awaited in several branches, and raced in another."""
    step = _ask(driver, node, "tool")

    async def look() -> Any:
        try:
            return await step
        except StepError as error:
            return error.type

    others = _branches(driver, node, seen)
    return list(await driver.gather([look(), driver.race([step, _ask(driver, node, "sleep")]), look(), *others]))


async def _first(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    """Waits for any of several, one after the other, and loses none; all of it against a branch."""

    async def each() -> Any:
        steps = [_ask(driver, node, kind) for kind in ("monitor", "tool", "sleep")]
        order: list[Any] = []
        while left := [step for step in steps if step.key not in order]:
            await driver.first(left)
            order += [step.key for step in left if step.done]
        return order

    return list(await driver.gather([each(), *_branches(driver, node, seen)]))


async def _branch(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    branches = [driver.branch(node.name, coroutine) for coroutine in _branches(driver, node, seen)]
    return [await branch for branch in branches[::-1]]


async def _try(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    try:
        return await _seq(driver, node, seen)
    except (StepError, ValueError) as error:
        return f"caught {error}"


async def _shield(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    """Swallows the first cancellation and does more."""
    try:
        return await _gather(driver, node, seen)
    except RunCancelled as cancelled:
        return [cancelled.reason, await _ask(driver, node, "tool")]


async def _cleanup(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    """Tries to work while it is cancelled or closed; in a closed branch it may not."""
    try:
        return await _seq(driver, node, seen)
    finally:
        seen.append(["cleaning", driver.now])
        await _ask(driver, node, "tool")


async def _map(driver: RunDriver, node: Node, seen: list[Any]) -> Any:
    async def one(item: int) -> Any:
        return [item, await interpret(driver, node.children[item % len(node.children)], seen)]

    return await driver.map(one, range(len(node.children) + node.number), node.number)


_OPS = {
    **dict.fromkeys(STEPS, _step),
    **dict.fromkeys(["random", "uuid", "now"], _derived),
    "raise": _raise, "anew": _anew, "keyed": _keyed, "handles": _handles, "seq": _seq, "gather": _gather, "race": _race,
    "late": _late, "timeout": _timeout, "nested": _nested, "shared": _shared, "branch": _branch, "try": _try,
    "shield": _shield, "cleanup": _cleanup, "map": _map, "first": _first,
}  # fmt: skip
