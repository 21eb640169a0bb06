"""Statements that are planned once, and the settings of the sessions that plan them."""

from __future__ import annotations

import re

SESSION = {
    # Every table is reached through an index by ``= any(…)``, whatever the statistics say: a plan that was made when
    # the tables were empty stays good, and locks are taken in the order of the index.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_nestloop": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


class Statement:
    """SQL with numbered parameters, and the name of each in its place."""

    def __init__(self, sql: str) -> None:
        self.names: list[str] = []
        self.text = re.sub(r"%\((\w+)\)s", self._number, sql).encode()

    def _number(self, match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in self.names:
            self.names.append(name)
        return f"${self.names.index(name) + 1}"
