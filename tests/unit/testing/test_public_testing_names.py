"""``trunkline.testing`` is light: pytest loads its plugin whenever it starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from trunkline import testing

HEAVY = {"pydantic", "sqlalchemy", "psycopg", "nats", "faststream", "litellm", "trunkline_workers", "pytest_asyncio"}


@pytest.mark.parametrize("name", testing.__all__)
def test_every_public_name_is_there(name: str) -> None:
    found = getattr(testing, name)
    assert name in ("ExchangeFactory", found.__name__)


def test_no_other_name_is() -> None:
    with pytest.raises(AttributeError, match="Exchagne"):
        testing.Exchagne  # type: ignore[attr-defined]  # noqa: B018


def test_the_plugin_imports_nothing_of_weight() -> None:
    code = "import sys, trunkline.testing.plugin; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_running_a_handler_imports_no_worker() -> None:
    code = "import sys\nfrom trunkline import testing\ntesting.run\nprint(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"faststream", "psycopg", "litellm", "trunkline_workers"} & set(loaded)
