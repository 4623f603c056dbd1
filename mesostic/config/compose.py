"""A document becomes a configuration: the composition of actors, the trace, the cluster. Starts nothing.

`TABLES` is the list of what a file may hold. Each part is built by a function that notes its problems in the document and
continues, so that one run of `mesostic check` finds all of them; only then the user's mistakes are raised together.

Class paths ("module:Class") name a module that can be imported, or one that lies beside the configuration: the file's folder goes
first on `sys.path`. Importing runs the module, so whatever it raises is the module's own error and is reported as such.
"""

import difflib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path as FilePath
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from actors.composition import BUILT_IN, ActorSpec, Composition
from actors.framework_settings import OWN_PACKAGES, TASK, ExecutorSettings, FrameworkSettings
from actors.runtime import Actor, NoSettings, pack_value, setting
from actors.scheduler.base_scheduler import BaseScheduler
from actors.task_actor import TaskActor
from executor.author import BadExecutor, Executor, task_methods
from mesostic.config.cluster import EmbeddedSettings, build_cluster
from mesostic.config.document import Document, guess, load_document
from mesostic.config.settings import build, settings_fields
from mesostic.config.toml import Path
from playa.settings import ClusterSettings

TABLES = ("framework", "cluster", "trace", "actors", "executors", *BUILT_IN)
"""Every table that a configuration may have."""

EMBEDDED = "embedded"
RESERVED = ("framework", "election")
"""Names of actors that are not the author's to replace."""
_A_MASTER = 'expected "embedded", "http://host:port", a list of such URLs, or "zk://host:port,host:port/path"'
_NOT_THE_AUTHORS = {*OWN_PACKAGES, *sys.stdlib_module_names}
_CLASS_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class _Kind(NamedTuple):
    """What a class has to be: a subclass of `base`, in words `what`; and which it is if none is named."""

    base: type
    what: str
    default: type | None = None


_AN_ACTOR = _Kind(Actor, "an actor (a subclass of mesostic.Actor)")
_AN_EXECUTOR = _Kind(Executor, "an executor (a subclass of mesostic.Executor)")
_KINDS = {
    **{
        name: _Kind(cls, f"a replacement of {name} (a subclass of {cls.__name__})", cls)
        for name, cls in BUILT_IN.items()
    },
    "scheduler": _Kind(BaseScheduler, "a scheduler (a subclass of mesostic.SchedulerActor)"),
    TASK: _Kind(TaskActor, "a replacement of the task actor (a subclass of TaskActor)", TaskActor),
}


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """The trace log of the framework (docs/tracing.md)."""

    file: str = setting("", help="Where every message is written; empty: no trace.", unit="path")
    payloads: bool = setting(
        True, help="Whether messages' contents are written too, or only who sent what to whom."
    )
    max_size: int = setting(
        256 * 1024 * 1024,
        help="Size at which the file becomes FILE.1, FILE.1 becomes FILE.2, and so on; 0: never.",
        unit="bytes",
    )
    keep: int = setting(4, help="How many older files are kept.")
    buffer: int = setting(
        64 * 1024,
        help="How much is collected, for half a second at most, before it is written; 0: each message at once, so that a crash loses none.",
        unit="bytes",
    )

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning (ValueError)."""
        if self.max_size < 0 or self.keep < 0 or self.buffer < 0:
            raise ValueError("max_size, keep and buffer must not be negative")


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that a file says, checked."""

    composition: Composition  # whose `framework.master` may still be "embedded"
    trace: TraceSettings
    cluster: ClusterSettings | None  # None when the master is another
    embedded: EmbeddedSettings


def load_configuration(path: str | FilePath, sets: Sequence[str] = ()) -> Configuration:
    """Read, check and compose, with the classes that the file names; ConfigError with every problem that was found."""
    return compose(load_document(path, sets))


def compose(document: Document) -> Configuration:
    """As `load_configuration`, for a document that was read before."""
    _make_importable(document.folder)
    for key, value in document.table.items():
        if key not in TABLES:
            document.unknown_key((key,), TABLES)
        elif not isinstance(value, dict):
            document.problem((key,), "expected a table")
    document.fail_on_problems()
    table = {"master": EMBEDDED, **document.table.get("framework", {})}
    framework = build(FrameworkSettings, table, ("framework",), document)
    if framework is not None:
        check_master(framework.master, ("framework", "master"), document)
    actors = _actors(document)
    if framework is not None:
        _check_standby(framework, actors, document)
    executors = _executors(document)
    trace = build(TraceSettings, document.table.get("trace", {}), ("trace",), document)
    cluster, embedded = build_cluster(document)
    document.fail_on_problems()
    assert framework is not None
    assert trace is not None
    assert embedded is not None
    composition = Composition(framework, tuple(actors), tuple(executors), trace_file=trace.file)
    return Configuration(composition, trace, cluster if framework.master == EMBEDDED else None, embedded)


