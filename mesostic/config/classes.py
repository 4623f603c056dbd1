"""Class paths ("module:Class") → classes, with the reason in one paragraph when there is none.

A path names a module that can be imported, or one that lies beside the configuration: the file's folder goes first on
`sys.path`. Importing runs the module, so whatever it raises is the module's own error and is reported as such.
"""

import difflib
import importlib
import sys
import traceback
from pathlib import Path as FilePath
from types import ModuleType

from mesostic.config.document import Document
from mesostic.config.toml import Path


def make_importable(folder: FilePath) -> None:
    """Put the configuration's folder first on `sys.path`, and the current folder last, each once."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    here = str(FilePath.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def load_class(class_path: object, base: type, what: str, path: Path, document: Document) -> type | None:
    """The class that `class_path` names, a subclass of `base`; None after noting what is wrong.

    Args:
        class_path: as it is in the file.
        base: what it has to be a subclass of.
        what: how to call such a class in a message, for example "a scheduler (a subclass of SchedulerActor)".
        path: the key.
        document: takes the problems.
    """
    if not isinstance(class_path, str) or not _is_class_path(class_path):
        document.problem(path, f'expected a class path such as "scheduler:MyScheduler", found {class_path!r}')
        return None
    module_name, _, class_name = class_path.partition(":")
    module = _import(module_name, class_path, path, document)
    if module is None or _is_shadowed(module_name, class_path, path, document):
        return None
    found: object = module
    for part in class_name.split("."):
        if not hasattr(found, part):
            names = [name for name, value in vars(module).items() if _is_candidate(value, base)]
            near = difflib.get_close_matches(class_name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {module_name}:{near[0]}?" if near else _has(names)
            document.problem(path, f"{class_path}: the module {module_name} has no {class_name}{hint}")
            return None
        found = getattr(found, part)
    if not isinstance(found, type):
        document.problem(path, f"{class_path} is not a class but {_a(type(found).__name__)}; expected {what}")
        return None
    if not issubclass(found, base):
        bases = ", ".join(cls.__name__ for cls in found.__mro__[1:-1]) or "object"
        document.problem(path, f"{class_path} is not {what}; it is a subclass of {bases}")
        return None
    return found


def lies_in(module_name: str, folder: FilePath) -> FilePath | None:
    """The file or package folder of an imported module's topmost package, when it lies directly in `folder`."""
    top = module_name.partition(".")[0]
    for candidate in (folder / f"{top}.py", folder / top):
        if candidate.exists():
            module = sys.modules.get(top)
            origins = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
            if any(origin and FilePath(origin).resolve().is_relative_to(candidate) for origin in origins):
                return candidate
    return None


def _is_shadowed(module_name: str, class_path: str, path: Path, document: Document) -> bool:
    """Whether the module beside the file cannot be had, because Python knows another one of that name."""
    top = module_name.partition(".")[0]
    if not (document.folder / f"{top}.py").exists() or lies_in(module_name, document.folder) is not None:
        return False
    other = getattr(sys.modules.get(top), "__file__", None) or "a module of Python itself"
    if "site-packages" not in other and top not in sys.stdlib_module_names:
        return (
            False  # one of the same project, from where it was loaded first (in a process that loads several)
        )
    document.problem(
        path,
        f"{class_path}: there is a {top}.py beside the configuration, but {top} is also the name of {other}, which"
        " was imported first; rename your module",
    )
    return True


def _import(module_name: str, class_path: str, path: Path, document: Document) -> ModuleType | None:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing and (module_name == missing or module_name.startswith(missing + ".")):
            document.problem(
                path, f"{class_path}: there is no module {missing}{_near_module(missing, document.folder)}"
            )
        else:
            document.problem(
                path, f"{class_path}: the module {module_name} imports {missing}, which is not installed"
                f"{_frame(error)}"
            )  # fmt: skip
    except SyntaxError as error:
        place = f"{_short(error.filename, document.folder)}, line {error.lineno}"
        document.problem(
            path, f"{class_path}: the module {module_name} is not valid Python: {error.msg} ({place})"
        )
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        document.problem(
            path,
            f"{class_path}: importing the module {module_name} failed: {type(error).__name__}: {text}{_frame(error)}",
        )
    return None


def _frame(error: BaseException) -> str:
    """The place in the user's code where it happened."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
        and "importlib" not in frame.filename
        and frame.filename != __file__
    ]
    return f" ({FilePath(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _is_class_path(text: str) -> bool:
    module, colon, name = text.partition(":")
    return bool(colon) and all(part.isidentifier() for part in [*module.split("."), *name.split(".")])


def _is_candidate(value: object, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base) and value is not base


def _has(names: list[str]) -> str:
    return f"; it has {', '.join(sorted(names))}" if names else ""


def _near_module(missing: str, folder: FilePath) -> str:
    names = {entry.stem for entry in folder.glob("*.py")} | {
        entry.parent.name for entry in folder.glob("*/__init__.py")
    }
    near = difflib.get_close_matches(missing, sorted(names), n=1)
    return f"; did you mean {near[0]}?" if near else f" (looked in {folder} and in the installed packages)"


def _short(filename: str | None, folder: FilePath) -> str:
    if filename is None:
        return "?"
    file = FilePath(filename)
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else file.name


def _a(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def class_named(class_path: str) -> type:
    """The class of a path that has been loaded before."""
    module_name, _, class_name = class_path.partition(":")
    found: object = importlib.import_module(module_name)
    for part in class_name.split("."):
        found = getattr(found, part)
    assert isinstance(found, type)
    return found
