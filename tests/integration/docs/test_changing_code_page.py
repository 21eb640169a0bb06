"""Every Python block of docs/changing-code.md runs; the page's tests become tests of this module."""

from __future__ import annotations

import re

import pytest
from pages import DOCS, blocks, carried_out

from trunkline import Client
from trunkline.authoring.agent import Agent

PAGE = DOCS / "changing-code.md"
TESTS = carried_out(PAGE, "letter_desk")
globals().update(TESTS)


def test_the_page_has_tests() -> None:
    text = PAGE.read_text()
    assert len(TESTS) == len(re.findall(r"^async def test_", text, re.MULTILINE)) > 2
    assert len(blocks(PAGE)) == text.count("```python")


@pytest.mark.parametrize("name", ["deploy", "rollback", "definitions"])
def test_what_the_page_speaks_of_is_there(name: str) -> None:
    assert callable(getattr(Client, name))
    assert f"Client.{name}(" in PAGE.read_text()
    assert callable(Agent.upcast)


@pytest.mark.parametrize("command", ["deploy", "rollback", "definitions list", "definitions show", "runs replay"])
def test_its_commands_are_there(command: str) -> None:
    from trunkline.cli.commands import app

    names = {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
    groups = {one.name for one in app.registered_groups}
    assert command.split(maxsplit=1)[0] in names | groups
    assert f"trunkline {command}" in PAGE.read_text()
