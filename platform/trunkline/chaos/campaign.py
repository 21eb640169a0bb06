"""What a campaign is: the App, its load, what is done to it, and who hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trunkline.authoring.app import App
from trunkline.chaos.load import Orders
from trunkline.chaos.plan import Part, Slot


class Narrator(Protocol):
    """Hears what happens."""

    def say(self, text: str, style: str = "") -> None: ...
    def progress(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Campaign:
    """What was asked for. ``within`` is in seconds, for all but the count; ``data`` keeps the servers' data."""

    spec: str
    app: App
    orders: Orders
    slots: list[Slot]
    within: float
    workers: int
    seed: int
    data: Path | None = None

    @property
    def runs(self) -> int:
        return sum(len(slot.runs) for slot in self.slots)

    @property
    def gateway(self) -> bool:
        return any(slot.strike.part is Part.GATEWAY for slot in self.slots)
