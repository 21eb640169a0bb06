"""The metrics module: a name stands once, and no label can grow without bound."""

from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from trunkline.observe import metrics

BOUNDED = {
    "status",
    "reason",
    "kind",
    "outcome",
    "event",
    "source",
    "sensor",
    "method",
    "route",
    "duty",
    "model",
    "direction",
    "agent",  # declared names
    "name",  # of agents, tools and pools
    "stream",
}


def test_the_exposition_parses_and_names_are_ours() -> None:
    metrics.steps.labels(kind="tool", outcome="completed").inc()
    names = {family.name for family in text_string_to_metric_families(metrics.expose().decode())}
    assert "trunkline_steps" in names
    assert {name for name in names if not name.startswith(("trunkline_", "process_", "python_"))} == set()


def test_labels_are_of_the_bounded_kinds() -> None:
    labels = {label for metric in vars(metrics).values() for label in getattr(metric, "_labelnames", ())}
    assert labels <= BOUNDED


def test_models_beyond_a_hundred_share_a_label() -> None:
    seen = {metrics.model_label(f"model-{number}") for number in range(300)}
    assert len(seen) <= 101
    assert "other" in seen


def test_every_metric_is_kept_up_by_somebody() -> None:
    """One that nobody writes would make a dashboard, or an alert, that says all is well."""
    root = Path(__file__).parents[3]
    sources = [path for room in ("platform", "workers", "sensors") for path in (root / room).rglob("*.py")]
    text = "\n".join(path.read_text() for path in sources if path.name != "metrics.py")
    declared = [name for name, value in vars(metrics).items() if isinstance(value, Counter | Gauge | Histogram)]
    assert len(declared) > 20
    assert [name for name in declared if f"metrics.{name}" not in text] == []
