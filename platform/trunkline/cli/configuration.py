"""The settings as a command takes them: from the environment, with what its options say before it."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from trunkline.domain.errors import NotUnderstood
from trunkline.settings import Settings


def load_settings(**given: Any) -> Settings:
    """The settings of the environment; what is ``given`` (and not None) goes before.

    Raises:
        NotUnderstood: a variable holds something that it cannot; its value is not told, as it may be secret.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        variable = "TRUNKLINE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise NotUnderstood(what=variable, reason=first["msg"].removeprefix("Value error, ")) from None
