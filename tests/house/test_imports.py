"""Who imports whom: no circles. What may import what is in `.importlinter`; the circles are looked for here."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("mesos_v1", "mesos_http", "wire", "actors", "executor", "playa", "mesostic", "examples")
KNOW_EACH_OTHERS_TYPES = {"actors.runtime.ref", "actors.runtime.dispatcher", "actors.runtime.system"}


def modules() -> dict[str, Path]:
    """Every module by name."""
    found = {}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if "generated" not in path.parts:
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(node: ast.AST, *, for_types: bool) -> Iterator[str]:
    """What a module imports of ours, also inside of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test) and not for_types:
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names if alias.name in MODULES)
        elif isinstance(child, ast.ImportFrom) and child.module:
            for alias in child.names:
                inner = f"{child.module}.{alias.name}"
                yield inner if inner in MODULES else child.module
        yield from imported(child, for_types=for_types)


def graph(*, for_types: bool) -> dict[str, set[str]]:
    """Each module with those that it imports."""
    return {
        name: {
            other for other in imported(ast.parse(path.read_text()), for_types=for_types) if other in MODULES
        }
        - {name}
        for name, path in MODULES.items()
    }


def test_no_module_imports_itself_by_way_of_others():
    TopologicalSorter(graph(for_types=False)).prepare()


def test_only_three_modules_of_the_runtime_know_each_others_types():
    known = {
        name: others - KNOW_EACH_OTHERS_TYPES if name in KNOW_EACH_OTHERS_TYPES else others
        for name, others in graph(for_types=True).items()
    }
    TopologicalSorter(known).prepare()


def test_a_circle_is_seen():
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
    assert len(MODULES) > 200
    assert sum(len(others) for others in graph(for_types=False).values()) > 500
