"""The Python of a page: its first block is a module of its own, the others are one test module."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

DOCS = Path(__file__).parents[3] / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """The Python of the page, each block behind as many empty lines as stand before it there."""
    text = page.read_text()
    return ["\n" * text.count("\n", 0, found.start(1)) + found[1] for found in _BLOCK.finditer(text)]


def carried_out(page: Path, name: str) -> dict[str, Any]:
    """Run the page: the first block as the module ``name``, whose names the others may import, or use as they are."""
    first, *rest = blocks(page)
    program = _module(page, name, [first], {})
    tests = _module(page, f"test_{name}", rest, vars(program))
    return {name: value for name, value in vars(tests).items() if name.startswith("test_")}


def _module(page: Path, name: str, sources: list[str], known: dict[str, Any]) -> ModuleType:
    made = ModuleType(name)
    vars(made).update({name: value for name, value in known.items() if not name.startswith("__")})
    made.__file__ = str(page)
    sys.modules[name] = made
    for source in sources:
        exec(compile(source, page, "exec"), vars(made))
    return made
