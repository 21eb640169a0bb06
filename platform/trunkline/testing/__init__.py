"""What users' tests import: ``run`` carries out a handler without any server; ``Exchange`` is a whole exchange for one
test; ``OpenAIServer`` plays a model provider. ``docs/testing.md`` is the way in.

::

    outcome = await testing.run(orders, order, tools={"refund": receipt}, model=[Verdict(refund_cents=0)])
    outcome.journal.never("refund")

Each name is loaded when it is first used: pytest loads this package whenever it starts (``plugin``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.testing.exchange import Exchange, ExchangeFactory
    from trunkline.testing.fakes import UnknownFake
    from trunkline.testing.journal import Journal, StepTaken
    from trunkline.testing.local_exchange import Endless, Stuck
    from trunkline.testing.openai_server import OpenAIServer
    from trunkline.testing.outcome import RunOutcome
    from trunkline.testing.passing import TooFar
    from trunkline.testing.replies import HangUp, ModelSays, ProviderError, ToolCall
    from trunkline.testing.running import run
    from trunkline.testing.script import ScriptExhausted

__all__ = [
    "Endless",
    "Exchange",
    "ExchangeFactory",
    "HangUp",
    "Journal",
    "ModelSays",
    "OpenAIServer",
    "ProviderError",
    "RunOutcome",
    "ScriptExhausted",
    "StepTaken",
    "Stuck",
    "TooFar",
    "ToolCall",
    "UnknownFake",
    "run",
]

_ROOMS = {
    "Endless": "local_exchange",
    "Exchange": "exchange",
    "ExchangeFactory": "exchange",
    "HangUp": "replies",
    "Journal": "journal",
    "ModelSays": "replies",
    "OpenAIServer": "openai_server",
    "ProviderError": "replies",
    "RunOutcome": "outcome",
    "ScriptExhausted": "script",
    "StepTaken": "journal",
    "Stuck": "local_exchange",
    "TooFar": "passing",
    "ToolCall": "replies",
    "UnknownFake": "fakes",
    "run": "running",
}


def __getattr__(name: str) -> Any:
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value
