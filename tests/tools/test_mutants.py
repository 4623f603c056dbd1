"""The mutation tester: what it changes, what it leaves alone, and what it makes of tests that notice or do not."""

import ast
import random
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tools.mutants import (
    ROOT,
    STARTED_BY,
    TESTS,
    Finder,
    Mutant,
    Reached,
    Scratch,
    find_mutants,
    folder_of,
    measure,
    nearest_tests,
    pick,
)

SMALL = '''"""Small."""


def larger(a, b):
    """The larger of two."""
    return a if a > b else b


def wait(seconds):
    """Nothing tests this."""
    return seconds * 2


def name(number):
    """The names are known at import."""
    return NAMES.get(number)


def three(number):
    """Runs in a child process only."""
    return number * 3


NAMES = {1: "one", 2: "two"}
'''
TEST = """import subprocess
import sys

from mesos_http.small import larger, name


def test_the_larger_one_is_given():
    assert larger(1, 2) == 2


def test_a_child_process_runs_the_same_code():
    code = "from mesos_http.small import three; print(three(5))"
    assert subprocess.check_output([sys.executable, "-c", code]) == b"15\\n"


def test_it_has_a_name():
    assert name(1) == "one"


def test_that_is_broken():
    assert larger(1, 2) == 3
"""
FILE = "tests/mesos_http/test_small.py"
LARGER, CHILD, NAME, BROKEN = (
    f"{FILE}::test_{name}"
    for name in (
        "the_larger_one_is_given",
        "a_child_process_runs_the_same_code",
        "it_has_a_name",
        "that_is_broken",
    )
)


def changes(source: str) -> set[str]:
    mutants = Finder("x.py", source.encode()).find()
    for mutant in mutants:
        ast.parse(mutant.applied(source.encode()))
    return {mutant.applied(source.encode()).decode() for mutant in mutants}


@pytest.fixture
def small_tree(tmp_path: Path) -> Path:
    tree = tmp_path / "real"
    for folder in ("mesos_http", "tests/mesos_http"):
        (tree / folder).mkdir(parents=True)
    (tree / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    (tree / "mesos_http" / "__init__.py").write_text("")
    (tree / "mesos_http" / "small.py").write_text(SMALL)
    (tree / "tests" / "mesos_http" / "test_small.py").write_text(TEST)
    return tree


def mutant_of(tree: Path, new: str) -> Mutant:
    [mutant] = [mutant for mutant in find_mutants(tree, ["mesos_http"]) if mutant.new == new]
    return mutant


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("def f(a):\n    return a == 2", {"return (a != 2)", "return a == 3", "return None"}),
        ("def f(a):\n    return len(a) < 2", {"return (len(a) <= 2)", "return len(a) < 3", "return None"}),
        ("def f(a):\n    self.a = a", {"pass"}),
        ("def f(a):\n    a.tell(b)", {"pass"}),
        ("def f(a):\n    await a.ask(b)", {"pass"}),
        (
            "def f(a):\n    if a:\n        g = 'x'",
            {"if True:\n        g = 'x'", "if False:\n        g = 'x'"},
        ),
        ("def f(a):\n    raise ValueError(a or 1)", {"pass"}),
        ("def f(a):\n    b = g(a, c=d, e=h)", {"b = g(a,  e=h)", "b = g(a, c=d, )"}),
        ("def f(a):\n    b = a and c", {"b = (c)", "b = (a)"}),
        ("def f(a):\n    b += a", {"b -= a"}),
        ("def f(a):\n    b = min(a, 'c')", {"b = (max(a, 'c'))"}),
    ],
)
def test_each_kind_of_mistake_is_made_in_its_place(source: str, changed: set[str]) -> None:
    head = "def f(a):\n    "
    assert {text.removeprefix(head) for text in changes(source)} == changed


def test_an_entry_of_a_table_and_a_member_of_a_set_are_forgotten() -> None:
    assert changes("T = {a: b,\n c: d}") == {"T = {\n c: d}", "T = {a: b,\n }"}
    assert changes("S = frozenset({a, b})") == {"S = frozenset({ b})", "S = frozenset({a, })"}


