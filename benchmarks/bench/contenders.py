"""Who takes part, in which workload, with which interpreter, and on which servers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / "benchmarks" / ".venv" / "bin" / "python"
RESTATE_SERVER = ROOT / "benchmarks" / "node_modules" / ".bin" / "restate-server"


@dataclass(frozen=True, slots=True)
class Contender:
    """``variant`` is handed to its program. ``needs`` are files without which it cannot take part."""

    name: str
    program: str
    workloads: frozenset[str]
    servers: frozenset[str]
    variant: str = ""
    needs: tuple[Path, ...] = ()

    @property
    def python(self) -> str:
        return str(PEERS_PYTHON) if self.needs else sys.executable

    @property
    def missing(self) -> list[str]:
        """What it lacks; empty when it can take part."""
        return [str(path.relative_to(ROOT)) for path in self.needs if not path.exists()]


def _contender(
    name: str, workloads: str, servers: str, *, program: str = "", variant: str = "", needs: tuple[Path, ...] = ()
) -> Contender:
    return Contender(name, program or name, frozenset(workloads.split()), frozenset(servers.split()), variant, needs)


_PEERS = (PEERS_PYTHON,)
_RESTATE = (PEERS_PYTHON, RESTATE_SERVER)

CONTENDERS = (
    _contender("trunkline", "local remote turn turn-500ms", "postgres nats"),
    _contender("trunkline-batched", "local remote", "postgres nats", program="trunkline_batched"),
    _contender("floor", "local remote", "postgres nats"),
    _contender("restate", "local remote", "", variant="1", needs=_RESTATE),
    _contender("restate-tuned", "local remote", "", program="restate", variant="3", needs=_RESTATE),
    _contender("dbos", "local remote", "postgres", program="dbos_workflows", needs=_PEERS),
    _contender("dbos-tuned", "local remote", "postgres", program="dbos_workflows", variant="2", needs=_PEERS),
    _contender("langgraph", "local", "postgres", program="langgraph_saver", needs=_PEERS),
    _contender("taskiq-undurable", "remote", "nats", program="taskiq_tasks", needs=_PEERS),
    _contender("pydantic-ai-dbos", "turn turn-500ms", "postgres", program="pydantic_ai_dbos", needs=_PEERS),
    _contender("trunkline-nats", "ingress", "postgres nats", program="trunkline_ingress", variant="nats"),
    _contender(
        "trunkline-nats-running", "ingress", "postgres nats", program="trunkline_ingress", variant="nats-running"
    ),
    _contender("trunkline-http", "ingress", "postgres nats", program="trunkline_ingress", variant="http"),
)
WORKLOADS = ("local", "remote", "turn", "turn-500ms", "ingress")
LATENCY = {"turn": 0.0, "turn-500ms": 0.5}  # seconds until the model server answers
