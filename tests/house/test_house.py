"""The house stands as drawn: sizes, names of packages, what a wheel installs, and pages made from code and results."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"trunkline", "trunkline_workers", "trunkline_sensors", "trunkline_migrations"}
ROOMS = ("platform", "workers", "sensors", "migrations", "examples", "docs", "benchmarks")
LONGEST = 400  # lines
INSTALLED = {".venv", "node_modules"}  # `make bench` has its peers in such


def modules() -> list[Path]:
    found = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return [path for path in found if not INSTALLED & set(path.relative_to(ROOT).parts)]


def test_there_is_something_to_look_at() -> None:
    assert len(modules()) > 50


def test_no_module_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(path.relative_to(ROOT)) for path in modules() if not path.read_text().lstrip().startswith('"""')]
    assert silent == []


@pytest.mark.parametrize("room", ["platform", "workers", "sensors", "migrations"])
def test_a_room_is_no_package(room: str) -> None:
    """An ``__init__.py`` in platform/ would hide the standard library's module."""
    assert not (ROOT / room / "__init__.py").exists()


def test_no_room_without_a_purpose_in_its_name() -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "misc"}
    assert [path for path in modules() if vague & {path.stem, path.parent.name}] == []


def test_the_architecture_page_shows_the_layers_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [one["layers"] for one in contracts if one["type"] == "layers"]
    checked = [(str(number), room) for number, layer in enumerate(layers, 1) for room in layer.split(" | ")]
    page = (ROOT / "ARCHITECTURE.md").read_text()
    assert re.findall(r"^\| (\d+) \| `([\w.]+)` \| .+ \|$", page, re.MULTILINE) == checked


def test_the_architecture_page_names_what_is_at_the_top() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    assert [room for room in (*ROOMS, "tests", "deploy") if f"`{room}/`" not in page] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that a user would install."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(directory.glob("*.whl"))


def test_nothing_generic_is_installed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == OURS


def test_a_wheel_brings_the_migrations_and_the_types(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "trunkline/py.typed" in names
    assert any(name.startswith("trunkline_migrations/versions/0001") for name in names)


def test_a_wheel_brings_the_demo(wheel: Path) -> None:
    assert "trunkline/examples/support_desk/demo.py" in zipfile.ZipFile(wheel).namelist()


def test_a_wheel_brings_the_pytest_plugin(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [entry_points] = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    text = archive.read(entry_points).decode()
    assert "[pytest11]\ntrunkline.testing.plugin = trunkline.testing.plugin\n" in text


def test_the_reference_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_readmes_figures_are_those_of_the_latest_benchmark() -> None:
    command = [sys.executable, "-m", "benchmarks.bench.table", "--check"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
