"""Every Python block of docs/supervision.md runs; the page's tests become tests of this module."""

from __future__ import annotations

import re

from pages import DOCS, blocks, carried_out

PAGE = DOCS / "supervision.md"
TESTS = carried_out(PAGE, "newsroom")
globals().update(TESTS)


def test_the_page_has_tests() -> None:
    text = PAGE.read_text()
    assert len(TESTS) == len(re.findall(r"^async def test_", text, re.MULTILINE)) > 1
    assert len(blocks(PAGE)) == text.count("```python")
