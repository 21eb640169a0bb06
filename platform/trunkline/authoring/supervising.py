"""Runs that belong together: the part of ``Context`` that spawns children, and watches how runs end."""

from __future__ import annotations

from typing import Any, TypeVar

from trunkline.authoring.agent_ref import AgentRef
from trunkline.authoring.branching import Branching
from trunkline.authoring.children import (
    ENDED,
    LINK,
    Child,
    Ended,
    OnParentEndName,
    check_child,
    nothing,
    run_of,
    spawn_step,
)
from trunkline.domain.status import OnParentEnd, StepKind
from trunkline.engine.step import Step

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


class Supervising(Branching):
    """A child is a run of its own: it goes on beside the one that spawned it, and outlives its crashes."""

    __slots__ = ()

    def spawn(
        self,
        agent: AgentRef[I, O],
        input: I,  # noqa: A002
        /,
        *,
        key: str | None = None,
        on_parent_end: OnParentEndName | OnParentEnd = "stop",
        link: bool = False,
    ) -> Step[Child[O]]:
        """Have another agent handle ``input``, and go on: its instance ``key``, or one of this step's own.

        The child is certain as soon as the step is recorded, and it is spawned once however often this runs again. When
        this run ends, in whatever way, a child is cancelled (``stop``) or goes on (``continue``); until then it has
        this run's deadline, if there is one. An ``orphan`` is no child: it has neither parent nor deadline. With
        ``link``, each of the two is cancelled when the other fails or is cancelled.

        Raises (at once):
            BadDeclaration: ``agent`` is not an agent, or ``on_parent_end`` no choice.
            BadInput, NotJson, BadKey: input or key are not usable.
        """
        return spawn_step(self, agent, input, key, on_parent_end, link=link)

    def monitor(self, run: Child[Any] | str, /) -> Step[Ended]:
        """How a run ended, once it has ended: completed, failed or cancelled. Of one that has ended, at once.

        ``run`` is what ``spawn`` returned, or the id of any run. That a run failed is no failure of this step.

        Raises (at once):
            BadDeclaration: ``run`` is neither, or it is this run.
        Raises (when awaited):
            StepError: there is no such run; ``type`` is ``UnknownRun``.
        """
        watched, name = run_of(self, run)
        return self.schedule(StepKind.MONITOR, name, {"run": watched}, decode=ENDED.decode)

    def link(self, child: Child[Any], /) -> Step[None]:
        """From here on this run and ``child`` are cancelled when the other one fails or is cancelled.

        Raises:
            BadDeclaration: ``child`` is not what ``spawn`` returned.
        """
        check_child("ctx.link", child)
        args = {"run": child.run, "agent": child.agent, "key": child.key}
        return self.schedule(StepKind.EMIT, LINK, args, decode=nothing)
