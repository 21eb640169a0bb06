"""One server as a child process that cannot be left behind, and one directory that two servers cannot share.

It is guarded (see ``guarded``), and a *lock* (``flock``) on a file of the directory, which only the server and its own
children hold, is free exactly when the last of them is gone, whoever killed it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from trunkline.domain.errors import NotConfigured, ServerEnded, Unavailable
from trunkline.embedded.guarded import Guarded, Identity

START_WITHIN = 30.0  # seconds
STOP_WITHIN = 20.0
FREE_WITHIN = 5.0
_LOOK_EVERY = 0.01


class ServerProcess:
    """``directory`` holds the lock and ``<name>.log``. Restart as often as you like; not for use from two threads."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.log = directory / f"{name}.log"
        self._running: Guarded | None = None

    @property
    def running(self) -> bool:
        return self._running is not None and self._running.process.poll() is None

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            Unavailable: it is not running.
        """
        if self._running is None or not self.running:
            raise Unavailable(what=f"The embedded {self.name}", reason="it is not running")
        return self._running.process.pid

    def check(self) -> None:
        """Whether it still runs, if it should; it is told once.

        Raises:
            ServerEnded: it was started, and nobody here ended it.
        """
        if self._running is not None and not self.running:
            self._running.ended()
            self._running = None
            raise ServerEnded(name=self.name, said=self._last_words())

    def start(self, command: Sequence[str], *, ready: Callable[[], bool], identity: Identity) -> None:
        """Run ``command`` and wait until ``ready``.

        Raises:
            NotConfigured: a server of another process is at work in the directory.
            Unavailable: it ended, or was not ready in time; the end of its log is the reason.
        """
        lock = self._lock(FREE_WITHIN)
        try:
            with self.log.open("ab") as log:
                self._running = Guarded(command, identity, output=log, lock=lock)
        finally:
            os.close(lock)
        self._wait_until(ready)

    def signal(self, number: signal.Signals) -> None:
        """Send ``number``, and wait until the process and its children are gone; SIGKILL follows if that takes long."""
        if self._running is not None:
            process = self._running.process
            if process.poll() is None:
                process.send_signal(number)
                try:
                    process.wait(STOP_WITHIN)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._running.ended()
            self._running = None
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
