"""Whether code fits what was recorded: a run is replayed offline, and nothing comes of it but the answer.

The handler runs in this process, fed with the outcomes that stand in the journal; no step is carried out, and nothing
is written. So a change can be held against real runs before it is deployed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile

from trunkline.authoring.agent import InstanceView
from trunkline.authoring.app import App
from trunkline.domain.errors import Diverged
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
    app: App, view: InstanceView, run: str, journal: Sequence[Entry], model: ModelSettings | None = None
) -> Replayed:
    """Replay ``run`` with the code of ``app``. ``view`` is its instance as it was before ``journal``, which is the
    whole journal, or what is behind a snapshot. A run of which nothing is recorded yet fits any code with its agent.
    ``model`` is what a model-driven agent's run began with; without it, it is what ``app`` declares.
    """
    verdict = Replayed(run, view.agent, view.key)
    agent = app.agents.get(view.agent)
    if agent is None:
        return replace(verdict, difference=f"{app!r} has no agent {view.agent!r}")
    onto = InstanceState(view.state, view.conversation)
    before = fold(takewhile(lambda entry: not (isinstance(entry, RunStarted) and entry.run == run), journal), onto)
    entries = [entry for entry in journal if entry.run == run]
    if not entries:
        return verdict
    then = replace(view, state=before.state, conversation=before.conversation)
    try:
        RunDriver.replay(entries, partial(agent.coroutine, view=then, model=model), agent=agent.name).close()
    except Diverged as error:
        return replace(verdict, difference=str(error.fields["difference"]))
    return verdict
