"""From text on a command line to the App in a file or a module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from trunkline.authoring.app import App
from trunkline.domain.errors import BadDeclaration

_PACKAGE = Path(__file__).parents[1]
_HOW = "Write a file or a module, with the App's name where there are several: app.py, app.py:app or package.module:app"


def load_app(spec: str) -> App:
    """The ``App`` that ``path/to/file.py[:name]`` or ``package.module[:name]`` holds.

    Raises:
        BadDeclaration: nothing is there, it cannot be imported, or it holds no App or several.
    """
    place, _, name = spec.rpartition(":") if _has_name(spec) else (spec, "", "")
    what = f"APP {spec!r}"
    if not place:
        raise BadDeclaration(what=what, reason="it names neither a file nor a module", fix=_HOW)
    is_file = place.endswith(".py") or "/" in place or "\\" in place
    module = _from_file(Path(place), what) if is_file else _from_name(place, what)
    return _pick(module, name, what)


def _has_name(spec: str) -> bool:
    return spec.rpartition(":")[2].isidentifier() and ":" in spec


def _from_file(path: Path, what: str) -> ModuleType:
    """Import the file under the name that its siblings would import it by, so that it is never there twice."""
    if not path.is_file():
        raise BadDeclaration(what=what, reason=f"there is no file {path}", fix=_HOW)
    path = path.resolve()
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    if parts[-1] == "__init__":
        parts.pop()
    name = ".".join(parts)
    if not all(part.isidentifier() for part in parts):
        raise BadDeclaration(what=what, reason=f"{name!r} cannot be imported", fix="Use letters, digits and _ only")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module = _from_name(name, what)
    if Path(module.__file__ or "").resolve() != path:
        fix = "Rename your file"
        raise BadDeclaration(what=what, reason=f"a module {name!r} exists already ({module.__file__})", fix=fix)
    return module


def _from_name(name: str, what: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise BadDeclaration(what=what, reason=f"there is no module {name!r}", fix=_HOW) from None
        raise _broken(name, what, error) from None
    except Exception as error:  # noqa: BLE001  (whatever the user's module raises)
        raise _broken(name, what, error) from None


def _broken(name: str, what: str, error: Exception) -> BadDeclaration:
    said, where = (error.msg, _mistyped(error)) if isinstance(error, SyntaxError) else (str(error), _written(error))
    reason = f"importing {name} raised {type(error).__name__}: {said}{where}"
    return BadDeclaration(what=what, reason=reason, fix=f"See it whole with: python -c 'import {name}'")


def _mistyped(error: SyntaxError) -> str:
    return f" ({error.filename}, line {error.lineno})" if error.filename else ""


def _written(error: Exception) -> str:
    """The line of the user's that led to ``error``: the last one before it went on in here."""
    where, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        ours = Path(file).is_relative_to(_PACKAGE)
        if ours and where:
            break
        if not ours and "importlib" not in file and not file.startswith("<"):
            where = f" ({file}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return where


def _pick(module: ModuleType, name: str, what: str) -> App:
    apps = {key: value for key, value in vars(module).items() if isinstance(value, App)}
    if name:
        if name not in apps:
            reason = f"{module.__name__} has no App named {name!r}; it has: {', '.join(apps) or 'none'}"
            raise BadDeclaration(what=what, reason=reason, fix=_HOW)
        return apps[name]
    distinct = {id(app): app for app in apps.values()}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if "app" in apps:
        return apps["app"]
    if not apps:
        fix = f'Write app = App("{module.__name__.rpartition(".")[2]}") in it'
        raise BadDeclaration(what=what, reason=f"{module.__name__} holds no App", fix=fix)
    reason = f"{module.__name__} holds several Apps: {', '.join(apps)}"
    raise BadDeclaration(what=what, reason=reason, fix=f"Write {what[5:-1]}:{next(iter(apps))}")
