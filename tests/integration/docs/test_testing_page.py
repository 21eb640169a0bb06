"""Every Python block of docs/testing.md runs: the first is the module ``shop``, the others are one test module.

The page's tests become tests of this module, so that pytest runs them as a reader's.
"""

from __future__ import annotations

import re

import pytest
from pages import DOCS, blocks, carried_out

PAGE = DOCS / "testing.md"
TESTS = carried_out(PAGE, "shop")
globals().update(TESTS)


def test_the_page_has_tests() -> None:
    assert len(TESTS) == len(re.findall(r"^async def test_", PAGE.read_text(), re.MULTILINE)) > 10


def test_every_block_is_found() -> None:
    assert len(blocks(PAGE)) == PAGE.read_text().count("```python")


@pytest.mark.parametrize("name", ["settle", "skip", "approve", "crash", "journal"])
def test_what_the_page_speaks_of_is_there(name: str) -> None:
    from trunkline.testing import Exchange

    assert callable(getattr(Exchange, name))
    assert f"tl.{name}(" in PAGE.read_text()
