"""The picture of an overload: a panel for each way in, and one for the memory of each whose minutes were measured."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from benchmarks.overload.curve import curve


def phase(times: float) -> dict[str, Any]:
    return {
        "times": times,
        "saturation_per_s": 100.0,
        "completed_per_s": 100.0,
        "accepted_per_s": 100.0,
        "seconds": 10.0,
        "answered": {"202": 1000, "503": 500, "429": 500},
    }


def test_there_is_a_panel_for_each_way_and_one_for_its_memory() -> None:
    looks = [{"s": at, "agents": 81.0 + at, "gateway": 70.0, "postgres": 300.0} for at in (0.0, 5.2, 10.0)]
    steady = [{"times": times, "memory_mb_over_time": looks[: int(times) + 1]} for times in (1.0, 2.0, 1.0)]
    told = {"nats": [phase(0.5), phase(5.0)], "http": [phase(0.5), phase(5.0)], "steady": {"http": steady}}
    picture = ET.fromstring(curve(told))
    heads = [text.text or "" for text in picture.iter() if text.get("class") == "head"]
    assert [head.split(":")[0] for head in heads] == ["POST …/runs", "events", "POST …/runs"]
    assert "resident MB over 10 s" in heads[2]
    words = [text.text for text in picture.iter()]
    assert "shed 1×" in words
    assert "agents 91 MB" in words
