"""The rows as a picture: an SVG of bars on a logarithmic scale, a panel for each workload and runs in flight."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

Row = Mapping[str, Any]

_WIDTH, _NAMES, _BAR, _GAP, _HEAD = 760, 150, 18, 6, 34  # pixels
_COLOURS = {"trunkline": "#1f6feb", "trunkline-batched": "#1f6feb", "floor": "#8b949e"}
_OTHERS = "#d29922"
_STYLE = "text { font: 12px sans-serif; fill: #24292f } .head { font-weight: bold }"


def plot(rows: Sequence[Row]) -> str:
    """The SVG's text. Bars are steps a second; a decade is as long as every other."""
    shown = [row for row in rows if row["steps_per_s"]]
    most = max((row["steps_per_s"] for row in shown), default=10.0)
    body, bottom = [], 8
    for (workload, in_flight), panel in groupby(shown, key=lambda row: (row["workload"], row["in_flight"])):
        body.append(f'<text class="head" x="8" y="{bottom + 20}">{escape(workload)}, {in_flight:,} in flight</text>')
        bars = list(panel)
        body += _panel(bars, bottom + _HEAD, most)
        bottom += _HEAD + len(bars) * (_BAR + _GAP) + 10
    size = f'width="{_WIDTH}" height="{bottom}" viewBox="0 0 {_WIDTH} {bottom}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{_STYLE}</style>"]
    return "\n".join([*lines, '<rect width="100%" height="100%" fill="white"/>', *body, "</svg>", ""])


def _panel(bars: Sequence[Row], top: int, most: float) -> Iterator[str]:
    for place, row in enumerate(bars):
        y = top + place * (_BAR + _GAP)
        rate = row["steps_per_s"]
        length = (_WIDTH - _NAMES - 110) * math.log10(max(rate, 1.0) + 1) / math.log10(most + 1)
        colour = _COLOURS.get(row["contender"], _OTHERS)
        yield f'<text x="{_NAMES - 8}" y="{y + 13}" text-anchor="end">{escape(row["contender"])}</text>'
        yield f'<rect x="{_NAMES}" y="{y}" width="{length:.1f}" height="{_BAR}" fill="{colour}"/>'
        yield f'<text x="{_NAMES + length + 6:.1f}" y="{y + 13}">{rate:,.0f} steps/s</text>'
