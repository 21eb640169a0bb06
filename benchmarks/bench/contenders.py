"""Who takes part, in which workload, with how many runs in flight, with which interpreter, and on which servers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / "benchmarks" / ".venv" / "bin" / "python"
RESTATE_SERVER = ROOT / "benchmarks" / "node_modules" / ".bin" / "restate-server"
IN_FLIGHT = (1, 100, 1000)


@dataclass(frozen=True, slots=True)
class Contender:
    """``workloads`` says where it can take part, and with how many runs in flight unless more is asked for.

    ``variant`` is handed to its program. ``needs`` are files without which it cannot take part.
    """

    name: str
    program: str
    workloads: Mapping[str, tuple[int, ...]]
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
    name: str,
    workloads: Mapping[str, tuple[int, ...]],
    servers: str,
    *,
    program: str = "",
    variant: str = "",
    needs: tuple[Path, ...] = (),
) -> Contender:
    return Contender(name, program or name, workloads, frozenset(servers.split()), variant, needs)


_PEERS = (PEERS_PYTHON,)
_RESTATE = (PEERS_PYTHON, RESTATE_SERVER)
_BOTH = {"local": IN_FLIGHT, "remote": IN_FLIGHT}
_CROWDED = {"local": (1000,), "remote": (1000,)}

# What is left out by default is what another variant of the same contender is faster in by far, and what takes minutes
# to say the same as fewer runs in flight: see benchmarks/README.md.
CONTENDERS = (
    _contender("trunkline", {**_BOTH, "turn": (1, 100), "turn-500ms": (1,)}, "postgres nats"),
    _contender("trunkline-three-llm", {"turn-500ms": (1000,)}, "postgres nats", program="trunkline", variant="3"),
    _contender("trunkline-batched", _CROWDED, "postgres nats", program="trunkline_batched"),
    _contender("trunkline-two-workers", _CROWDED, "postgres nats", program="trunkline_batched", variant="2"),
    _contender("floor", _BOTH, "postgres nats"),
    _contender("restate", _BOTH, "", needs=_RESTATE),
    _contender("restate-tuned", _BOTH, "", program="restate", variant="tuned", needs=_RESTATE),
    _contender("restate-three", _CROWDED, "", program="restate", variant="three", needs=_RESTATE),
    _contender("dbos", {"local": (1, 100), "remote": ()}, "postgres", program="dbos_workflows", needs=_PEERS),
    _contender(
        "dbos-tuned",
        {"local": (100, 1000), "remote": (1, 100)},
        "postgres",
        program="dbos_workflows",
        variant="tuned",
        needs=_PEERS,
    ),
    _contender("langgraph", {"local": IN_FLIGHT}, "postgres", program="langgraph_saver", needs=_PEERS),
    _contender("taskiq-undurable", {"remote": IN_FLIGHT}, "nats", program="taskiq_tasks", needs=_PEERS),
    _contender(
        "pydantic-ai-dbos",
        {"turn": (1, 100), "turn-500ms": (1,)},
        "postgres",
        program="pydantic_ai_dbos",
        needs=_PEERS,
    ),
    _contender("litellm-alone", {"turn": (100,), "turn-500ms": (1000,)}, "", program="litellm_alone"),
    _contender("trunkline-nats", {"ingress": (1000,)}, "postgres nats", program="trunkline_ingress", variant="nats"),
    _contender(
        "trunkline-nats-running",
        {"ingress": (1000,)},
        "postgres nats",
        program="trunkline_ingress",
        variant="nats-running",
    ),
    _contender(
        "trunkline-http", {"ingress": (100, 1000)}, "postgres nats", program="trunkline_ingress", variant="http"
    ),
)
WORKLOADS = ("local", "remote", "turn", "turn-500ms", "ingress")
LATENCY = {"turn": 0.0, "turn-500ms": 0.5}  # seconds until the model server answers
