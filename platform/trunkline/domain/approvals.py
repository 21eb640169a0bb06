"""An approval is a wait for one signal whose name holds the digest of what is to be approved.

So a decision about other arguments, or one that comes before it was asked for, answers nothing.
"""

from __future__ import annotations

from typing import Any

from trunkline.domain.codec import digest
from trunkline.domain.ids import derived_id

PREFIX = "approve:"
DIGITS = 16


def signal_name(name: str, subject: Any) -> str:
    """The signal that decides about ``subject`` under the approval's ``name``."""
    return f"{PREFIX}{name}:{digest(subject)[:DIGITS]}"


def parts_of(signal: str) -> tuple[str, str] | None:
    """(name, digest) of an approval's signal; ``None`` for any other."""
    if not signal.startswith(PREFIX):
        return None
    name, _, digits = signal.removeprefix(PREFIX).rpartition(":")
    return name, digits


def approval_id(run: str, step: str) -> str:
    """The id under which the decision that a step waits for is listed and given."""
    return derived_id("approval", run, step)
