"""What a scripted model is made to say, and in which pieces."""

from __future__ import annotations

import pytest

from trunkline import App, testing
from trunkline.testing import ModelSays

chat = App("saying").llm_agent("chat", model="m")


def test_text_is_cut_into_words_unless_the_test_cuts_it() -> None:
    assert ModelSays("Hello there").pieces == ["Hello ", "there"]
    said = ModelSays(chunks=("Hel", "lo th", "ere"))
    assert (said.text, said.pieces) == ("Hello there", ["Hel", "lo th", "ere"])
    assert ModelSays("ab", chunks=("a", "b")).pieces == ["a", "b"]


def test_chunks_of_another_text_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="has the text 'ab', and other chunks"):
        ModelSays("ab", chunks=("a", "c"))


async def test_a_run_hears_the_whole() -> None:
    assert (await testing.run(chat, "Hi", model=[ModelSays(chunks=("Hel", "lo"))])).output == "Hello"
