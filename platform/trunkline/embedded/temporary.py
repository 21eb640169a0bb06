"""A directory that goes with this process, however it ends.

As a server has a guard, it has one: a shell that waits on a pipe from this process. If that closes, the shell removes
the directory, more than once, because servers that are being ended write there for a few seconds.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from trunkline.embedded.guarded import guard

_GUARD = """
read -r _ && exit 0
tries=0
while [ $tries -lt 12 ]; do sleep 0.5; rm -rf -- "$1"; tries=$((tries + 1)); done
"""


class TemporaryDirectory:
    """Made at once; ``remove`` it in the end."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="trunkline-"))
        self._guard: subprocess.Popen[bytes] | None = None

    def watch(self) -> None:
        """From now on it does not outlive this process by more than some seconds."""
        if self._guard is None:
            self._guard = guard(_GUARD, str(self.path))

    def remove(self) -> None:
        """With everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._guard is not None:
            self._guard.communicate(b"\n")
            self._guard = None
