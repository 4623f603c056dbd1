"""Class paths ("module:Class") → classes, with the reason in one paragraph when there is none.

A path names a module that can be imported, or one that lies beside the configuration: the file's folder goes first on
`sys.path`. Importing runs the module, so whatever it raises is the module's own error and is reported as such.
"""

import difflib
import importlib
import re
import sys
import traceback
from operator import attrgetter
from pathlib import Path as FilePath
from types import ModuleType
from typing import Any

from actors.framework_settings import OWN_PACKAGES
from mesostic.config.document import Document, guess
from mesostic.config.toml import Path

_NOT_THE_AUTHORS = {*OWN_PACKAGES, *sys.stdlib_module_names}
_CLASS_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def make_importable(folder: FilePath) -> None:
    """Put the configuration's folder first on `sys.path`, and the current folder last, each once."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    here = str(FilePath.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def load_class(class_path: object, base: type, what: str, path: Path, document: Document) -> type | None:
    """The class that `class_path`, found at `path`, names; None after noting what is wrong.

    It has to be a subclass of `base`, in words: `what`.
    """
    if not isinstance(class_path, str) or not _CLASS_PATH.fullmatch(class_path):
        document.problem(path, f'expected a class path such as "scheduler:MyScheduler", found {class_path!r}')
        return None
    module_name, _, class_name = class_path.partition(":")
    try:
        module = _import(module_name, document.folder)
        _refuse_shadow(module_name, document.folder)
        return _class_in(module, class_name, base, what)
    except _LoadError as wrong:
        document.problem(path, f"{class_path}{wrong}")
        return None


class _LoadError(Exception):
    """The end of a sentence that begins with the class path."""


def lies_in(module_name: str, folder: FilePath) -> FilePath | None:
    """The file or package folder of an imported module's topmost package, when it lies directly in `folder`."""
    top = module_name.partition(".")[0]
    module = sys.modules.get(top)
    origins = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
    for candidate in (folder / f"{top}.py", folder / top):
        if candidate.exists() and any(
            origin and FilePath(origin).resolve().is_relative_to(candidate) for origin in origins
        ):
            return candidate
    return None


def _import(module_name: str, folder: FilePath) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not missing or not f"{module_name}.".startswith(f"{missing}."):
            text = f"the module {module_name} imports {missing}, which is not installed{_frame(error)}"
        else:
            packages = {entry.parent.name for entry in folder.glob("*/__init__.py")}
            names = {entry.stem for entry in folder.glob("*.py")} | packages
            looked = f" (looked in {folder} and in the installed packages)"
            text = f"there is no module {missing}{guess(missing, names) or looked}"
    except SyntaxError as error:
        file = FilePath(error.filename or "?")
        shown = file.relative_to(folder) if file.is_relative_to(folder) else file.name
        text = f"the module {module_name} is not valid Python: {error.msg} ({shown}, line {error.lineno})"
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        text = f"importing the module {module_name} failed: {why}{_frame(error)}"
    raise _LoadError(f": {text}")


def _refuse_shadow(module_name: str, folder: FilePath) -> None:
    """Complain where the module beside the file cannot be had, because Python knows another one of that name."""
    top = module_name.partition(".")[0]
    other = getattr(sys.modules.get(top), "__file__", None) or "a module of Python itself"
    # or one of the same project, from where it was loaded first (in a process that loads several)
    is_foreign = "site-packages" in other or top in sys.stdlib_module_names
    if is_foreign and (folder / f"{top}.py").exists() and lies_in(module_name, folder) is None:
        raise _LoadError(
            f": there is a {top}.py beside the configuration, but {top} is also the name of {other}, which"
            " was imported first; rename your module"
        )


def _class_in(module: ModuleType, class_name: str, base: type, what: str) -> type:
    try:
        found: Any = attrgetter(class_name)(module)
    except AttributeError:
        classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
        names = [name for name, cls in classes.items() if issubclass(cls, base) and cls is not base]
        near = difflib.get_close_matches(class_name, names, n=1, cutoff=0.5)
        has = f"; it has {', '.join(sorted(names))}" if names else ""
        hint = f"; did you mean {module.__name__}:{near[0]}?" if near else has
        raise _LoadError(f": the module {module.__name__} has no {class_name}{hint}") from None
    if not isinstance(found, type):
        name = type(found).__name__
        article = "an" if name[0].lower() in "aeiou" else "a"
        raise _LoadError(f" is not a class but {article} {name}; expected {what}")
    if not issubclass(found, base):
        bases = ", ".join(cls.__name__ for cls in found.__mro__[1:-1]) or "object"
        raise _LoadError(f" is not {what}; it is a subclass of {bases}")
    return found


def _frame(error: BaseException) -> str:
    """The last place in the author's own code that led to it: not in Python, in Mesostic, or in a library."""
    places = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _NOT_THE_AUTHORS
    ]
    own = [place for place in places if "site-packages" not in place[0]] or places
    return f" ({FilePath(own[-1][0]).name}, line {own[-1][1]})" if own else ""
