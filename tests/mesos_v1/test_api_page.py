"""docs/mesos-api.md names every call, operation and event, and all of its examples run."""

import contextlib
import io
import re
import types
from pathlib import Path

import pytest

from mesos_v1 import calls, executor_calls, offer_operations, pb

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mesos-api.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"(<!-- continues -->\n)?```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(
    ("title", "enum"),
    [
        ("Scheduler calls", pb.scheduler.Call.Type),
        ("Offer operations", pb.mesos.Offer.Operation.Type),
        ("Scheduler events", pb.scheduler.Event.Type),
        ("Executor calls", pb.executor.Call.Type),
        ("Executor events", pb.executor.Event.Type),
    ],
)
def test_each_section_has_a_row_for_each_of_its_kind(title, enum):
    section = TEXT.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = set(re.findall(r"^\| ([A-Z_]+) \|", section, re.MULTILINE))
    assert rows == set(enum.keys()) - {"UNKNOWN"}


def test_every_function_that_builds_something_is_in_an_example():
    code = "\n".join(block for _, block in BLOCKS)
    for module in (calls, offer_operations, executor_calls):
        for name, function in vars(module).items():
            own = getattr(function, "__module__", "") == module.__name__ and not name.startswith("_")
            if isinstance(function, types.FunctionType) and own:
                assert re.search(rf"\.{name}\(", code), name


def test_every_example_prints_what_the_page_says():
    namespace: dict[str, object] = {}
    for continues, block in BLOCKS:
        if not continues:
            namespace = {"__name__": "example"}
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, str(PAGE), "exec"), namespace)
        at = 0
        for expected in re.findall(r"^\s*# prints: (.*)$", block, re.MULTILINE):
            found = printed.getvalue().find(expected, at)
            assert found >= 0, f"{expected!r} not in\n{printed.getvalue()}"
            at = found + len(expected)


def test_the_files_that_the_page_names_are_there():
    root = PAGE.parents[1]
    for path in set(re.findall(r"`((?:mesos_v1|actors|executor|playa)/[\w/]+\.py)`", TEXT)):
        assert (root / path).is_file(), path
