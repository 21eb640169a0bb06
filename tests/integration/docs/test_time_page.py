"""Every Python block of docs/time.md runs; the page's tests become tests of this module."""

from __future__ import annotations

import re

import pytest
from pages import DOCS, blocks, carried_out

from trunkline import Client

PAGE = DOCS / "time.md"
TESTS = carried_out(PAGE, "office")
globals().update(TESTS)


def test_the_page_has_tests() -> None:
    text = PAGE.read_text()
    assert len(TESTS) == len(re.findall(r"^async def test_", text, re.MULTILINE)) > 1
    assert len(blocks(PAGE)) == text.count("```python")


@pytest.mark.parametrize("name", ["schedules"])
def test_what_the_page_speaks_of_is_there(name: str) -> None:
    assert callable(getattr(Client, name))
    assert f"Client.{name}(" in PAGE.read_text()
