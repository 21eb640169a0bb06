"""Threads for synchronous tools: bounded, and never waited for at the end of the process.

A thread cannot be stopped. One that is stuck keeps its place here until its function returns, so that the others go on
in new threads, up to a limit; beyond it no more calls are taken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Job = Callable[[], None]


class NoThreads(Exception):
    """All threads are stuck."""


class ToolThreads(Executor):
    """At most ``most`` threads, made when they are needed. They are daemons: the process may end while one is stuck."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._busy = 0

    @property
    def stuck(self) -> str:
        """Why no function can be taken, or an empty string."""
        return f"all {self._most} threads of {self._name} are stuck" if self._busy >= self._most else ""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` in a thread, at once.

        Raises:
            NoThreads: all are taken.
        """
        future: Future[T] = Future()
        with self._lock:
            if self.stuck:
                raise NoThreads(self.stuck)
            self._busy += 1
            if self._busy > self._threads:
                self._threads += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()
        self._jobs.put(lambda: self._carry_out(future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - never waits
        """Let the threads end when they have nothing left to do."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # a thread that waits keeps nothing of its last call

    def _carry_out(self, future: Future[T], call: Callable[[], T]) -> None:
        result: Any = None
        raised: BaseException | None = None
        if future.set_running_or_notify_cancel():
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - it is the caller's; SystemExit, too, ends only the call
                raised = error
        with self._lock:
            self._busy -= 1
        if future.running():
            future.set_exception(raised) if raised is not None else future.set_result(result)


class Beginning(Executor):
    """``threads``, in which ``begin`` is called just before the function: what it raises is what comes of that."""

    def __init__(self, threads: Executor, begin: Callable[[], None]) -> None:
        self._threads, self._begin = threads, begin

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        def call() -> T:
            self._begin()
            return fn(*args, **kwargs)

        return self._threads.submit(call)
