"""Every Python block of docs/supervision.md runs; the page's tests become tests of this module."""

from __future__ import annotations

import re

from pages import DOCS, blocks, carried_out

from trunkline import RestartPolicy
from trunkline.domain.status import Restart
from trunkline.engine.restart import EXHAUSTED
from trunkline.observe import metrics

PAGE = DOCS / "supervision.md"
TESTS = carried_out(PAGE, "supervised")
globals().update(TESTS)


def test_the_page_has_tests() -> None:
    text = PAGE.read_text()
    assert len(TESTS) == len(re.findall(r"^async def test_", text, re.MULTILINE)) > 2
    assert len(blocks(PAGE)) == text.count("```python")


def test_what_it_names_is_so() -> None:
    text, policy = PAGE.read_text(), RestartPolicy()
    assert all(f'"{kind}"' in text for kind in Restart)
    assert f"`{EXHAUSTED}`" in text
    assert f"{policy.max_restarts} restarts within {policy.within:g} seconds" in text
    assert f"delays from {policy.base:g} to {policy.cap:g} seconds" in text
    assert f"`{metrics.restarts.describe()[0].name}_total`" in text
