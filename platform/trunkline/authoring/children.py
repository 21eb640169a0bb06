"""Runs that a run has spawned, and the ends of runs: ``ctx.spawn``, ``ctx.monitor`` and ``ctx.link`` give these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from trunkline.authoring.agent_ref import AgentRef
from trunkline.authoring.calls import check_agent
from trunkline.authoring.names import check_choice
from trunkline.authoring.schema import Shape
from trunkline.domain.errors import AskFailed, BadDeclaration
from trunkline.domain.ids import check_key, child_run_id
from trunkline.domain.status import OnParentEnd, StepKind
from trunkline.engine.step import Step

if TYPE_CHECKING:
    from trunkline.authoring.supervising import Supervising

O = TypeVar("O")  # noqa: E741

OnParentEndName = Literal["stop", "continue", "orphan"]
CANCEL_CHILD, LINK = "trunkline.cancel-child", "trunkline.link"


class Ended(BaseModel):
    """How a run ended. ``output`` is its JSON where it completed, ``error`` (``{"type", "message", …}``) where not."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    agent: str
    key: str
    run: str
    status: Literal["completed", "failed", "cancelled"]
    output: Any = None
    error: dict[str, Any] | None = None

    @property
    def completed(self) -> bool:
        return self.status == "completed"


ENDED: Shape[Ended] = Shape(Ended, target="the end of a run")


class Child(Generic[O]):
    """A run that this one has spawned: a handle, which is as good as the address in it."""

    def __init__(self, ctx: Supervising, agent: AgentRef[Any, O], key: str, run: str) -> None:
        self._ctx = ctx
        self._agent = agent
        self.agent = agent.name
        self.key = key
        self.run = run

    def __repr__(self) -> str:
        return f"<child {self.agent}/{self.key}, run {self.run}>"

    def ended(self) -> Step[Ended]:
        """How the run ended, once it has: the same as ``ctx.monitor(child)``."""
        return self._ctx.monitor(self)

    def result(self) -> Step[O]:
        """What the run returned, once it has.

        Raises (when awaited):
            AskFailed: it failed or was cancelled.
        """
        return self._ctx.apart("result", self._result())

    def cancel(self, reason: str = "cancelled by its parent") -> Step[None]:
        """Cancel the run. That is certain as soon as it is recorded; the run has ended when ``ended`` says so."""
        args = {"run": self.run, "agent": self.agent, "key": self.key, "reason": str(reason)}
        return self._ctx.schedule(StepKind.EMIT, CANCEL_CHILD, args, decode=nothing)

    async def _result(self) -> O:
        monitor = self.ended()
        end = await monitor
        if not end.completed:
            error = end.error or {}
            type_, message = str(error.get("type", "Error")), str(error.get("message", ""))
            raise AskFailed(key=monitor.key, type=type_, message=message)
        return self._agent.output.decode(end.output)


def spawn_step(
    ctx: Supervising,
    agent: AgentRef[Any, O],
    value: Any,
    key: str | None,
    on_parent_end: OnParentEndName | OnParentEnd,
    *,
    link: bool,
    restart: bool = True,
) -> Step[Child[O]]:
    """The step that spawns a run. Without ``restart`` the agent's own policy does not begin it again."""
    check_agent(agent, "ctx.spawn")
    end = check_choice("ctx.spawn", "on_parent_end", OnParentEnd, on_parent_end)
    options: dict[str, Any] = {"agent": agent.name, "key": key, "on_parent_end": str(end)}
    if link:
        options["link"] = True
    if not restart:
        options["restart"] = False
    if key is not None:
        check_key(key)

    def child(run: Any) -> Child[O]:
        return Child(ctx, agent, options["key"], str(run))

    step = ctx.schedule(StepKind.SPAWN, agent.name, agent.input.encode(value), options=options, decode=child)
    if key is None:
        options["key"] = f"spawn-{child_run_id(ctx.run_id, step.key)}"  # the step's own key is known only now
    return step


def run_of(ctx: Supervising, watched: object) -> tuple[str, str]:
    """The run, and the name of the step, that ``ctx.monitor`` is to watch.

    Raises:
        BadDeclaration: ``watched`` is neither a child nor a run's id, or it is the caller itself.
    """
    fix = "Pass what ctx.spawn returned, or the id of a run"
    if isinstance(watched, Child):
        return watched.run, watched.agent
    if not isinstance(watched, str):
        raise BadDeclaration(what="ctx.monitor", reason=f"{watched!r:.100} is no run", fix=fix)
    if watched == ctx.run_id:
        raise BadDeclaration(what="ctx.monitor", reason="a run cannot wait for its own end", fix=fix)
    return watched, "run"


def check_child(what: str, child: object) -> None:
    """Raises ``BadDeclaration`` for what is not a child."""
    if not isinstance(child, Child):
        fix = "Pass what ctx.spawn returned"
        raise BadDeclaration(what=what, reason=f"{child!r:.100} is not a child", fix=fix)


def nothing(_: Any) -> None:
    return None
