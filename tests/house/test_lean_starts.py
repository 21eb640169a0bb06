"""What a process does not need it does not load: by what is loaded, because time is another on every machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"aiohttp", "alembic", "fastapi", "litellm", "mcp", "rich", "sqlalchemy", "uvicorn"}
NOT_FOR_HELP = HEAVY | {"faststream", "httpx2", "nats", "prometheus_client", "psycopg", "pydantic", "structlog"}
HELP = """
import sys
sys.argv = ["trunkline", *{arguments}, "--help"]
from trunkline.cli.main import main
try:
    main()
finally:
    print("LOADED", *sys.modules)
"""
SERVICES = {
    "trunkline_workers.agent.service": set(),
    "trunkline_workers.tool.service": set(),
    "trunkline_workers.llm.service": set(),  # loads litellm in a thread, when it is at work
    "trunkline_sensors.service": set(),
    "trunkline.supervisor.service": set(),
    "trunkline.gateway.server": {"fastapi", "uvicorn"},
}


def loaded(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert "LOADED" in done.stdout, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_help_loads_nothing_of_weight() -> None:
    assert loaded(HELP.format(arguments=[])) & NOT_FOR_HELP == set()


@pytest.mark.parametrize("arguments", [["worker"], ["runs"], ["worker", "agents"]], ids=" ".join)
def test_help_of_a_command_loads_nothing_but_what_typer_does(arguments: list[str]) -> None:
    assert loaded(HELP.format(arguments=arguments)) & NOT_FOR_HELP <= {"pydantic"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_loads_only_what_it_needs(service: str) -> None:
    found = loaded(f"import sys, {service}, trunkline.cli.process; print('LOADED', *sys.modules)")
    assert found & HEAVY == SERVICES[service]


def test_what_was_hidden_from_a_library_is_there_for_others() -> None:
    code = "import sys, trunkline.bus, trunkline.observe.logs, aiohttp, rich; print('LOADED', *sys.modules)"
    assert {"aiohttp", "rich"} <= loaded(code)
