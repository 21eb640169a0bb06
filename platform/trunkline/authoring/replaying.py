"""Whether code fits what was recorded: a run is replayed offline, and nothing comes of it but the answer.

The handler runs in this process, fed with the outcomes that stand in the journal; no step is carried out, and nothing
is written. So a change can be held against real runs before it is deployed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from trunkline.authoring.agent import InstanceView
from trunkline.authoring.app import App
from trunkline.domain.errors import Diverged
from trunkline.domain.incarnation import BEGINNINGS
from trunkline.domain.journal import Entry, RunStarted
from trunkline.domain.specs import ModelSettings
from trunkline.engine.fold import InstanceState, fold
from trunkline.engine.replay import RunDriver


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a replay: ``difference`` is empty where the code does what the journal has."""

    run: str
    agent: str
    key: str
    difference: str = ""

    @property
    def fits(self) -> bool:
        return not self.difference


def replay(
    app: App,
    view: InstanceView,
    run: str,
    journal: Sequence[Entry],
    model: ModelSettings | None = None,
    *,
    onto: InstanceState | None = None,
) -> Replayed:
    """Replay the latest incarnation of ``run`` with the code of ``app``. ``view`` says which instance it is; what it
    was is folded from ``journal``, which is the whole journal, or what is behind a snapshot that came to ``onto``. A
    run of which nothing is recorded yet fits any code with its agent. ``model`` is what a model-driven agent's run
    began with; without it, it is what ``app`` declares.
    """
    verdict = Replayed(run, view.agent, view.key)
    agent = app.agents.get(view.agent)
    if agent is None:
        return replace(verdict, difference=f"{app!r} has no agent {view.agent!r}")
    begins = (RunStarted, *BEGINNINGS)
    place = max((n for n, one in enumerate(journal, 1) if one.run == run and isinstance(one, begins)), default=0)
    whole = fold(journal[:place], onto)
    then = whole.runs.get(run)
    if then is None:
        return verdict
    began = replace(view, state=then.state, conversation=whole.heard_by(then))
    body = partial(agent.coroutine, view=began, model=model)
    try:
        RunDriver.replay([one for one in journal[place:] if one.run == run], body, agent.name, then.life).close()
    except Diverged as error:
        return replace(verdict, difference=str(error.fields["difference"]))
    return verdict
