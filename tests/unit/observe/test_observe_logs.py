"""Log lines carry their fields, the bound run and step, and no secret."""

import io
import json
import logging
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from trunkline.observe import logs


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in logs.OURS:
        logging.getLogger(name).setLevel(logging.NOTSET)


def written(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_its_fields_and_what_is_bound(lines: io.StringIO) -> None:
    def work() -> None:
        logs.bind(run="r1", step="tool:refund#1")
        logs.get("room").info("taken", instances=3, name="x", args=[1])

    copy_context().run(work)
    [line] = written(lines)
    assert line["event"] == "taken"
    assert line["logger"] == "trunkline.room"
    assert (line["run"], line["step"], line["instances"], line["name"]) == ("r1", "tool:refund#1", 3, "x")
    assert str(line["timestamp"]).endswith("Z")


def test_plain_loggers_write_alike(lines: io.StringIO) -> None:
    def work() -> None:
        logs.bind(run="r1")
        logging.getLogger("trunkline.store.append").warning("met with %s", "a deadlock")

    copy_context().run(work)
    logs.get("room").info("%d of %d", 1, 2)
    assert [line["event"] for line in written(lines)] == ["met with a deadlock", "1 of 2"]
    assert written(lines)[0]["run"] == "r1"


def test_levels(lines: io.StringIO) -> None:
    logs.get("room").debug("quiet")
    logging.getLogger("somebody.else").info("quiet")
    logging.getLogger("somebody.else").warning("heard")
    assert [line["event"] for line in written(lines)] == ["heard"]


def test_a_line_stays_one_line_and_keeps_the_traceback_as_a_field(lines: io.StringIO) -> None:
    try:
        int("no")
    except ValueError:
        logs.get("room").exception("failed\nbadly", odd=object())
    [line] = written(lines)
    assert line["event"] == "failed badly"
    assert "ValueError: invalid literal" in str(line["exception"])


def test_no_secret_is_written(lines: io.StringIO) -> None:
    logs.get("room").info("to postgresql://me:hunter2@host/db", url="nats://u:hunter2@h:4222", api_key="hunter2")
    logging.getLogger("trunkline").error("at %s", "nats://a:hunter2@b")
    logging.getLogger("trunkline").error("at %s", "host=h password=hunter2 dbname=d")
    assert "hunter2" not in lines.getvalue()
    assert "postgresql://me:***@host/db" in lines.getvalue()


def test_wrong_names_are_refused() -> None:
    with pytest.raises(ValueError, match="log level"):
        logs.configure("loud")
    with pytest.raises(ValueError, match="log format"):
        logs.configure("info", "xml")
