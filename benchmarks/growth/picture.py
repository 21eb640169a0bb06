"""The results as a picture: for each table a panel, CPU milliseconds of one thing over the size, both logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

Row = Mapping[str, Any]

_WIDTH, _HEIGHT, _LEFT, _TOP, _COLUMNS = 440, 230, 52, 30, 2  # pixels, and panels side by side
_COLOURS = ("#1f6feb", "#d29922", "#2da44e", "#cf222e", "#8250df")
_APART = {"wall_ms", "supervisor_ms"}  # the supervisor's is what it needs by itself while the work lasts
_STYLE = "text { font: 11px sans-serif; fill: #24292f } .head { font-weight: bold; font-size: 12px }"


def plot(tables: Mapping[str, Sequence[Row]]) -> str:
    """The SVG's text. A row's first value is its size; what else it holds of numbers ending in ``_ms`` is drawn: of a
    measurement with several processes the sum of their CPU, and not the time that it took.
    """
    panels = [(name, rows) for name, rows in tables.items() if len(rows) > 1]
    height = _HEIGHT * math.ceil(len(panels) / _COLUMNS)
    body: list[str] = []
    for place, (name, rows) in enumerate(panels):
        x, y = _WIDTH * (place % _COLUMNS), _HEIGHT * (place // _COLUMNS)
        body += [f'<g transform="translate({x},{y})">', *_panel(name, rows), "</g>"]
    size = f'width="{_WIDTH * _COLUMNS}" height="{height}" viewBox="0 0 {_WIDTH * _COLUMNS} {height}"'
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{_STYLE}</style>"]
    return "\n".join([*head, '<rect width="100%" height="100%" fill="white"/>', *body, "</svg>", ""])


def lines_of(rows: Sequence[Row]) -> dict[str, list[tuple[float, float]]]:
    """By name: size and CPU milliseconds of each row."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        size = float(next(iter(row.values())))
        for name, value in row.items():
            cpu = _cpu_of(name, value)
            if cpu:
                lines.setdefault(name.removesuffix("_ms").replace("_", " "), []).append((size, cpu))
    return lines


def _cpu_of(name: str, value: Any) -> float | None:
    if isinstance(value, Mapping):
        return sum(float(value[part]) for part in value if part.endswith("_ms") and part not in _APART)
    return float(value) if name.endswith("_ms") else None


def _panel(name: str, rows: Sequence[Row]) -> Iterator[str]:
    lines = lines_of(rows)
    points = [point for line in lines.values() for point in line]
    sizes = [math.log10(size) for size, _ in points]
    costs = [math.log10(cost) for _, cost in points]
    lowest, highest = math.floor(min(costs)), math.ceil(max(costs) + 0.01)
    right, bottom = _WIDTH - 40, _HEIGHT - 40 - 13

    def at(size: float, cost: float) -> str:
        x = _LEFT + (math.log10(size) - min(sizes)) / ((max(sizes) - min(sizes)) or 1) * (right - _LEFT)
        y = bottom - (math.log10(cost) - lowest) / (highest - lowest) * (bottom - _TOP)
        return f"{x:.1f},{y:.1f}"

    yield f'<text class="head" x="8" y="16">{escape(name)}: CPU ms by {escape(next(iter(rows[0])))}</text>'
    for power in range(lowest, highest + 1):
        y = at(10 ** min(sizes), 10.0**power).split(",")[1]
        yield f'<line x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}" stroke="#d0d7de"/>'
        yield f'<text x="{_LEFT - 6}" y="{float(y) + 4}" text-anchor="end">{10.0**power:g}</text>'
    for size in sorted({size for size, _ in points}):
        middle = at(size, 10.0**lowest).split(",")[0]
        yield f'<text x="{middle}" y="{bottom + 15}" text-anchor="middle">{size:,.0f}</text>'
    for place, (line, its) in enumerate(lines.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        drawn = " ".join(at(*point) for point in its)
        yield f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>'
        left, down = _LEFT + 135 * (place % 3), bottom + 30 + 13 * (place // 3)
        yield f'<text x="{left}" y="{down}" style="fill: {colour}">{escape(line)}</text>'