def check_master(master: str | tuple[str, ...], path: Path, document: Document) -> None:
    """Note what is wrong with the address, by its form alone: nothing is connected to."""
    masters = (
        {path: master} if isinstance(master, str) else {(*path, at): url for at, url in enumerate(master)}
    )
    if not masters:
        document.problem(path, f"{_A_MASTER}, found an empty list")
    for where, url in masters.items():
        if (wrong := _wrong_with_master(url, alone=where == path)) is not None:
            document.problem(where, wrong)


def _wrong_with_master(url: str, *, alone: bool) -> str | None:
    """What is wrong; only one that stands alone may be embedded, or be found with ZooKeeper."""
    shown = f'found "{without_credentials(url)}"'
    found = f"{_A_MASTER}, {shown}"
    if alone and url == EMBEDDED:
        return None
    if alone and url.startswith("zk://"):
        hosts, _, node = url.removeprefix("zk://").rpartition("@")[2].partition("/")
        return None if hosts and node else f'expected "zk://host:port,host:port/path", {shown}'
    try:
        parts = urlsplit(url)
        host, user, _ = parts.hostname, parts.username, parts.port
    except ValueError as error:
        return f"{found} ({error})"
    if parts.scheme not in {"http", "https"} or not host:
        return found + guess(url, [EMBEDDED])
    if user is None:
        return None
    return "the URL of the master holds credentials; they belong in framework.principal and framework.secret"


def without_credentials(address: str) -> str:
    """The address as it may be shown."""
    scheme, separator, rest = address.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]


def _check_standby(framework: FrameworkSettings, actors: Sequence[ActorSpec], document: Document) -> None:
    """Note what a process cannot stand by with; and an actor in the place of the election."""
    if not framework.standby:
        return
    store = next((spec.settings for spec in actors if spec.name == "store"), None)
    path: Path = ("framework", "standby")
    if not getattr(store, "url", ""):
        text = "a standby needs a store that several processes share: set url in [store] (etcd or ZooKeeper)"
        document.problem(path, text)
    if framework.master == EMBEDDED:
        text = 'the embedded cluster is one process\'s own: a standby needs a master that all reach (see "mesostic cluster")'
        document.problem(path, text)


def _actors(document: Document) -> list[ActorSpec]:
    """The built-in actors first, in their order, then the author's own in the order of the file."""
    own = document.table.get("actors", {})
    specs = []
    for name in BUILT_IN:
        path: Path = ("actors", name) if name in own and name not in document.table else (name,)
        if name in document.table and name in own:
            document.problem(("actors", name), f"is in the file twice: as [{name}] and as [actors.{name}]")
        specs.append(_actor(name, document.table.get(name, own.get(name, {})), path, document))
    others = [name for name in own if name not in BUILT_IN]
    specs += [_actor(name, own[name], ("actors", name), document) for name in others]
    return [spec for spec in specs if spec is not None]


def _actor(name: str, table: Any, path: Path, document: Document) -> ActorSpec | None:
    if not _is_table(table, path, document):
        return None
    if name not in BUILT_IN:
        _check_name("an actor", path, document)
    if name in RESERVED:
        document.problem(path, f"an actor cannot be called {name}: one of Mesostic's own is")
    cls = _class(table, _KINDS.get(name, _AN_ACTOR), path, document)
    if cls is None or not _can_be_made(cls, (*path, "class"), document):
        return None
    settings = _settings(cls, {key: value for key, value in table.items() if key != "class"}, path, document)
    return None if settings is None else ActorSpec(name=name, cls=cls, settings=settings)


def _class(table: dict[str, Any], kind: _Kind, path: Path, document: Document) -> type | None:
    """The class that the table names, or the default; None after noting what is wrong."""
    path = (*path, "class")
    if "class" in table:
        return _load_class(table["class"], kind, path, document)
    if kind.default is None:
        document.problem(path, f'missing; expected the class path of {kind.what}, such as "module:Class"')
    return kind.default


def _can_be_made(cls: type, path: Path, document: Document) -> bool:
    """Whether a class takes the arguments that actors are made with."""
    try:
        inspect.signature(cls).bind("composition", "settings")
    except TypeError:
        text = (
            f"{cls.__name__} is made with (composition, settings): write def __init__(self, composition, settings) "
            "and call super().__init__(composition, settings) in it"
        )
        document.problem(path, text)
        return False
    return True


def _executors(document: Document) -> list[ExecutorSettings]:
    tables = document.table.get("executors", {})
    executors = [_executor(name, table, ("executors", name), document) for name, table in tables.items()]
    return [executor for executor in executors if executor is not None]


def _executor(name: str, table: Any, path: Path, document: Document) -> ExecutorSettings | None:
    if not _is_table(table, path, document):
        return None
    _check_name("an executor", path, document)
    cls = _class(table, _AN_EXECUTOR, path, document)
    if cls is not None:
        try:
            task_methods(cls)
        except BadExecutor as error:
            document.problem((*path, "class"), f"{table['class']}: {error}")
            cls = None
    settings = None
    authors: Any = table.get("settings", {})
    if cls is not None and _is_table(authors, (*path, "settings"), document):
        settings = _settings(cls, authors, (*path, "settings"), document)
    packed = b"" if settings is None else pack_value(settings)
    given = {"name": name, "cls": table.get("class", ""), "settings": packed}
    built = build(ExecutorSettings, executor_table(table, path, document), path, document, given=given)
    if built is None or cls is None:
        return None
    return replace(built, packages=_packages(built.packages, cls, path, document))


