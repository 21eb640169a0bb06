"""Every Python block of docs/testing.md runs: the first is the module ``shop``, the others are one test module.

The page's tests become tests of this module, so that pytest runs them as a reader's.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    """The Python of the page, each block behind as many empty lines as stand before it there."""
    text = PAGE.read_text()
    return ["\n" * text.count("\n", 0, found.start(1)) + found[1] for found in _BLOCK.finditer(text)]


def module(name: str, sources: list[str]) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = str(PAGE)
    sys.modules[name] = made
    for source in sources:
        exec(compile(source, PAGE, "exec"), vars(made))
    return made


SHOP, *REST = blocks()
module("shop", [SHOP])
TESTS = {name: value for name, value in vars(module("test_shop", REST)).items() if name.startswith("test_")}
globals().update(TESTS)


def test_the_page_has_tests() -> None:
    assert len(TESTS) == len(re.findall(r"^async def test_", PAGE.read_text(), re.MULTILINE)) > 10


def test_every_block_is_found() -> None:
    assert len(REST) + 1 == PAGE.read_text().count("```python")


@pytest.mark.parametrize("name", ["settle", "skip", "approve", "crash", "journal"])
def test_what_the_page_speaks_of_is_there(name: str) -> None:
    from trunkline.testing import Exchange

    assert callable(getattr(Exchange, name))
    assert f"tl.{name}(" in PAGE.read_text()
