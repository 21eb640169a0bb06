"""Holds what was really done, as a ledger outside has it, against what the journals say was to be done."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from trunkline.domain.effects import Begun
from trunkline.domain.status import Effect, StepKind
from trunkline.engine.audit import Audit, AuditedStep

MOMENT = 0.25  # seconds from a worker's leave to begin to the beginning, in which an outcome may be recorded


class EffectsAudit:
    """``violations`` are sentences, ``repeated`` counts the executions beyond the first of a step, which may be."""

    def __init__(self, journals: Audit, begun: Sequence[Begun]) -> None:
        self.violations: list[str] = []
        self.repeated: Counter[str] = Counter()  # by the kind of step
        steps = journals.steps_by_key()
        by_key: defaultdict[str, list[Begun]] = defaultdict(list)
        for one in begun:
            by_key[one.key].append(one)
        for key, executions in by_key.items():
            step = steps.get(key)
            if step is None and journals.shortened:
                continue  # it may have been in what was removed
            if step is None:
                self.violations.append(f"the effect {key} has no step in any journal")
            else:
                self.repeated[step.kind] += len(executions) - 1
                self.violations += [f"step {step.name} ({key}): {wrong}" for wrong in _executions(step, executions)]
        self.violations += [
            f"step {step.name} ({key}): its result is recorded, and nobody carried it out"
            for key, step in steps.items()
            if step.kind == StepKind.TOOL and step.completed and not step.permitted and key not in by_key
        ]


def _executions(step: AuditedStep, begun: Sequence[Begun]) -> Iterator[str]:
    attempts = Counter(one.attempt for one in begun)
    for attempt, times in attempts.items():
        if attempt > step.attempt:
            yield f"attempt {attempt} was begun, and never issued"
        if step.effect == Effect.UNSAFE and times > 1:
            yield f"it is unsafe, and attempt {attempt} was begun {times} times"
        if step.effect == Effect.UNSAFE and attempt not in step.permitted:
            yield f"it is unsafe, and attempt {attempt} had no permit"
    if step.ended_at is not None:
        for one in begun:
            if one.at > step.ended_at + MOMENT:
                yield f"attempt {one.attempt} began {one.at - step.ended_at:.2f} s after its outcome was recorded"
