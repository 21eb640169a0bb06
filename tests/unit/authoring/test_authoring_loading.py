"""Finding the App that a command line names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trunkline import BadDeclaration
from trunkline.authoring.loading import load_app

APP = "from trunkline import App\napp = App({name!r})\n"


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    """Modules and paths that a test brings in are gone after it."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file(tmp_path):
    path = write(tmp_path / "shop_one.py", APP.format(name="one"))
    assert load_app(str(path)).name == "one"
    assert load_app("shop_one.py").name == "one"
    assert load_app(f"{path}:app") is load_app("shop_one")


def test_a_file_that_imports_its_neighbours_and_is_imported_by_them(tmp_path):
    write(tmp_path / "shop_two.py", APP.format(name="two") + "import neighbour_two\n")
    write(tmp_path / "neighbour_two.py", "from shop_two import app\n")
    app = load_app(str(tmp_path / "shop_two.py"))
    assert sys.modules["neighbour_two"].app is app


def test_a_file_of_a_package(tmp_path):
    write(tmp_path / "desk_pkg" / "__init__.py", "")
    write(tmp_path / "desk_pkg" / "inner" / "__init__.py", "from desk_pkg.inner.tools import NAME\n")
    write(tmp_path / "desk_pkg" / "inner" / "tools.py", "NAME = 'three'\n")
    path = write(tmp_path / "desk_pkg" / "inner" / "main.py", "from .tools import NAME\n" + APP.format(name="three"))
    assert load_app(str(path)).name == "three"
    assert load_app("desk_pkg.inner.main:app").name == "three"
    package = write(tmp_path / "whole_pkg" / "__init__.py", APP.format(name="whole"))
    assert load_app(str(package)).name == "whole"


def test_several_apps_need_a_name(tmp_path):
    two = APP.format(name="a").replace("app =", "first =") + "second = App('b')\n"
    write(tmp_path / "shop_three.py", two)
    assert load_app("shop_three:second").name == "b"
    with pytest.raises(BadDeclaration, match=r"holds several Apps: first, second. Write shop_three:first"):
        load_app("shop_three")
    write(tmp_path / "shop_four.py", two + "app = first\n")
    assert load_app("shop_four.py").name == "a"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "it names neither a file nor a module"),
        (":app", "it names neither a file nor a module"),
        ("nowhere.py", "there is no file nowhere.py"),
        ("no/where.py:app", "there is no file no/where.py"),
        ("nowhere_at_all", "there is no module 'nowhere_at_all'"),
        ("nowhere_at_all.sub:app", "there is no module 'nowhere_at_all.sub'"),
        ("empty_shop.py", 'empty_shop holds no App. Write app = App("empty_shop") in it'),
        ("empty_shop:app", "empty_shop has no App named 'app'; it has: none"),
        ("good_shop:other", "good_shop has no App named 'other'; it has: app"),
        ("needs_more.py", "importing needs_more raised ModuleNotFoundError: No module named 'not_installed'"),
        ("raises.py", "importing raises raised ZeroDivisionError: division by zero"),
        ("syntax.py", "importing syntax raised SyntaxError"),
        ("bad-name.py", "'bad-name' cannot be imported. Use letters, digits and _ only"),
        ("json.py", "a module 'json' exists already"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, spec, says):
    write(tmp_path / "empty_shop.py", "")
    write(tmp_path / "good_shop.py", APP.format(name="good"))
    write(tmp_path / "needs_more.py", "import not_installed\n")
    write(tmp_path / "raises.py", "x = 1\ny = 1 / 0\n")
    write(tmp_path / "syntax.py", "def\n")
    write(tmp_path / "bad-name.py", "")
    write(tmp_path / "json.py", "")
    with pytest.raises(BadDeclaration) as caught:
        load_app(spec)
    assert says in str(caught.value)


def test_the_place_of_an_error_is_said(tmp_path):
    path = write(tmp_path / "raises_two.py", "x = 1\ny = 1 / 0\n")
    with pytest.raises(BadDeclaration, match=rf"\({path}, line 2\). See it whole with: python -c 'import raises_two'"):
        load_app("raises_two")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("def (", "SyntaxError: invalid syntax"),
        ('app.tool(effect="odd")(print)', "BadDeclaration: "),
        ('app.agent("no spaces")', "BadName: "),
        ('app.llm_agent("a", model=1, instructions=[])', ""),
    ],
)
def test_the_place_is_the_users_own(tmp_path, wrong, says):
    path = write(tmp_path / "wrongly.py", APP.format(name="w") + wrong + "\n")
    with pytest.raises(BadDeclaration, match=f"raised {says}") as caught:
        load_app("wrongly.py")
    assert f"({path}, line 3). See it whole" in str(caught.value)
    assert str(caught.value).count("line 3") == 1
