"""Random handlers: a program is a small tree, interpreted by a coroutine that uses the driver as ``Context`` does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from trunkline.domain.errors import StepError
from trunkline.domain.status import StepKind
from trunkline.engine.replay import RunDriver


@dataclass(frozen=True)
class Node:
    """``op`` with its children; ``name`` is the step's, ``number`` an argument."""

    op: str
    name: str = ""
    number: int = 0
    children: tuple[Node, ...] = ()


names = st.sampled_from(["a", "b", "c"])
leaves = st.one_of(
    st.builds(Node, st.sampled_from(["tool", "local", "wait", "sleep", "emit"]), names),
    st.builds(Node, st.sampled_from(["random", "uuid", "now", "raise"])),
    st.builds(Node, st.just("map"), names, st.integers(0, 4)),
)
programs = st.recursive(
    leaves,
    lambda inner: st.builds(
        Node,
        st.sampled_from(["seq", "gather", "race", "try", "branches"]),
        names,
        st.integers(1, 3),
        st.lists(inner, min_size=1, max_size=4).map(tuple),
    ),
    max_leaves=12,
)


def body_of(program: Node) -> Callable[[RunDriver], Coroutine[Any, Any, Any]]:
    async def body(driver: RunDriver) -> Any:
        return await interpret(driver, program)

    return body


async def interpret(driver: RunDriver, node: Node) -> Any:
    return await _OPS[node.op](driver, node)


async def _step(driver: RunDriver, node: Node) -> Any:
    return await driver.schedule(StepKind(node.op), node.name, {"number": node.number})


async def _random(driver: RunDriver, node: Node) -> Any:
    if node.op == "now":
        return driver.now
    return str(driver.uuid()) if node.op == "uuid" else driver.random.random()


async def _raise(driver: RunDriver, node: Node) -> Any:
    raise ValueError("as the program says")


async def _seq(driver: RunDriver, node: Node) -> Any:
    return [await interpret(driver, child) for child in node.children]


async def _gather(driver: RunDriver, node: Node) -> Any:
    return list(await driver.gather([interpret(driver, child) for child in node.children]))


async def _handles(driver: RunDriver, node: Node) -> Any:
    """Handles made first and awaited later, beside a branch."""
    first = driver.schedule(StepKind.TOOL, node.name, None)
    joined = driver.gather([interpret(driver, child) for child in node.children])
    return [await first, list(await joined)]


async def _race(driver: RunDriver, node: Node) -> Any:
    return await driver.race([interpret(driver, child) for child in node.children])


async def _try(driver: RunDriver, node: Node) -> Any:
    try:
        return await _seq(driver, node)
    except (StepError, ValueError) as error:
        return f"caught {type(error).__name__}"


async def _map(driver: RunDriver, node: Node) -> Any:
    async def one(item: int) -> Any:
        return await driver.schedule(StepKind.TOOL, node.name, {"item": item})

    return await driver.map(one, list(range(node.number)), 2)


_OPS = {
    "tool": _step, "local": _step, "wait": _step, "sleep": _step, "emit": _step,
    "random": _random, "uuid": _random, "now": _random, "raise": _raise,
    "seq": _seq, "gather": _gather, "branches": _handles, "race": _race, "try": _try, "map": _map,
}  # fmt: skip
