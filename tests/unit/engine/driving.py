"""A handler under a driver, told what happens by hand; what it does in answer comes back as short text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from trunkline.domain.journal import (
    CancelRequested,
    Entry,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunStarted,
    SignalReceived,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepScheduled,
)
from trunkline.engine.replay import RunDriver, RunResult, Step

Handler = Callable[[RunDriver], Awaitable[Any]]

STARTED = RunStarted("run", input={"n": [1]}, at=100.0, seed="seed", message_id="m")


def returning(handler: Handler) -> Any:
    """The body for a handler that returns its output only."""

    async def body(driver: RunDriver) -> RunResult:
        return RunResult(output=await handler(driver))

    return body


def tool(driver: RunDriver, name: str = "a", args: Any = None, **more: Any) -> Step[Any]:
    return driver.schedule("tool", name, args, **more)


def sleep(driver: RunDriver, name: str = "sleep") -> Step[Any]:
    return driver.schedule("sleep", name, options={"delay": 1.0})


def wait(driver: RunDriver, name: str) -> Step[Any]:
    return driver.schedule("wait", name, options={"timeout": None})


class Driven:
    """``journal`` has all entries so far; every method returns what the handler did, as ``told`` says it."""

    def __init__(self, handler: Handler, started: RunStarted = STARTED) -> None:
        self.handler = handler
        self.driver = RunDriver(started, returning(handler), agent="agent")
        self.journal: list[Entry] = [started]
        self.at = started.at
        self.driver.start()
        self.begun = self._take()

    def complete(self, key: str, value: Any = None) -> list[str]:
        return self.deliver(StepCompleted("run", key=key, value=value, at=self._later()))

    def fail(self, key: str, type_: str = "Broken", message: str = "it broke") -> list[str]:
        return self.deliver(StepFailed("run", key=key, error={"type": type_, "message": message}, at=self._later()))

    def signal(self, name: str, data: Any = None) -> list[str]:
        return self.deliver(SignalReceived("run", name=name, data=data, at=self._later(), message_id=f"s{self.at}"))

    def cancel(self, reason: str = "enough") -> list[str]:
        return self.deliver(CancelRequested("run", reason=reason, at=self._later()))

    def deliver(self, entry: Entry) -> list[str]:
        assert self.driver.deliver(entry)
        self.journal.append(entry)
        return self._take()

    @property
    def output(self) -> Any:
        last = self.journal[-1]
        assert isinstance(last, RunCompleted), last
        return last.output

    @property
    def error(self) -> dict[str, Any]:
        last = self.journal[-1]
        assert isinstance(last, RunFailed), last
        assert set(last.error) == {"type", "message", "retryable"}
        assert not last.error["retryable"]
        return last.error

    def _later(self) -> float:
        self.at += 1.0
        return self.at

    def _take(self) -> list[str]:
        commands = self.driver.take_commands()
        self.journal += commands
        return told(commands)


def told(entries: Sequence[Entry]) -> list[str]:
    return [_told(entry) for entry in entries]


def _told(entry: Entry) -> str:
    match entry:
        case StepScheduled():
            return f"asks {entry.key}"
        case StepCompleted():
            return f"has {entry.key}"
        case StepCancelled():
            return f"drops {entry.key}"
        case RunCompleted():
            return "completes"
        case RunFailed():
            return f"fails {entry.error['type']}"
        case RunCancelled():
            return f"is cancelled: {entry.reason}"
    raise AssertionError(entry)
