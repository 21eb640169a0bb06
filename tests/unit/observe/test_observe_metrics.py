"""The metrics module: a name stands once, and no label can grow without bound."""

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
