"""Docstrings as descriptions: what a tool does and its parameters mean (Google, NumPy and Sphinx styles)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

_SECTIONS = ("Args:", "Arguments:", "Params:", "Parameters", ":param", "Returns", "Raises", ":return", ":raise")


def described(fn: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The text of the docstring without its sections, and the description of each parameter that it names."""
    text = inspect.cleandoc(fn.__doc__ or "")
    if not any(section in text for section in _SECTIONS):
        return text, {}
    import griffe  # noqa: PLC0415  (slow to import, and most programs declare few documented tools)

    quiet: Any = {style: {"warnings": False} for style in ("google", "numpy", "sphinx")}
    sections = griffe.parse_auto(griffe.Docstring(text), per_style_options=quiet)
    prose = [section.value for section in sections if section.kind is griffe.DocstringSectionKind.text]
    parameters = {
        item.name: " ".join(item.description.split())
        for section in sections
        if section.kind is griffe.DocstringSectionKind.parameters
        for item in section.value
    }
    return "\n\n".join(prose).strip(), parameters
