"""``trunkline chaos`` as a user runs it on an App: real processes, real kills, and the count at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.chaos.report import Repeated, Report
from trunkline.cli import chaos as command
from trunkline.cli import process

APP = Path(__file__).parents[2] / "examples" / "support_desk" / "app.py"
CHAOS = (sys.executable, "-m", "trunkline.cli.main", "chaos")
QUICK = """
from trunkline import App, Context

app = App("quick")

@app.agent("double")
async def double(ctx: Context, n: int) -> int:
    return 2 * n
"""


@pytest.mark.timeout(200)
def test_the_support_desk_keeps_every_promise(tmp_path: Path) -> None:
    hits = ("--kill", "agents", "--kill", "tools", "--times", "1")
    done = subprocess.run(
        [*CHAOS, str(APP), "orders", *hits, "--runs", "16", "--workers", "1", "--within", "150", "--json"],
        capture_output=True, text=True, timeout=190, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr or done.stdout
    report = json.loads(done.stdout)
    assert (report["app"], report["agent"], report["runs"], report["accepted"]) == ("support_desk", "orders", 16, 16)
    assert (report["completed"], report["lost"], report["doubled"], report["kept"]) == (16, 0, 0, True)
    assert [hit["what"] for hit in report["kills"]] == ["kill agents", "kill tools"]
    assert all(0 < hit["held"] == hit["went_on"] for hit in report["kills"]), report["kills"]
    assert 0 < report["recover"]["p50_s"] <= report["recover"]["p99_s"]
    assert report["model"] == "stand-in"
    assert report["repeated"]["tool"] >= report["kills"][1]["held"]


@pytest.mark.timeout(120)
def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path, open_path: Path) -> None:
    (tmp_path / "quick.py").write_text(QUICK)
    with subprocess.Popen(
        [*CHAOS, "quick.py", "--runs", "50"],
        stdout=subprocess.PIPE, text=True, cwd=tmp_path, env={**os.environ, "TMPDIR": str(open_path)},
    ) as running:  # fmt: skip
        assert running.stdout is not None
        for line in running.stdout:
            if "runs come in" in line:
                running.send_signal(signal.SIGINT)
    assert running.returncode == 130
    assert list(open_path.iterdir()) == []


@pytest.mark.parametrize(("lost", "status"), [(0, 0), (1, 1)])
def test_a_broken_promise_is_the_exit_status(
    lost: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from trunkline.cli.commands import app

    report = Report(
        app="quick", agent="double", runs=1, accepted=1, completed=1 - lost, failed=0, cancelled=0, parked=0, waiting=0,
        lost=lost, violations=(), hits=(), repeated=Repeated(), seconds=1.0,
    )  # fmt: skip
    monkeypatch.setattr(command, "_carried_out", lambda *_: report)
    monkeypatch.setattr(process, "prepare", lambda _: None)
    (tmp_path / "quick_for_status.py").write_text(QUICK)
    done = CliRunner().invoke(app, ["chaos", str(tmp_path / "quick_for_status.py"), "--runs", "3"])
    assert done.exit_code == status
