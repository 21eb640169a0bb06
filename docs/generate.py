"""Makes the reference pages of docs/ from the code (``make docs``); ``--check`` only says which are outdated.

Each page is a function that returns its whole text, so that a test can compare it with the file.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from trunkline import settings
from trunkline.bus import asyncapi

HERE = Path(__file__).parent

_SECTION = re.compile(r"    # --- (.+) ---")
_FIELD = re.compile(r"    ([a-z_]+): .*Field\(")


def settings_page() -> str:
    """Every environment variable with its default and meaning, under the headings of ``settings.py``."""
    lines = [
        "# Settings",
        "",
        "Every process reads these environment variables at its start; what it does not use it ignores. (Made from",
        "`platform/trunkline/settings.py` by `make docs`.) Durations are seconds.",
    ]
    for heading, names in _sections():
        lines += ["", f"## {heading[0].upper()}{heading[1:]}", ""]
        lines += ["| variable | default | meaning |", "| --- | --- | --- |"]
        lines += [_row(name, settings.Settings.model_fields[name]) for name in names]
    return "\n".join(lines) + "\n"


def asyncapi_page() -> str:
    """Every subject and body of the bus, with the protocol in words: an AsyncAPI 3 document."""
    namespace = settings.Settings.model_fields["namespace"].default
    return json.dumps(asyncapi.document(namespace, version("trunkline")), indent=2, ensure_ascii=False) + "\n"


def _sections() -> list[tuple[str, list[str]]]:
    sections: list[tuple[str, list[str]]] = []
    for line in inspect.getsource(settings.Settings).splitlines():
        if heading := _SECTION.match(line):
            sections.append((heading[1], []))
        elif field := _FIELD.match(line):
            sections[-1][1].append(field[1])
    return sections


def _row(name: str, field: FieldInfo) -> str:
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `TRUNKLINE_{name.upper()}` | {_default(field.get_default(call_default_factory=True))} | {meaning} |"


def _default(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return f"`{value}`" if value not in (None, "", {}) else "not set"


PAGES: dict[str, Callable[[], str]] = {"settings.md": settings_page, "asyncapi.json": asyncapi_page}


def outdated() -> list[str]:
    """The pages whose files are not what the code says."""
    return [name for name, page in PAGES.items() if not (HERE / name).exists() or (HERE / name).read_text() != page()]


def main(arguments: list[str]) -> int:
    """Write the pages that are not current; with ``--check`` name them, and fail."""
    names = outdated()
    for name in names:
        if "--check" in arguments:
            print(f"docs/{name} is not current: run make docs")
        else:
            (HERE / name).write_text(PAGES[name]())
            print(f"wrote docs/{name}")
    return 1 if names and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
