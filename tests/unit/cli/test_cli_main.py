"""How ``trunkline`` leaves the process before a command has begun."""

from __future__ import annotations

import subprocess
import sys

CTRL_C_WHILE_IT_LOADS = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class AtTyper(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, AtTyper())
sys.argv = ["trunkline", "ps"]
from trunkline.cli.main import main
main()
"""


def test_ctrl_c_while_the_commands_load_is_quiet() -> None:
    done = subprocess.run([sys.executable, "-c", CTRL_C_WHILE_IT_LOADS], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
