"""The public calls keep their types: mypy and pyright reveal what ``public_calls`` says, and refuse ``wrong_calls``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
EXPECTED = re.compile(r"\S  # -> (.+)$")
REFUSED = re.compile(r"\S  # refused: ")

pytestmark = pytest.mark.timeout(600)


def lines_of(path: Path, pattern: re.Pattern[str]) -> dict[int, str]:
    """The lines that have the mark, by number, with what stands behind it."""
    found = {number: pattern.search(line) for number, line in enumerate(path.read_text().splitlines(), 1)}
    return {number: match.group(match.lastindex or 0) for number, match in found.items() if match}


def plain(type_: str) -> str:
    """One way to write a type, for both checkers: no module paths, and parameters in square brackets."""
    short = re.sub(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", type_)
    short = re.sub(r"Tool\[\((.*?)\), ", r"Tool[[\1], ", short)
    return re.sub(r" =(?: True| False)?(?=[],])", " = ...", short)


def mypy(path: Path) -> list[tuple[int, str, str]]:
    """What mypy says: line, severity, text."""
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--no-pretty", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    told = re.findall(rf"{re.escape(path.name)}:(\d+): (note|error): (.*)", done.stdout)
    return [(int(line), severity, text) for line, severity, text in told]


def pyright(path: Path) -> list[tuple[int, str, str]]:
    """What pyright says: line, severity, text."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout[done.stdout.index("{") :])["generalDiagnostics"]
    return [(one["range"]["start"]["line"] + 1, one["severity"], one["message"]) for one in told]


CHECKERS = pytest.mark.parametrize(
    ("check", "revealed"),
    [(mypy, r'Revealed type is "(.*)"$'), (pyright, r'Type of ".*" is "(.*)"$')],
    ids=["mypy", "pyright"],
)


@CHECKERS
def test_every_public_call_has_the_type_that_is_written_beside_it(check, revealed):
    told = check(HERE / "public_calls.py")
    matches = {line: re.search(revealed, text, re.DOTALL) for line, _, text in told}
    types = {line: plain(match[1]) for line, match in matches.items() if match}
    assert [one for one in told if one[1] in ("error", "warning")] == []
    assert types == lines_of(HERE / "public_calls.py", EXPECTED)


@CHECKERS
def test_wrong_calls_are_refused(check, revealed):
    errors = {line for line, severity, _ in check(HERE / "wrong_calls.py") if severity == "error"}
    assert errors == set(lines_of(HERE / "wrong_calls.py", REFUSED))
