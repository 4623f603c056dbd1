"""One dialect of handlers in every room: named after the message that they take."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from playa.agent.agent_actor import AgentActor

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = [
    path
    for room in ("actors", "executor", "playa", "examples")
    for path in sorted((ROOT / room).rglob("*.py"))
]


def handlers(path: Path) -> Iterator[tuple[str, str]]:
    """The name of each handler of a file, and the annotation of its message."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            ast.unparse(decorator).split("(")[0] == "receive" for decorator in node.decorator_list
        ):
            annotation = node.args.args[1].annotation
            assert annotation is not None, f"{path}:{node.lineno}"
            yield node.name, ast.unparse(annotation)


def named_after(annotation: str) -> str:
    """`m.TaskChanged` → `handle_task_changed`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", annotation.rpartition(".")[2])
    return f"handle_{words.lower()}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if any(handlers(path))], ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_handler_is_called_handle_and_the_name_of_its_message(path):
    for name, annotation in handlers(path):
        if "|" in annotation:  # several messages in one handler: it says what they have in common
            assert name.startswith("handle_"), f"{name} in {path}"
        else:
            assert name == named_after(annotation), f"{name} in {path}"


def test_handlers_are_found():
    assert sum(1 for path in FILES for _ in handlers(path)) > 200


def test_the_agent_has_the_handlers_of_its_parts():
    passed_on = {
        name: member.__receives__
        for name, member in vars(AgentActor).items()
        if hasattr(member, "__wrapped__")
    }
    assert len(passed_on) > 20
    assert all(name == named_after(kind.__qualname__) for name, (kind,) in passed_on.items())