def executor_table(table: dict[str, Any], path: Path, document: Document) -> dict[str, Any]:
    """The keys of an executor's table that are those of `ExecutorSettings`; notes those that are unknown."""
    known = set(settings_fields(ExecutorSettings)) - {"name", "cls"} | {"class", "settings"}
    for key in table:
        if key not in known:
            document.unknown_key((*path, key), known)
    return {key: value for key, value in table.items() if key in known - {"class", "settings"}}


def _packages(named: tuple[str, ...], cls: type, path: Path, document: Document) -> tuple[str, ...]:
    """What is shipped to the agents: paths made absolute, and the package (or module) of the executor's own class."""
    packages = []
    path = (*path, "packages")
    for index, package in enumerate(named):
        file = document.file_at(path, package)
        if file.exists():
            packages.append(str(file.resolve()))
        elif package.replace(".", "").isidentifier() and importlib.util.find_spec(package.partition(".")[0]):
            packages.append(package)
        else:
            text = f'"{package}" is neither a file or folder in {document.folder} nor a package that can be imported'
            document.problem((*path, index), text)
    top = cls.__module__.partition(".")[0]
    lying = _lies_in(cls.__module__, document.folder)
    own = top if lying is None else str(lying)
    if own not in packages and top not in OWN_PACKAGES:
        packages.append(own)
    return tuple(packages)


def _settings(cls: Any, table: dict[str, Any], path: Path, document: Document) -> Any:
    settings_class = getattr(cls, "Settings", NoSettings)
    try:
        settings_fields(settings_class)
    except TypeError as error:
        document.problem(path, f"{cls.__name__}.Settings cannot be filled: {error}")
    except NameError as error:
        name = f"{settings_class.__module__}:{settings_class.__qualname__}"
        document.problem(path, f"{name} has an annotation that cannot be resolved: {error}")
    else:
        return build(settings_class, table, path, document)
    return None


def _is_table(value: Any, path: Path, document: Document) -> bool:
    if not isinstance(value, dict):
        document.problem(path, "expected a table")
        return False
    return True


def _check_name(whose: str, path: Path, document: Document) -> None:
    if not re.fullmatch(r"[\w.-]*[A-Za-z0-9][\w.-]*", str(path[-1]), re.ASCII):
        document.problem(path, f"{whose}'s name is made of letters, digits, '-', '_' and '.'")


def _make_importable(folder: FilePath) -> None:
    """Put the configuration's folder first on `sys.path`, and the current folder last, each once."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    here = str(FilePath.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def _load_class(class_path: object, kind: _Kind, path: Path, document: Document) -> type | None:
    if not isinstance(class_path, str) or not _CLASS_PATH.fullmatch(class_path):
        document.problem(path, f'expected a class path such as "scheduler:MyScheduler", found {class_path!r}')
        return None
    module_name, _, class_name = class_path.partition(":")
    try:
        module = _import(module_name, document.folder)
        _refuse_shadow(module_name, document.folder)
        return _class_in(module, class_name, kind)
    except _LoadError as wrong:
        document.problem(path, f"{class_path}{wrong}")
        return None


class _LoadError(Exception):
    """The end of a sentence that begins with the class path."""


def _lies_in(module_name: str, folder: FilePath) -> FilePath | None:
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
    if is_foreign and (folder / f"{top}.py").exists() and _lies_in(module_name, folder) is None:
        raise _LoadError(
            f": there is a {top}.py beside the configuration, but {top} is also the name of {other}, which"
            " was imported first; rename your module"
        )


def _class_in(module: ModuleType, class_name: str, kind: _Kind) -> type:
    try:
        found: Any = attrgetter(class_name)(module)
    except AttributeError:
        classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
        names = [name for name, cls in classes.items() if issubclass(cls, kind.base) and cls is not kind.base]
        near = difflib.get_close_matches(class_name, names, n=1, cutoff=0.5)
        has = f"; it has {', '.join(sorted(names))}" if names else ""
        hint = f"; did you mean {module.__name__}:{near[0]}?" if near else has
        raise _LoadError(f": the module {module.__name__} has no {class_name}{hint}") from None
    if not isinstance(found, type):
        name = type(found).__name__
        article = "an" if name[0].lower() in "aeiou" else "a"
        raise _LoadError(f" is not a class but {article} {name}; expected {kind.what}")
    if not issubclass(found, kind.base):
        bases = ", ".join(cls.__name__ for cls in found.__mro__[1:-1]) or "object"
        raise _LoadError(f" is not {kind.what}; it is a subclass of {bases}")
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
