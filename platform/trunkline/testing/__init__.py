"""What users' tests import: ``run`` carries out a handler without any server; ``OpenAIServer`` plays a model provider.

::

    outcome = await testing.run(orders, order, tools={"refund": receipt}, model=[Verdict(refund_cents=0)])
    assert outcome.output.refund_cents == 0
"""

from __future__ import annotations

from trunkline.testing.fakes import UnknownFake
from trunkline.testing.local_exchange import Endless, Stuck
from trunkline.testing.openai_server import OpenAIServer
from trunkline.testing.outcome import RunOutcome, StepTaken
from trunkline.testing.replies import HangUp, ModelSays, ProviderError, ToolCall
from trunkline.testing.running import run
from trunkline.testing.script import ScriptExhausted

__all__ = [
    "Endless",
    "HangUp",
    "ModelSays",
    "OpenAIServer",
    "ProviderError",
    "RunOutcome",
    "ScriptExhausted",
    "StepTaken",
    "Stuck",
    "ToolCall",
    "UnknownFake",
    "run",
]
