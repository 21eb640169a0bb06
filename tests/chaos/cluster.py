"""Three nats-servers that are one cluster, each with a directory of its own; any of them can die and come back."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import nats
from nats.errors import Error

from trunkline.embedded import nats as embedded
from trunkline.embedded.server import ServerProcess

SIZE = 3
HOST = "127.0.0.1"


class Cluster:
    """The servers are called ``n1`` to ``n3``."""

    def __init__(self, directory: Path) -> None:
        self.names = [f"n{number}" for number in range(1, SIZE + 1)]
        self._ports = {name: embedded._free_port() for name in self.names}
        self._routes = {name: embedded._free_port() for name in self.names}
        self._directories = {name: directory / name for name in self.names}
        self._servers: dict[str, ServerProcess] = {}

    @property
    def urls(self) -> str:
        """All three, separated by commas."""
        return ",".join(f"nats://{HOST}:{self._ports[name]}" for name in self.names)

    def start(self, name: str) -> None:
        """Run it, and wait until it takes clients; the cluster may not be ready by then."""
        directory = self._directories[name]
        directory.mkdir(parents=True, exist_ok=True)
        server = self._servers[name] = ServerProcess(name, directory)
        command = [
            embedded._program(), "--server_name", name, "-js", "-sd", str(directory / "data"),
            "-a", HOST, "-p", str(self._ports[name]), "--cluster_name", "exchange",
            "--cluster", f"nats://{HOST}:{self._routes[name]}",
            "--routes", ",".join(f"nats://{HOST}:{self._routes[other]}" for other in self.names if other != name),
        ]  # fmt: skip
        server.start(command, ready=lambda: self._greets(name), identity={})

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self._servers.pop(name).signal(signal.SIGKILL)

    def stop(self) -> None:
        for name in list(self._servers):
            self.kill(name)

    async def leader(self, stream: str) -> str:
        """Which server leads the stream; empty while none does."""
        return str((await self._info(stream)).get("leader") or "")

    async def whole(self, stream: str) -> bool:
        """Whether every server has all of the stream."""
        found = await self._info(stream)
        others = found.get("replicas") or []
        return bool(found.get("leader")) and len(others) == SIZE - 1 and all(other["current"] for other in others)

    async def ready(self) -> bool:
        """Whether JetStream takes requests."""
        return "error" not in await self._ask("$JS.API.INFO")

    async def _info(self, stream: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self._ask(f"$JS.API.STREAM.INFO.{stream}")).get("cluster") or {}
        return found

    async def _ask(self, subject: str) -> dict[str, Any]:
        with suppress(Error, OSError):
            client = await nats.connect(self.urls.split(","), allow_reconnect=False, error_cb=_quiet)
            try:
                answer: dict[str, Any] = json.loads((await client.request(subject, b"", timeout=2)).data)
                return answer
            finally:
                await client.close()
        return {"error": "no answer"}

    def _greets(self, name: str) -> bool:
        with suppress(OSError), socket.create_connection((HOST, self._ports[name]), timeout=1.0) as connection:
            return f'"server_name":"{name}"' in connection.recv(4096).decode()
        return False


async def _quiet(_: Exception) -> None:
    """One of three may be away."""


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[Cluster]:
    """A cluster whose servers are all there; JetStream takes requests once it is ``ready``."""
    made = Cluster(directory)
    try:
        for name in made.names:
            await asyncio.to_thread(made.start, name)
        yield made
    finally:
        await asyncio.to_thread(made.stop)
