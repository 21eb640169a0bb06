"""What is drawn of measurements of growth: CPU of all processes by size, and nothing of the time that passed."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from benchmarks.growth.picture import lines_of, plot

ROWS = [
    {"entries": 10, "a_step": {"agents_ms": 1.0, "postgres_ms": 0.5, "supervisor_ms": 9.0, "wall_ms": 7.0, "rows": 3}},
    {"entries": 1000, "a_step": {"agents_ms": 2.0, "postgres_ms": 1.0, "wall_ms": 8.0}, "tables_read_whole": ["x"]},
]
FLAT = [{"turns": 1, "replay_ms": 0.5, "bytes": 9}, {"turns": 10, "replay_ms": 0.5, "bytes": 99}]


def test_a_line_is_the_cpu_of_all_processes() -> None:
    assert lines_of(ROWS) == {"a step": [(10.0, 1.5), (1000.0, 3.0)]}
    assert lines_of(FLAT) == {"replay": [(1.0, 0.5), (10.0, 0.5)]}


def test_the_picture_is_svg_with_a_panel_for_each_table() -> None:
    picture = ET.fromstring(plot({"journals": ROWS, "flat & low": FLAT, "one size": FLAT[:1]}))
    heads = [text.text for text in picture.iter() if text.get("class") == "head"]
    assert heads == ["journals: CPU ms by entries", "flat & low: CPU ms by turns"]
    assert len([line for line in picture.iter() if line.tag.endswith("polyline")]) == 2
