"""Restate: its server from npm, and its Python SDK under granian; the load posts to the server's ingress.

*local*: ten ``ctx.run``; *remote*: ten calls to a service that another granian serves. The variant ``tuned`` gives the
server one partition, and ``three`` three granian processes to serve the handlers of a deployment, with one partition in
*local* alone.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from pathlib import Path

import uvloop

from benchmarks.contenders.http_line import Lines
from benchmarks.contenders.load import Asked, asked, drive, versions

BENCHMARKS = Path(__file__).parents[1]
SERVER = BENCHMARKS / "node_modules" / ".bin" / "restate-server"
GRANIAN = BENCHMARKS / ".venv" / "bin" / "granian"
READY_WITHIN = 60.0  # seconds
PROCESSES = {"": 1, "tuned": 1, "three": 3}
# One node gathers more in a commit when it has fewer partitions, but *remote* is faster with the default of 24 and many
# runs in flight. The limit is each partition's: with one of them and the default of 1,000, as many agents would leave
# no place for the tools that they wait for.
TUNED = {"RESTATE_DEFAULT_NUM_PARTITIONS": "1", "RESTATE_WORKER__INVOKER__CONCURRENT_INVOCATIONS_LIMIT": "10000"}


class Parts:
    """The server, and what serves the handlers, on ports of our own."""

    def __init__(self, asked: Asked) -> None:
        self._asked, self._directory = asked, Path(asked.directory)
        self.pids = {"load": os.getpid()}
        self.admin, self.ingress, self._node, self._fabric, self._agents, self._tools = _free_ports(6)

    def start(self) -> None:
        environment = {
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{self.admin}",
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{self.ingress}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{self._node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{self._node}",
            "RESTATE_LOG_FILTER": "warn",
            "RESTATE_DISABLE_TELEMETRY": "true",
            **tuning(self._asked),
        }
        self._run("restate-server", [str(SERVER), "--base-dir", str(self._directory / "restate")], environment)
        self._serve("agents", self._agents)
        if self._asked.workload == "remote":
            self._serve("tools", self._tools)

    async def registered(self) -> None:
        """Wait for the server, and tell it where the services are.

        Raises:
            TimeoutError: it did not take them.
        """
        served = [self._agents] + ([self._tools] if self._asked.workload == "remote" else [])
        admin = Lines(f"http://127.0.0.1:{self.admin}")
        async with asyncio.timeout(READY_WITHIN):
            for port in served:
                while not await _took(admin, f"http://127.0.0.1:{port}"):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.2)

    def _serve(self, role: str, port: int) -> None:
        where = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(PROCESSES[self._asked.variant])]
        how = ["--interface", "asgi", "--http", "2", "--loop", "uvloop", "--no-ws", "--log-level", "warning"]
        self._run(role, [str(GRANIAN), *where, *how, f"benchmarks.contenders.restate_services:{role}"], {})

    def _run(self, role: str, command: list[str], environment: dict[str, str]) -> None:
        log = (self._directory / f"{role}.log").open("wb")
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
        self.pids[role] = process.pid


async def _took(admin: Lines, service: str) -> bool:
    try:
        status, _ = await admin.post("/deployments", {"uri": service})
    except (OSError, asyncio.IncompleteReadError):
        return False
    return status in (200, 201)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def tuning(asked: Asked) -> dict[str, str]:
    """What the server is told beyond its defaults."""
    by_default = not asked.variant or (asked.variant == "three" and asked.workload == "remote")
    return {} if by_default else TUNED


def _defaults(asked: Asked) -> str:
    but = ", ".join(f"{name}={value}" for name, value in tuning(asked).items())
    return f"defaults but {but}" if but else "defaults"


async def main(asked: Asked) -> None:
    parts = Parts(asked)
    await asyncio.to_thread(parts.start)
    await parts.registered()
    ingress = Lines(f"http://127.0.0.1:{parts.ingress}")

    async def run(number: int) -> None:
        status, body = await ingress.post(f"/agents/{asked.workload}", number)
        if status != 200:
            raise RuntimeError(f"{status}: {body[:200]!r}")

    server = await asyncio.to_thread(lambda: subprocess.check_output([str(SERVER), "--version"], text=True))
    about = {
        "settings": f"server's {_defaults(asked)} (its log is fsynced), SDK under granian, {PROCESSES[asked.variant]} "
        "process(es) a deployment, HTTP/2, uvloop; the load posts to the ingress over kept connections",
        "versions": {**versions("restate-sdk", "granian", "uvloop"), "restate-server": server.split()[-1]},
    }
    await drive(asked, run, parts.pids, about)


if __name__ == "__main__":
    uvloop.run(main(asked()))
