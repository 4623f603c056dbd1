"""The public names: one list, all of them there, none of them slow to come by."""

import ast
import importlib
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import mesostic


def test_every_public_name_can_be_imported():
    for name in vars(mesostic)["__all__"]:
        assert getattr(mesostic, name) is not None


def test_type_checkers_see_the_names_that_are_there():
    stub = Path(mesostic.__file__).with_suffix(".pyi")
    imported = {
        alias.asname: node.module
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == vars(mesostic)["_HOME"]
    assert sorted(vars(mesostic)["_HOME"]) == sorted(vars(mesostic)["__all__"])


def test_a_name_that_is_not_public_is_an_error_that_says_so():
    with pytest.raises(AttributeError, match="mesostic has no public name 'Shcheduler'"):
        _ = importlib.import_module("mesostic").Shcheduler


def test_what_an_executor_imports_does_not_bring_the_scheduler_or_the_cluster_along():
    script = (
        "import sys; from mesostic import Executor, TaskContext, TaskFailed, message, setting, task; "
        "print([name for name in sys.modules if name.split('.')[0] in ('playa', 'click', 'rich', 'aiohttp')"
        " or name.startswith('actors.scheduler')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_hooks_of_the_facade_are_annotated_with_public_names():
    hints = typing.get_type_hints(mesostic.SchedulerActor.on_task_finished)
    assert hints["done"] is mesostic.TaskFinished
