"""Whether an outcome that came too late says something else than what was recorded meanwhile."""

from __future__ import annotations

from trunkline.domain.journal import Entry, StepCancelled, StepCompleted, StepFailed, StepRetried
from trunkline.domain.work import Outcome


def contradiction(outcome: Outcome, recorded: Entry | None) -> str:
    """What ``outcome``, of an unsafe step that had its permit, contradicts; an empty text if nothing.

    ``recorded`` is the first entry after the permit that decided about the step.
    """
    took_effect = outcome.error is None
    if isinstance(recorded, StepCompleted):
        if not took_effect:
            return f"it is recorded as completed, by {recorded.worker}"
        return "" if recorded.value == outcome.value else f"another result is recorded, by {recorded.worker}"
    if not took_effect:
        return ""
    if isinstance(recorded, StepFailed):
        return f"it is recorded as failed, by {recorded.worker}"
    if isinstance(recorded, StepRetried):
        return f"it was tried again ({recorded.reason})"
    return "it was called off" if isinstance(recorded, StepCancelled) else ""
