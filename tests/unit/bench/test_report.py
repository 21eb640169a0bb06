"""Results say of what state of the code they are."""

import subprocess
from pathlib import Path

import pytest
from benchmarks.bench import report

GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false")


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, "-C", str(directory), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_machines_row_names_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert report.commit(tmp_path) == "unknown"
    git(tmp_path, "init", "-q")
    code = tmp_path / "code.py"
    code.write_text("one = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    assert report.commit(tmp_path) == git(tmp_path, "rev-parse", "--short", "HEAD")
    code.write_text("one = 2\n")
    assert report.commit(tmp_path).endswith("-dirty")


def test_results_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "commit", lambda: "abc1234")
    assert report.machine()["commit"] == "abc1234"


def test_without_git_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert report.commit() == "unknown"