@pytest.mark.parametrize(
    "source",
    [
        '"""Docstring."""',
        "def f(a: int | None = None) -> int | str:\n    'text'",
        "def f(a):\n    logger.warning('%s', a + 1, exc_info=True)",
        "def f(a):\n    assert a == 1",
        "def f(a):\n    b = f'{a + 1}' + 'c'",
        "class A:\n    def __repr__(self):\n        return self.a + 1",
        "class A(Protocol):\n    def f(self):\n        return self.a + 1",
        "@dataclass(frozen=True, slots=True)\nclass A:\n    b: int | None",
        "LIMIT = 64 * 1024",
        "T = TypeVar('T', bound=A)",
        "if TYPE_CHECKING:\n    A = g(b=1)",
        "Answer = A | B",
        "a: int = setting('b', help='for people')",
        "def f(a):\n    assert_never(a)",
        "b = c.split('=', 1)[0]",
        "b = c.rsplit('=', maxsplit=1)[-1]",
        "b = zip(c, d, strict=True)",
    ],
)
def test_what_nobody_should_test_is_left_alone(source: str) -> None:
    assert changes(source) == set()


def test_every_mutant_of_this_project_is_a_program() -> None:
    for mutant in random.Random(1).sample(find_mutants(ROOT, list(TESTS)), 150):
        source = mutant.applied((ROOT / mutant.path).read_bytes())
        assert ast.dump(ast.parse(source)) != ast.dump(ast.parse((ROOT / mutant.path).read_bytes())), mutant


def test_how_often_is_split_matters_where_another_part_is_taken() -> None:
    assert changes("b = c.split('=', 1)[1]") == {"b = c.split('=', 2)[1]", "b = c.split('=', 1)[2]"}


def test_a_mutant_that_compiles_to_the_same_code_is_not_tried() -> None:
    source = b"def f(a):\n    if a:\n        return\n    else:\n        g(a)\n"
    same = {mutant.old for mutant in Finder("x.py", source).find() if not mutant.makes_a_difference(source)}
    assert same == {"return"}
    picked = pick(find_mutants(ROOT, ["executor/task_actor.py"]), 30, 5)
    assert len(set(picked)) == 30
    assert all(mutant.makes_a_difference((ROOT / mutant.path).read_bytes()) for mutant in picked)


@pytest.fixture
def scratch(small_tree: Path, tmp_path: Path) -> Scratch:
    return Scratch(tmp_path / "copy", small_tree)


@pytest.fixture
def reached(scratch: Scratch) -> Reached:
    return measure([FILE], scratch)


def test_a_mutant_is_killed_by_a_test_that_notices_and_survives_where_none_does(
    small_tree: Path, scratch: Scratch
) -> None:
    def killer(new: str, *tests: str) -> str | None:
        return scratch.notices(mutant_of(small_tree, new), list(tests), {})

    assert killer("(a <= b)", NAME, LARGER, CHILD) == LARGER
    assert killer("(number / 3)", LARGER, CHILD) == CHILD, "noticed in a child process only"
    assert killer("(seconds / 2)", LARGER, CHILD, NAME) is None
    assert (small_tree / "mesos_http" / "small.py").read_text() == SMALL
    assert (scratch.tree / "mesos_http" / "small.py").read_text() == SMALL


def test_those_tests_run_that_reach_a_line_also_in_a_child_process(
    small_tree: Path, scratch: Scratch, reached: Reached
) -> None:
    def tests(new: str) -> list[str]:
        return reached.tests_of(mutant_of(small_tree, new), scratch.tree)

    assert tests("(a <= b)") == [LARGER]
    assert tests("(number / 3)") == [CHILD]
    assert tests("(seconds / 2)") == []
    assert reached.failing == {BROKEN}, "says nothing about a mutant: it fails without"


