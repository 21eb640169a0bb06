"""``import trunkline`` is light, and every public name is there."""

import subprocess
import sys

import pytest

import trunkline


@pytest.mark.parametrize("name", trunkline.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(trunkline, name).__name__ == name


def test_no_other_name_is() -> None:
    with pytest.raises(AttributeError, match="Agnet"):
        trunkline.Agnet  # type: ignore[attr-defined]  # noqa: B018


def test_importing_it_loads_no_heavy_library() -> None:
    code = "import sys, trunkline; print(*sorted(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    )
    assert not loaded & {"pydantic", "sqlalchemy", "psycopg", "nats", "faststream", "litellm", "rich", "fastapi"}
