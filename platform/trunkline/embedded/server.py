"""One server as a child process that cannot be left behind, and one directory that two servers cannot share.

Two small devices carry this:

* A *guard*: a shell that waits on a pipe from this process. If this process ends in any way, SIGKILL included, the pipe
  closes and the guard ends the server. (Linux's PR_SET_PDEATHSIG would not do: it is cleared by the change of user that
  Postgres needs, it fires when the starting *thread* ends, and other systems do not have it.)
* A *lock* (``flock``) on a file of the directory that only the server and its own children hold: it is free exactly
  when the last of them is gone, whoever killed it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

from trunkline.domain.errors import NotConfigured, Unavailable

START_WITHIN = 30.0  # seconds
STOP_WITHIN = 20.0
FREE_WITHIN = 5.0
_LOOK_EVERY = 0.01

_GUARD = """
read -r _ && exit 0
kill -s INT "$1"
tenths=0
while kill -0 "$1" 2>/dev/null && [ $tenths -lt 50 ]; do sleep 0.1; tenths=$((tenths + 1)); done
kill -s KILL "$1" 2>/dev/null
"""


class Identity(TypedDict, total=False):
    """Who a process runs as, in ``subprocess``'s words; empty for who we are."""

    user: int
    group: int
    extra_groups: list[int]


class ServerProcess:
    """``directory`` holds the lock and ``<name>.log``. Restart as often as you like; not for use from two threads."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            Unavailable: it is not running.
        """
        if self._process is None or self._process.poll() is not None:
            raise Unavailable(what=f"The embedded {self.name}", reason="it is not running")
        return self._process.pid

    def start(self, command: Sequence[str], *, ready: Callable[[], bool], identity: Identity) -> None:
        """Run ``command`` and wait until ``ready``.

        Raises:
            NotConfigured: a server of another process is at work in the directory.
            Unavailable: it ended, or was not ready in time; the end of its log is the reason.
        """
        lock = self._lock(FREE_WITHIN)
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(lock,),
                    start_new_session=True,  # Ctrl-C is for us: clients stop before their servers do
                    cwd="/",
                    **identity,
                )
        finally:
            os.close(lock)
        self._guard = _guard(self._process.pid)
        self._wait_until(ready)

    def signal(self, number: signal.Signals) -> None:
        """Send ``number``, and wait until the process and its children are gone; SIGKILL follows if that takes long."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(number)
                try:
                    self._process.wait(STOP_WITHIN)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
            self._process = None
        if self._guard is not None:
            self._guard.communicate(b"\n")
            self._guard = None
        os.close(self._lock(STOP_WITHIN))

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_WITHIN
        while not ready():
            if not self.running or time.monotonic() > deadline:
                reason = self._last_words()
                self.signal(signal.SIGKILL)
                raise Unavailable(what=f"The embedded {self.name}", reason=reason)
            time.sleep(_LOOK_EVERY)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:])[:1000] or "it said nothing"

    def _lock(self, within: float) -> int:
        """A descriptor that holds the directory's lock."""
        descriptor = os.open(self.directory / f"{self.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + within
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise NotConfigured(
                        what=f"A directory that the embedded {self.name} has to itself",
                        fix=f"Another one is at work in {self.directory}: stop it, or name another directory.",
                    ) from None
                time.sleep(_LOOK_EVERY)
            else:
                return descriptor


def _guard(pid: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", _GUARD, "sh", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
