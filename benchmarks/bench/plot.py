"""The rows as a picture: an SVG of bars on a logarithmic scale, a panel for each workload and number in flight."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

Row = Mapping[str, Any]

_PANEL, _NAMES, _BAR, _GAP, _HEAD, _EDGE, _VALUE = 440, 160, 16, 6, 30, 16, 62  # pixels
_TITLE = 44
_OURS, _FLOOR, _OTHERS = "#1f6feb", "#8b949e", "#d29922"
_NOT_DURABLE = {"floor", "litellm-alone", "taskiq-undurable"}  # limits, and not peers
_LEGEND = ((_OURS, "Trunkline"), (_OTHERS, "peers"), (_FLOOR, "limits: a bare core loop, or not durable"))
_STYLE = "text { font: 12px sans-serif; fill: #24292f } .head { font-weight: bold } .small { font-size: 11px }"


def plot(rows: Sequence[Row]) -> str:
    """The SVG's text. Bars are steps a second; in each workload a decade is as long as every other."""
    shown = [row for row in rows if row["steps_per_s"]]
    body, bottom = list(_legend()), _TITLE
    for workload in dict.fromkeys(row["workload"] for row in shown):
        here = [row for row in shown if row["workload"] == workload]
        body += _workload(workload, here, bottom)
        bottom += _height(here)
    width = max(2, len({row["in_flight"] for row in shown})) * _PANEL + 2 * _EDGE
    size = f'width="{width}" height="{bottom}" viewBox="0 0 {width} {bottom}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{_STYLE}</style>"]
    return "\n".join([*lines, '<rect width="100%" height="100%" fill="white"/>', *body, "</svg>", ""])


def _legend() -> Iterator[str]:
    left = _EDGE
    for colour, meaning in _LEGEND:
        yield f'<rect x="{left}" y="14" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{left + 18}" y="24">{escape(meaning)}</text>'
        left += 40 + 7 * len(meaning)
    yield f'<text class="small" x="{left}" y="24">steps a second (accepted runs in ingress), logarithmic</text>'


def _workload(workload: str, rows: Sequence[Row], top: int) -> Iterator[str]:
    most = max(row["steps_per_s"] for row in rows)
    for column, in_flight in enumerate(sorted({row["in_flight"] for row in rows})):
        left = _EDGE + column * _PANEL
        yield f'<text class="head" x="{left}" y="{top + 18}">{escape(workload)}, {in_flight:,} in flight</text>'
        yield from _panel([row for row in rows if row["in_flight"] == in_flight], left, top + _HEAD, most)


def _height(rows: Sequence[Row]) -> int:
    levels = [row["in_flight"] for row in rows]
    return _HEAD + max(levels.count(one) for one in levels) * (_BAR + _GAP) + 26


def _panel(bars: Sequence[Row], left: int, top: int, most: float) -> Iterator[str]:
    start, bottom = left + _NAMES, top + len(bars) * (_BAR + _GAP) - _GAP
    for decade in range(1, math.ceil(math.log10(max(most, 10.0)))):
        x = start + _length(10.0**decade, most)
        yield f'<path d="M{x:.1f} {top - 4}V{bottom + 4}" stroke="#d0d7de"/>'
        yield f'<text class="small" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{10**decade:,}</text>'
    for place, row in enumerate(bars):
        y, rate = top + place * (_BAR + _GAP), row["steps_per_s"]
        length = _length(rate, most)
        yield f'<text x="{start - 8}" y="{y + 12}" text-anchor="end">{escape(row["contender"])}</text>'
        size = f'width="{length:.1f}" height="{_BAR}"'
        yield f'<rect class="bar" x="{start}" y="{y}" {size} fill="{_colour(row["contender"])}"/>'
        yield f'<text x="{start + length + 6:.1f}" y="{y + 12}">{rate:,.0f}</text>'


def _length(rate: float, most: float) -> float:
    """From one step a second, where a bar begins."""
    return (_PANEL - _NAMES - _VALUE) * math.log10(max(rate, 1.0) + 0.1) / math.log10(max(most, 10.0))


def _colour(contender: str) -> str:
    if contender in _NOT_DURABLE:
        return _FLOOR
    return _OURS if contender.startswith("trunkline") else _OTHERS
