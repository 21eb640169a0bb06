"""Threads of synchronous tools: used again, bounded when they are stuck, and free again when they return."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from trunkline_workers.tool.threads import NoThreads, ToolThreads


@pytest.fixture
def threads() -> Iterator[ToolThreads]:
    threads = ToolThreads("t", 2)
    yield threads
    threads.shutdown()


def test_a_thread_is_used_again(threads: ToolThreads) -> None:
    names = {threads.submit(lambda: threading.current_thread().name).result(5) for _ in range(20)}
    assert names == {"t-1"}


def test_they_are_daemons_so_that_a_stuck_one_does_not_hold_up_the_end(threads: ToolThreads) -> None:
    assert threads.submit(lambda: threading.current_thread().daemon).result(5)


def test_what_is_raised_belongs_to_the_call_even_a_system_exit(threads: ToolThreads) -> None:
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        threads.submit(leave).result(5)
    assert threads.submit(lambda: 1).result(5) == 1


def test_stuck_threads_are_bounded_and_come_back(threads: ToolThreads) -> None:
    go_on = threading.Event()
    stuck = [threads.submit(go_on.wait, 30) for _ in range(2)]
    assert threads.stuck
    with pytest.raises(NoThreads, match="all 2 threads of t are stuck"):
        threads.submit(lambda: 1)
    go_on.set()
    assert [each.result(5) for each in stuck] == [True, True]
    assert threads.submit(lambda: 1).result(5) == 1
    assert threads.stuck == ""
