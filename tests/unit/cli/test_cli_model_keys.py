"""Which models are told of at the start, because nobody gave the key that they need."""

from __future__ import annotations

import pytest

from trunkline import App
from trunkline.cli.model_keys import missing
from trunkline.settings import Settings

app = App("models")
app.llm_agent("one", model="openai/gpt-5-mini", instructions="Answer.")
app.llm_agent("two", model="gemini/gemini-2.5-flash", instructions="Answer.")
app.llm_agent("three", model="somebody/unknown", instructions="Answer.")
app.llm_agent("four", model="gpt-5-mini", instructions="Answer.")

OPENAI, GEMINI = {"openai/gpt-5-mini": "OPENAI_API_KEY"}, {"gemini/gemini-2.5-flash": "GEMINI_API_KEY"}


@pytest.mark.parametrize(
    ("chosen", "environment", "told"),
    [
        ({}, {}, {**OPENAI, **GEMINI}),
        ({}, {"OPENAI_API_KEY": "k", "GEMINI_API_KEY": ""}, GEMINI),
        ({}, {"GOOGLE_API_KEY": "k"}, OPENAI),
        ({"model": "openai/gpt-5-mini"}, {}, OPENAI),
        ({"model": "ollama/llama"}, {}, {}),
        ({"model_api_base": "http://127.0.0.1:1/v1"}, {}, {}),
    ],
)
def test_a_model_without_its_key_is_told(
    chosen: dict[str, str], environment: dict[str, str], told: dict[str, str]
) -> None:
    agents, _ = app.specs()
    assert missing(agents, Settings(**chosen), environment) == told
