"""Carrying out one model call: the stream is read to its end, shown as it comes, and assembled."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

from trunkline.bus.connection import Bus
from trunkline.domain.errors import TrunklineError
from trunkline.observe import logs
from trunkline.settings import Settings
from trunkline_workers.execution import Execution, HandBack, Result, Station
from trunkline_workers.failures import failure_of
from trunkline_workers.llm.assemble import Answer
from trunkline_workers.llm.errors import Truncated, failure_of_call
from trunkline_workers.llm.reading import chunks_of
from trunkline_workers.llm.request import constrain, model_of, request
from trunkline_workers.llm.tokens import TokenStream
from trunkline_workers.llm.turns import Turns
from trunkline_workers.llm.usage import Prices

log = logs.get("llm")


def station(pool: str, gate: asyncio.Semaphore, caller: Caller, settings: Settings) -> Station:
    """Where the calls of ``pool`` are carried out; all pools of a worker share ``gate``."""
    return Station("llm", pool, caller, gate, settings.llm_concurrency)


class Caller:
    """Model calls through litellm."""

    def __init__(self, litellm: Any, bus: Bus, settings: Settings) -> None:
        self._litellm, self._bus, self._settings = litellm, bus, settings
        self._prices = Prices(litellm)
        self._turns = Turns()

    async def __call__(self, execution: Execution) -> Result:
        answer, tokens = Answer(), TokenStream(self._bus, execution.item)
        try:
            stream = await self._turns.paced(self._call(execution, answer, tokens))
        except HandBack:
            raise
        except TrunklineError as error:
            return Result(error=failure_of(error))
        except asyncio.CancelledError:
            if execution.stopped:
                raise
            return Result(error=failure_of_call(ConnectionError("the provider's client gave up")))
        except Exception as error:  # noqa: BLE001 - whatever a provider's client raises is the call's failure
            failed = failure_of_call(error)
            log.warning("the model call failed", attempt=execution.item.attempt, **failed)
            return Result(error=failed, usage=self._usage(execution, answer) if answer.usage else None)
        finally:
            tokens.flush()
        return Result(answer.value, usage=self._usage(execution, answer, stream))

    async def _call(self, execution: Execution, answer: Answer, tokens: TokenStream) -> Any:
        """Ask, and read to the end; litellm's stream."""
        call = request(execution.item, execution.args, self._settings)
        if wanted := execution.args.get("response_format"):
            constrain(call, wanted, self._supported(call))
        execution.begin()
        stream = await self._litellm.acompletion(**call)
        async with aclosing(chunks_of(self._litellm, stream)) as chunks:  # closed, cancelled or not
            async for chunk in chunks:
                text = answer.take(chunk)
                if text:
                    tokens.add(text)
        if _truncated(stream):
            raise Truncated("the provider ended the stream before its answer was complete")
        return stream

    def _supported(self, call: dict[str, Any]) -> list[str]:
        provider = call.get("custom_llm_provider")
        model = call["model"]
        if provider is None:
            model, provider, *_ = self._litellm.get_llm_provider(model)
        return list(self._litellm.get_supported_openai_params(model, custom_llm_provider=provider) or ())

    def _usage(self, execution: Execution, answer: Answer, stream: Any = None) -> dict[str, Any]:
        model = model_of(execution.args, self._settings)
        return self._prices.usage_of(model, answer.usage, time.monotonic() - execution.began_at, stream)


def _truncated(stream: Any) -> bool:
    """litellm makes up a finish reason (and counts tokens itself) when a stream ends without one."""
    names = ("received_finish_reason", "intermittent_finish_reason")
    found = [getattr(stream, name) for name in names if hasattr(stream, name)]
    return bool(found) and not any(found)
