"""A run's journal as a test sees it: its steps, claims about them, and a readable account when a claim is wrong.

It is the same for ``testing.run`` and for a run of an ``Exchange``. Claims count the steps of the runs that were asked
for (``ctx.ask``, a model-driven agent as a tool) as well: ``never("refund")`` means that nobody on the way did it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trunkline.domain import codec
from trunkline.domain.approvals import parts_of
from trunkline.domain.journal import Entry, StepCancelled, StepCompleted, StepFailed, StepRetried, StepScheduled
from trunkline.domain.status import StepKind

_SHORT = 80  # characters of a value in an account
_INDENT = "  "


class _Anything:
    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING = _Anything()


@dataclass(slots=True)
class StepTaken:
    """One step: what was asked for, and what became of it. All values are JSON; ``kind`` is as in ``StepKind``."""

    key: str
    kind: str
    name: str
    args: Any = None
    value: Any = None
    error: dict[str, Any] | None = None
    attempts: int = 1
    cancelled: bool = False
    completed: bool = False

    def called(self, name: str) -> bool:
        """Whether claims about ``name`` are about this step. An approval goes by ``approve:`` and its name."""
        return name in (self.name, self._shown)

    @property
    def _shown(self) -> str:
        approval = parts_of(self.name)
        return self.name if approval is None else f"approve:{approval[0]}"

    def __str__(self) -> str:
        asked = "" if self.kind in (StepKind.LLM, StepKind.SLEEP) else f" {_short(self.args)}"
        tries = f" (attempt {self.attempts})" if self.attempts > 1 else ""
        return f"{self.kind} {self._shown}{asked} {self._became()}{tries}"

    def _became(self) -> str:
        if self.completed:
            return f"→ {_said(self.value) if self.kind == StepKind.LLM else _short(self.value)}"
        if self.error is not None:
            return f"✗ {self.error.get('type')}: {self.error.get('message')}"
        return "cancelled" if self.cancelled else "is open"


class Journal(list[Entry]):
    """The entries of one run, in their order. ``asked`` are the journals of the runs that it asked for, by step key.

    Claims raise ``AssertionError`` with all the steps that were; those about steps return the steps that they found.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        super().__init__(entries)
        self.asked: dict[str, Journal] = {}

    # --- what was ---------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> list[StepTaken]:
        """The run's own steps, in the order in which the handler asked for them."""
        taken: dict[str, StepTaken] = {}
        for entry in self:
            if isinstance(entry, StepScheduled):
                taken[entry.key] = StepTaken(entry.key, entry.kind, entry.name, entry.args)
            elif isinstance(entry, StepCompleted):
                taken[entry.key].value, taken[entry.key].completed = entry.value, True
            elif isinstance(entry, StepFailed):
                taken[entry.key].error = entry.error
            elif isinstance(entry, StepRetried):
                taken[entry.key].attempts = entry.attempt
            elif isinstance(entry, StepCancelled):
                taken[entry.key].cancelled = True
        return list(taken.values())

    @property
    def model_calls(self) -> int:
        """How many answers of a model the run, and those that it asked for, have had."""
        return sum(step.kind == StepKind.LLM and step.completed for step, _ in self._everything())

    # --- claims -----------------------------------------------------------------------------------------------------

    def completed(self, name: str, *, times: int | None = None, args: Any = ANYTHING) -> list[StepTaken]:
        """Steps of ``name`` (a tool, agent, signal, event type or function) completed.

        With ``times``, exactly so many did, and all of them with ``args``; else at least one of them with ``args``.
        Of arguments that are an object only the fields that ``args`` names are compared.

        Raises:
            AssertionError: it was not so.
        """
        __tracebackhide__ = True
        return self._claim("completed", name, lambda step: step.completed, times=times, args=args)

    def failed(
        self, name: str, *, times: int | None = None, args: Any = ANYTHING, error: str | None = None
    ) -> list[StepTaken]:
        """The same of steps that failed for good; ``error`` is the error's type, or a part of its message.

        Raises:
            AssertionError: it was not so.
        """
        __tracebackhide__ = True
        what = "failed" if error is None else f"failed with {error!r}"
        return self._claim(what, name, lambda step: _failed(step, error), times=times, args=args)

    def never(self, name: str) -> None:
        """Nobody even asked for a step of ``name``.

        Raises:
            AssertionError: somebody did.
        """
        __tracebackhide__ = True
        times = len(self._called(name))
        if times:
            raise AssertionError(f"{name} was asked for {_counted(times)}, and it never should be.{self._account()}")

    def in_order(self, *names: str) -> None:
        """For each of ``names`` there is a step that was asked for after the one before it had ended.

        Raises:
            AssertionError: it was not so.
        """
        __tracebackhide__ = True
        reached, before = 0, ""
        for name in names:
            after = f" after {before} had ended" if before else ""
            found = [ended for step, begun, ended in self._spans() if step.called(name) and begun >= reached]
            if not found:
                raise AssertionError(f"{name} was not asked for{after}.{self._account()}")
            if not any(found):
                raise AssertionError(f"{name} was asked for{after}, and has not ended.{self._account()}")
            reached, before = min(filter(None, found)), name

    def __str__(self) -> str:
        return "\n".join(f"{_INDENT * depth}{step}" for step, depth in self._everything()) or "no steps"

    # --- inside -----------------------------------------------------------------------------------------------------

    def _claim(
        self, what: str, name: str, holds: Callable[[StepTaken], bool], *, times: int | None, args: Any
    ) -> list[StepTaken]:
        __tracebackhide__ = True
        steps = [step for step in self._called(name) if holds(step)]
        fitting = [step for step in steps if _fits(step.args, args)]
        if times is not None and len(steps) != times:
            told = f"{name} {what} {_counted(len(steps))}, and it should be {_counted(times)}."
        elif not steps and times is None:
            told = f"{name} never {what}."
        elif (times is not None and len(fitting) < len(steps)) or (times is None and not fitting):
            wrong = next(step for step in steps if not _fits(step.args, args))
            told = f"{name} {what} with {_short(wrong.args)}, and not with {_short(codec.roundtrip(args))}."
        else:
            return fitting
        raise AssertionError(told + self._account())

    def _called(self, name: str) -> list[StepTaken]:
        return [step for step, _ in self._everything() if step.called(name)]

    def _everything(self, depth: int = 0) -> Iterator[tuple[StepTaken, int]]:
        """Each step with its depth: the steps of a run that was asked for stand below the step that asked."""
        for step in self.steps:
            yield step, depth
            if step.key in self.asked:
                yield from self.asked[step.key]._everything(depth + 1)  # noqa: SLF001 - it is another of these

    def _spans(self, begin: int = 1) -> list[tuple[StepTaken, int, int]]:
        """Each step with the places at which it was asked for and ended (0 while it is open), on one line of time."""
        steps, begun, at = {step.key: step for step in self.steps}, {}, begin
        spans: list[tuple[StepTaken, int, int]] = []
        for entry in self:
            at += 1
            if isinstance(entry, StepScheduled):
                begun[entry.key] = at
            elif isinstance(entry, StepCompleted | StepFailed | StepCancelled):
                inner = self.asked[entry.key]._spans(at) if entry.key in self.asked else []  # noqa: SLF001
                at = max((place for _, *places in inner for place in places), default=at) + 1
                spans += [*inner, (steps[entry.key], begun.pop(entry.key), at)]
        return [*spans, *((steps[key], place, 0) for key, place in begun.items())]

    def _account(self) -> str:
        return "\nThe steps were:\n" + "\n".join(f"{_INDENT}{line}" for line in str(self).splitlines())


def _failed(step: StepTaken, error: str | None) -> bool:
    if step.error is None:
        return False
    return error is None or error == step.error.get("type") or error in str(step.error.get("message"))


def _fits(found: Any, wanted: Any) -> bool:
    if wanted is ANYTHING:
        return True
    wanted = codec.roundtrip(wanted)
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(name in found and found[name] == value for name, value in wanted.items())
    return bool(found == wanted)


def _counted(times: int) -> str:
    return {1: "once", 2: "twice"}.get(times, f"{times} times")


def _said(reply: dict[str, Any]) -> str:
    """A model's answer: its text, and the tools that it calls."""
    calls = [f"{call['name']} {call['arguments']}" for call in reply.get("tool_calls") or ()]
    text = reply.get("text")
    return " and ".join([*([] if text is None and calls else [_short(text)]), *(f"calls {call}" for call in calls)])


def _short(value: Any) -> str:
    text = codec.dumps(value).decode()
    return text if len(text) <= _SHORT else text[:_SHORT] + "…"