def test_a_line_that_runs_at_import_is_reached_by_the_tests_of_every_line_of_its_module(
    small_tree: Path, scratch: Scratch, reached: Reached
) -> None:
    [entry] = [
        mutant for mutant in find_mutants(small_tree, ["mesos_http"]) if mutant.old.startswith('1: "one"')
    ]
    assert set(reached.tests_of(entry, scratch.tree)) == {LARGER, CHILD, NAME}
    assert scratch.notices(entry, reached.tests_of(entry, scratch.tree), reached.seconds) == NAME


def test_slow_tests_come_last(small_tree: Path, scratch: Scratch, reached: Reached) -> None:
    [entry] = [
        mutant for mutant in find_mutants(small_tree, ["mesos_http"]) if mutant.old.startswith('2: "two"')
    ]
    reached.seconds |= {LARGER: 10.0, CHILD: 0.1, NAME: 0.1}
    assert reached.tests_of(entry, scratch.tree) == [CHILD, NAME, LARGER]


def test_what_was_measured_is_kept_and_only_what_changed_is_measured_again(
    small_tree: Path, tmp_path: Path
) -> None:
    other = small_tree / "tests" / "mesos_http" / "test_other.py"
    other.write_text("def test_nothing():\n    pass\n")
    tests = [FILE, "tests/mesos_http/test_other.py"]
    reached = Reached()
    assert reached.forget_what_changed(small_tree, tests) == tests, "nothing is known at first"
    reached.add(measure(tests, Scratch(tmp_path / "copy", small_tree)))
    reached.write(tmp_path / "kept")

    kept = Reached.read(tmp_path / "kept")
    assert kept.lines == reached.lines
    assert (kept.seconds, kept.failing) == (reached.seconds, reached.failing)
    assert kept.forget_what_changed(small_tree, tests) == []
    other.write_text("def test_something():\n    pass\n")
    assert kept.forget_what_changed(small_tree, tests) == [tests[1]]
    (small_tree / "mesos_http" / "small.py").write_text(f"{SMALL}\nMORE = True\n")
    assert kept.forget_what_changed(small_tree, tests) == [FILE]


def test_a_mutant_that_hangs_is_killed_with_every_process_that_its_tests_started(
    small_tree: Path, scratch: Scratch, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    (scratch.tree / "tests" / "mesos_http" / "test_small.py").write_text(f"""
import subprocess, sys, time
from pathlib import Path

def test_hangs():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    Path({str(started)!r}).write_text(str(child.pid))
    time.sleep(600)
""")
    tests = [f"{FILE}::test_hangs"]
    assert scratch.notices(mutant_of(small_tree, "(a <= b)"), tests, {tests[0]: 0.1}) == tests[0]
    child = int(started.read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_the_test_files_that_name_the_module_come_first() -> None:
    [mutant, *_] = find_mutants(ROOT, ["executor/task_actor.py"])
    tests = nearest_tests(mutant)
    assert tests.keys() == {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "tests/executor").glob("test_*.py")
    }
    assert next(iter(tests)) in {"tests/executor/test_tasks.py", "tests/executor/test_task_states.py"}


def test_every_folder_that_is_tested_exists_and_no_other_is_taken() -> None:
    assert all((ROOT / path).exists() for started in STARTED_BY.items() for path in started)
    for folder, tests in TESTS.items():
        assert (ROOT / folder).is_dir()
        assert all((ROOT / path).is_dir() for path in tests)
        assert folder_of(f"{folder}/x.py") == folder
    with pytest.raises(ValueError, match="docs is in none of"):
        folder_of("docs")


def test_a_seed_picks_the_same_mutants_each_time() -> None:
    def listed(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "tools" / "mutants.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = listed("executor", "--list", "--number", "5", "--seed", "3")
    assert first.returncode == 0, first.stderr
    assert first.stdout == listed("executor", "--list", "--number", "5", "--seed", "3").stdout
    assert first.stdout != listed("executor", "--list", "--number", "5", "--seed", "4").stdout
    assert len(first.stdout.splitlines()) == 6
    refused = listed("docs", "--list")
    assert refused.returncode == 2
    assert "docs is in none of" in refused.stderr
    assert "Traceback" not in refused.stderr
