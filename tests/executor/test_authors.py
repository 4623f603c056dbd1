from dataclasses import dataclass

import pytest

from actors.runtime import pack_value
from executor.author import BadExecutor, Executor, TaskContext, task, task_methods
from executor.loading import find_class, load
from executor.testing import run_task
from tests.executor import authors

HERE = "tests.executor.authors"


def test_methods_are_found_by_the_type_of_their_payload():
    methods = task_methods(authors.Everything)
    assert methods[authors.Add].name == "add"
    assert methods[authors.Add].context is None
    assert not methods[authors.Add].in_thread
    assert methods[authors.Block].in_thread
    assert (methods[authors.Wait].payload, methods[authors.Wait].context) == ("payload", "context")
    assert methods[type(None)].name == "nothing"


def test_a_union_stands_for_each_of_its_types():
    methods = task_methods(authors.Raw)
    assert set(methods) == {bytes, type(None)}


def test_a_subclass_inherits_methods():
    class More(authors.SlowStart):
        pass

    assert set(task_methods(More)) == {authors.Add}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("NoTasks", "NoTasks has no @task method: write one"),
        ("TwoOfAKind", "TwoOfAKind.one and TwoOfAKind.two both run Add tasks"),
        ("NoAnnotation", "NoAnnotation.one: its payload 'payload' has no annotation"),
        ("TooMany", "TooMany.one: has one argument too many"),
        ("AnyNames", r"AnyNames.one: takes a payload and a TaskContext, not \*\*more"),
        ("AnyMore", r"AnyMore.one: takes a payload and a TaskContext, not \*more"),
        ("ByPlace", "ByPlace.one: takes a payload and a TaskContext, not payload"),
        ("Generator", "Generator.one: is a generator"),
        ("GeneratorHook", "GeneratorHook.on_start is a generator .* so it would never run"),
        (
            "BareHook",
            r"BareHook.on_message is called with \(self, message\): write def on_message\(self, message\)",
        ),
        ("BareDisconnected", r"on_disconnected is called with \(self, reason\): write def on_disconnected\("),
        ("Unmakable", "Unmakable cannot be made: RuntimeError: not today"),
        ("ExitsWhenMade", "ExitsWhenMade cannot be made: SystemExit: no licence"),
        ("OddAnnotation", "OddAnnotation.one: its annotations cannot be read: AttributeError: .*NoSuchThing"),
        ("NotAnExecutor", "is not an executor: write class NotAnExecutor"),
        ("Nonsense", "has no class Nonsense; it has .*Everything"),
    ],
)
def test_a_class_that_cannot_be_used_is_explained_in_one_line(name, says):
    with pytest.raises(BadExecutor, match=says) as caught:
        load(f"{HERE}:{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "names no executor class: write module:Class"),
        ("tests.executor.authors", "names no executor class"),
        (
            "no_such_module:Class",
            "there is no module 'no_such_module'; add the package to the executor's `packages`",
        ),
        (
            "tests.executor.broken_module:X",
            "there is no module 'no_such_package_at_all'; tests.executor.broken_module imp",
        ),
        ("tests.executor.raising_module:X", "raises RuntimeError: no licence"),
    ],
)
def test_a_module_that_cannot_be_imported_is_explained_with_how_to_mend_it(name, says):
    with pytest.raises(BadExecutor, match=says):
        find_class(name)


def test_a_syntax_error_is_shown_with_its_line(tmp_path, monkeypatch):
    (tmp_path / "typo_module.py").write_text("x = 1\nclass X(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadExecutor, match=r"typo_module.py, line 2"):
        find_class("typo_module:X")


def test_settings_come_packed_or_by_default():
    assert load(f"{HERE}:Everything").instance.settings.factor == 1
    packed = pack_value(authors.EverythingSettings(factor=3))
    assert load(f"{HERE}:Everything", settings=packed).instance.settings.factor == 3


def test_settings_that_do_not_fit_are_named():
    @dataclass(frozen=True)
    class Other:
        factor: str

    with pytest.raises(BadExecutor, match="the settings of .*Everything do not fit EverythingSettings"):
        load(f"{HERE}:Everything", settings=pack_value(Other("many")))
    with pytest.raises(BadExecutor, match="do not fit"):
        load(f"{HERE}:Everything", settings=b"\xff\xff")


def test_modules_that_declare_payloads_are_imported_too():
    with pytest.raises(BadExecutor, match="there is no module 'no_such_module'"):
        load(f"{HERE}:Everything", modules=("no_such_module",))


def test_a_method_is_found_for_a_subclass_of_its_payload_type():
    loaded = load(f"{HERE}:Everything")

    class MoreThanAdd(authors.Add):
        pass

    assert loaded.method_for(MoreThanAdd(1, 2)) is loaded.methods[authors.Add]
    with pytest.raises(BadExecutor, match="no @task method for a payload of type Nobody"):
        loaded.method_for(authors.Nobody())
    assert loaded.method_for(None) is loaded.methods[type(None)]


async def test_a_context_does_not_show_what_it_holds():
    shown = []

    class Shows(Executor):
        @task
        async def show(self, context: TaskContext) -> None:
            shown.append(repr(context))

    await run_task(Shows)
    assert shown == ["TaskContext('task-1')"]
