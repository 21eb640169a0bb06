"""Carrying out one attempt of a step in ``testing.run``, as a tool, LLM or agent worker would."""

from __future__ import annotations

from typing import Any

from trunkline.authoring.tool_context import ToolContext
from trunkline.domain.errors import BadInput, BadOutput, NotJson
from trunkline.domain.ids import derived_id
from trunkline.domain.journal import Entry, StepCompleted, StepFailed, StepRetried
from trunkline.domain.specs import RetryPolicy
from trunkline.domain.status import StepKind
from trunkline.engine.ending import describe
from trunkline.engine.replay import OpenStep
from trunkline.engine.retry import next_delay
from trunkline.testing.fakes import Toolkit
from trunkline.testing.local_run import LocalRun
from trunkline.testing.script import ScriptedModel, ScriptExhausted

_FINAL = (BadInput, BadOutput, NotJson)


class LocalWorker:
    """Tools from ``toolkit``, model calls from ``model``, local steps by calling them."""

    def __init__(self, toolkit: Toolkit, model: ScriptedModel) -> None:
        self._toolkit = toolkit
        self._model = model

    async def attempt(self, run: LocalRun, open_: OpenStep, at: float) -> Entry:
        """What becomes of the step's current attempt: its outcome, or a further attempt.

        Raises:
            ScriptExhausted: the model's script is at its end; that is the test's fault, and not the handler's to see.
        """
        step = open_.scheduled
        try:
            value = await self._carry_out(run, open_)
        except ScriptExhausted:
            raise
        except Exception as error:  # noqa: BLE001  (whatever the tool or the test's fake raises)
            return self._failed(run, open_, error, at)
        return StepCompleted(step.run, key=step.key, value=value, at=at, attempt=open_.attempt)

    async def _carry_out(self, run: LocalRun, open_: OpenStep) -> Any:
        step = open_.scheduled
        payload = run.driver.payload(step.key)
        if step.kind == StepKind.LOCAL:
            return await payload.run()
        if step.kind == StepKind.LLM:
            return self._model.reply(payload)
        if not self._toolkit.is_fake(step.name):
            run.outcome.real.add(step.name)
        return await self._toolkit.call(step.options["app"], payload, _context(run, open_))

    def _failed(self, run: LocalRun, open_: OpenStep, error: Exception, at: float) -> Entry:
        step, attempt = open_.scheduled, open_.attempt
        retryable = not isinstance(error, _FINAL) and getattr(error, "retryable", True) is not False
        failure = {**describe(error), "retryable": retryable}
        policy = RetryPolicy.model_validate(step.options.get("retry") or {})
        delay = next_delay(policy, attempt, f"{run.started.seed}:{step.key}") if retryable else None
        if delay is None:
            return StepFailed(step.run, key=step.key, error=failure, at=at, attempt=attempt)
        return StepRetried(step.run, key=step.key, attempt=attempt + 1, reason="failed", delay=delay, error=failure)


def _context(run: LocalRun, open_: OpenStep) -> ToolContext:
    step = open_.scheduled
    return ToolContext(
        idempotency_key=derived_id("step", step.run, step.key),
        attempt=open_.attempt,
        tool=step.name,
        run_id=step.run,
        step=step.key,
        tenant=run.after.tenant,
        agent=run.agent.name,
    )
