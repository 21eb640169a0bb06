"""The phases as a picture: what was completed, accepted and shed a second, by what was offered; memory over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _LEFT, _TOP, _PANEL = 760, 250, 70, 40, 300  # pixels
_LINE = 15  # pixels from one line of words to the next
_STYLE = "text { font: 12px sans-serif; fill: #24292f } .head { font-weight: bold } polyline { fill: none }"
_LINES = {"completed": "#1f6feb", "accepted": "#2da44e", "shed": "#d29922"}
_PROCESSES = {"agents": "#1f6feb", "gateway": "#2da44e", "supervisor": "#d29922"}
_WAYS = {"http": "POST …/runs", "nats": "events"}


def curve(told: Mapping[str, Any]) -> str:
    """The SVG's text, a panel for each way in."""
    body: list[str] = []
    ways = [way for way in _WAYS if way in told]
    for place, way in enumerate(ways):
        body += _panel(told[way], _WAYS[way], place * _PANEL)
    panels = len(ways)
    for way in (one for one in ways if one in told.get("steady", {})):
        worst = max(told["steady"][way], key=lambda one: one["times"])
        body += _memory(worst["memory_mb_over_time"], _WAYS[way], panels * _PANEL)
        panels += 1
    height = panels * _PANEL + 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}">'
    return "\n".join(
        [head, f"<style>{_STYLE}</style>", '<rect width="100%" height="100%" fill="white"/>', *body, "</svg>", ""]
    )


def _panel(phases: Sequence[Mapping[str, Any]], title: str, top: int) -> Iterator[str]:
    right = max(one["times"] for one in phases)
    drawn = {name: [(one["times"], _rate(one, name)) for one in phases] for name in _LINES}
    most = max(rate for points in drawn.values() for _, rate in points) or 1.0
    across, down = _WIDTH - _LEFT - 130, _HEIGHT - _TOP

    def at(times: float, rate: float) -> str:
        return f"{_LEFT + across * times / right:.1f},{top + _TOP + down * (1 - rate / most):.1f}"

    head = f"{escape(title)}: a second, as multiples of what could be done just before"
    yield f'<text class="head" x="8" y="{top + 22}">{head}</text>'
    for name, colour in _LINES.items():
        yield f'<polyline stroke="{colour}" stroke-width="2" points="{" ".join(at(*one) for one in drawn[name])}"/>'
    free = 0.0  # no two words in the same place
    for name in sorted(_LINES, key=lambda one: -drawn[one][-1][1]):
        rate = drawn[name][-1][1]
        end, height = map(float, at(right, rate).split(","))
        free = max(height + 4, free)
        yield f'<text style="fill: {_LINES[name]}" x="{end + 6:.1f}" y="{free:.1f}">{name} {rate:.2g}×</text>'
        free += _LINE
    for one in phases:
        x = at(one["times"], 0).split(",")[0]
        yield f'<text x="{x}" y="{top + _HEIGHT + 18}" text-anchor="middle">{one["times"]:g}×</text>'


def _memory(looks: Sequence[Mapping[str, float]], title: str, top: int) -> Iterator[str]:
    """Megabytes of our processes while twice of what can be done was offered, and until all was done."""
    across, down = _WIDTH - _LEFT - 130, _HEIGHT - _TOP
    names = [name for name in _PROCESSES if all(name in look for look in looks)]
    longest, most = looks[-1]["s"], max(look[name] for look in looks for name in names)
    head = f"{escape(title)}: resident MB over {longest:.0f} s at twice, and until all was done"
    yield f'<text class="head" x="8" y="{top + 22}">{head}</text>'
    for place, name in enumerate(names):
        points = [
            f"{_LEFT + across * look['s'] / longest:.1f},{top + _TOP + down * (1 - look[name] / most):.1f}"
            for look in looks
        ]
        yield f'<polyline stroke="{_PROCESSES[name]}" stroke-width="2" points="{" ".join(points)}"/>'
        y = top + _TOP + 60 + 18 * place
        colour = f'style="fill: {_PROCESSES[name]}"'
        yield f'<text {colour} x="{_LEFT + across + 6}" y="{y}">{name} {looks[-1][name]:.0f} MB</text>'


def _rate(one: Mapping[str, Any], name: str) -> float:
    """In multiples of what could be done."""
    if name == "shed":
        shed = sum(count for status, count in one["answered"].items() if status in {"429", "503"})
        return float(shed / one["seconds"] / one["saturation_per_s"])
    return float(one[f"{name}_per_s"] / one["saturation_per_s"])
