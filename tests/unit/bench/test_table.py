"""The README's tables are made from the results."""

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.bench import report
from benchmarks.bench.rounds import Round
from benchmarks.bench.statistics import row
from benchmarks.bench.table import BEGIN, END, outdated, renewed, section

ABOUT = {"versions": {"dbos": "3.4.0"}, "settings": "…"}


def rates() -> list[dict[str, Any]]:
    quick = Round(steps_per_s=12_345.6, p50_ms=0.81, p99_ms=2.5, cpu={"agents": 0.05}, elsewhere=0.2)
    slow = Round(steps_per_s=150.0, cpu={"agents": 5.0}, about=ABOUT, failures=1234, failure="no connection")
    lone = Round(steps_per_s=3.2, p50_ms=1560.0, p99_ms=1560.0, cpu={"llm": 9.0})
    return [
        row("local", "trunkline", 1, [quick]),
        row("local", "dbos", 1000, [slow]),
        row("local", "langgraph", 1, [Round(failed="it ended")]),
        row("turn-500ms", "trunkline", 1, [lone]),
    ]


@pytest.fixture
def latest(tmp_path: Path) -> Path:
    asked = {"rounds": 1, "seconds": 3.0, "minutes": 2.5}
    found = {"machine": report.machine(), "asked": asked, "not_installed": {"restate": ["x"]}, "rows": rates()}
    report.write(found, tmp_path, "2026-01-01-0000")
    return tmp_path / "latest.json"


def test_a_row_for_each_contender_and_what_was_not_there(latest: Path) -> None:
    text = section(json.loads(latest.read_text()))
    assert "| `trunkline` | 12,346 |  |  | 0.81 / 2.5 ms |  | agents 0.05 |" in text
    assert "| `dbos` |  |  | 150 |  | not seen to end | agents 5 |" in text
    assert "| `trunkline` | 3.2 |  |  | 1,560 / 1,560 ms |  |  |" in text, "ten steps tell nothing of CPU time"
    assert "dbos 3.4.0" in " ".join(text.split())
    assert "- `dbos` (local, 1,000 in flight): 1,234 runs failed: no connection" in text
    assert "Not installed: `restate`." in text
    assert "Rounds that failed: `langgraph` (local)" in text
    assert "| local, 1,000 in flight, over DBOS | at least 100× | – | not measured |" in text


def test_rows_beside_which_others_were_at_work_are_named(latest: Path) -> None:
    found = json.loads(latest.read_text())
    assert "in the worst round: at most 0.2." in " ".join(section(found).split())
    found["rows"][1]["cores_busy_elsewhere"] = 0.9
    text = " ".join(section(found).split())
    assert "in the worst round: 0.9 beside `dbos` (local); at most 0.2 beside all others." in text


def test_only_what_is_between_the_marks_is_made_anew(latest: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert outdated(readme, latest)
    readme.write_text(renewed(readme.read_text(), json.loads(latest.read_text())))
    assert not outdated(readme, latest)
    assert readme.read_text().startswith(f"before\n{BEGIN}\n")
    assert readme.read_text().endswith(f"\n{END}\nafter\n")


def test_a_readme_without_a_place_for_them_is_refused(latest: Path) -> None:
    with pytest.raises(ValueError, match="no place"):
        renewed("nothing", json.loads(latest.read_text()))


def test_the_latest_results_are_kept_under_their_date_too(latest: Path) -> None:
    dated = latest.with_name("2026-01-01-0000.json")
    assert dated.read_text() == latest.read_text()
    assert {path.suffix for path in latest.parent.iterdir()} == {".json", ".svg"}
