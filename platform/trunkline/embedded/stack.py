"""NATS and Postgres together: all the servers that Trunkline needs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from trunkline.embedded.nats import EmbeddedNats
from trunkline.embedded.postgres import EmbeddedPostgres
from trunkline.embedded.temporary import TemporaryDirectory
from trunkline.settings import Settings


class Stack:
    """In ``directory``; without one in a temporary directory that goes with it. Runs inside a ``with`` block, or
    between ``start`` and ``stop``; ends with this process however that ends.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._temporary: TemporaryDirectory | None = None
        if directory is None:
            self._temporary = TemporaryDirectory()
            directory = self._temporary.path
        self.directory = directory
        self.nats = EmbeddedNats(self.directory / "nats")
        self.postgres = EmbeddedPostgres(self.directory / "postgres")

    def start(self) -> None:
        """Start both, or neither.

        Raises:
            NotConfigured: another stack uses the directory, or Postgres's user cannot reach it.
            Unavailable: a server did not come up; the reason is what it said.
        """
        if self._temporary is not None:
            self._temporary.watch()
        try:
            with ThreadPoolExecutor(max_workers=1) as beside:
                starting = beside.submit(self.nats.start)
                self.postgres.start()
                starting.result()
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """Raises ServerEnded if one of them was started, and nobody here ended it."""
        self.nats.check()
        self.postgres.check()

    def stop(self) -> None:
        if self.postgres.running:
            self.postgres.abandon() if self._temporary else self.postgres.stop()
        if self.nats.running:
            self.nats.stop()
        if self._temporary is not None:
            self._temporary.remove()

    def settings(self, **overrides: Any) -> Settings:
        """Settings that point here."""
        urls = {"nats_url": self.nats.url, "database_url": SecretStr(self.postgres.url)}
        return Settings(**{**urls, **overrides})

    def environment(self, **overrides: Any) -> dict[str, str]:
        """The same for a child process: ``TRUNKLINE_…`` variables, to be added to its environment."""
        values = {"nats_url": self.nats.url, "database_url": self.postgres.url, **overrides}
        return {f"TRUNKLINE_{name.upper()}": str(value) for name, value in values.items()}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
