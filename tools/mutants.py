"""Change the code a little, and see whether its tests notice: `python tools/mutants.py --number 40`.

A mutant is one small mistake: a condition turned round, a call left out, a boundary moved. A seed picks some of them. Each
is made in a scratch copy with a virtual environment of its own, never in the work tree, and the tests of its folder that
reach it run until one fails. A mutant that no test fails on has survived: a test is missing there, or the change changes
nothing.

Which tests reach a line is measured first, with a context of coverage per test; `--coverage FILE` keeps that, and measures again
only what has changed. Nearest are the test files that name the module; what takes seconds comes last. A line that no test
reaches is a survivor without a run. A line that runs when its module is imported is reached by everything, so
there the tests of any line of the module run too. Of child processes only those are measured that inherit the
environment and end by themselves.

What nobody should test is left alone: texts, logging, annotations, assertions, `__repr__`, tuning constants. Left out is what
cannot make a difference: a mutant that compiles to the same bytecode, `assert_never`, the number of splits when only
the first part is taken, whether `zip` is strict.

Most survivors are of a few kinds: a default that every caller overrides, an argument that repeats the default, a condition
that only saves work or that another one implies, what follows an `or` and is never reached. Code that nothing needs is better
removed than tested.
"""

import argparse
import ast
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from importlib.util import cache_from_source
from itertools import islice
from pathlib import Path
from queue import Queue
from types import CodeType
from typing import Any

import psutil
from coverage import CoverageData

ROOT = Path(__file__).resolve().parent.parent
TESTS = {
    "actors": ("tests/runtime", "tests/actors"),
    "executor": ("tests/executor",),
    "mesos_http": ("tests/mesos_http",),
    # The two share their tests: those of whole clusters and of conformance drive the agents as much as the master.
    "playa/master": ("tests/playa", "tests/playa_agent"),
    "playa/agent": ("tests/playa", "tests/playa_agent"),
}
# Runs where nothing can be measured; reached by whatever reaches the file that starts it.
STARTED_BY = {"playa/agent/containers/launcher.py": "playa/agent/containers/processes.py"}
SLOW = 2.0
NOT_COPIED = (".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "results", "*.egg-info")

COMPARISONS: dict[type[ast.cmpop], ast.cmpop] = {
    ast.Eq: ast.NotEq(), ast.NotEq: ast.Eq(), ast.Is: ast.IsNot(), ast.IsNot: ast.Is(), ast.In: ast.NotIn(),
    ast.NotIn: ast.In(), ast.Lt: ast.GtE(), ast.GtE: ast.Lt(), ast.Gt: ast.LtE(), ast.LtE: ast.Gt(),
}  # fmt: skip
BOUNDARIES: dict[type[ast.cmpop], ast.cmpop] = {
    ast.Lt: ast.LtE(), ast.LtE: ast.Lt(), ast.Gt: ast.GtE(), ast.GtE: ast.Gt(),
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(), ast.Sub: ast.Add(), ast.Mult: ast.Div(), ast.Div: ast.Mult(), ast.FloorDiv: ast.Mult(),
    ast.BitOr: ast.BitAnd(), ast.BitAnd: ast.BitOr(),
}  # fmt: skip
TWINS = {"min": "max", "max": "min", "any": "all", "all": "any"}
NOT_TESTED = frozenset({"__repr__", "__str__"})
NOT_DROPPED = frozenset({"name", "help", "strict", "encoding", "errors"})
LOGGERS = frozenset({"logger", "log", "logging", "warnings"})

Located = ast.expr | ast.stmt | ast.keyword


@dataclass(frozen=True)
class Mutant:
    """One small mistake.

    Attributes:
        path: Of the file, from the root of the tree.
        lines: Of its statement.
        start: Where the text to be replaced begins, in bytes.
        end: Where it ends.
    """

    path: str
    line: int
    lines: frozenset[int]
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        change = f"{_short(self.old)}  ->  {_short(self.new)}" if self.new else f"without {_short(self.old)}"
        return f"{self.path}:{self.line}: {change}"

    def applied(self, source: bytes) -> bytes:
        """The file with the mistake in it."""
        return source[: self.start] + self.new.encode() + source[self.end :]

    def makes_a_difference(self, source: bytes) -> bool:
        """Whether it compiles to something else."""
        return _code(compile(source, "", "exec")) != _code(compile(self.applied(source), "", "exec"))


def _code(code: CodeType) -> tuple[object, ...]:
    """What is run, without the lines that it comes from."""
    constants = [
        _code(constant) if isinstance(constant, CodeType) else repr(constant) for constant in code.co_consts
    ]
    return (code.co_code, code.co_names, code.co_varnames, code.co_exceptiontable, *constants)


class Finder(ast.NodeVisitor):
    """Finds every mutant of a file."""

    def __init__(self, path: str, source: bytes) -> None:
        self.mutants: list[Mutant] = []
        self._path = path
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._functions: list[str] = []
        self._statement: ast.stmt | None = None

    def visit(self, node: ast.AST) -> None:
        """Remember in which statement this is."""
        outer = self._statement
        if isinstance(node, ast.stmt):
            self._statement = node
        super().visit(node)
        self._statement = outer

    def find(self) -> list[Mutant]:
        """Every mutant, in the order of the text."""
        self.visit(ast.parse(self._source))
        return sorted(self.mutants, key=lambda mutant: (mutant.start, mutant.end, mutant.new))

    def _replace(self, node: ast.expr | ast.stmt, new: str) -> None:
        start, end = self._span(node, node)
        self._add(node, start, end, new)

    def _express(self, node: ast.expr, new: ast.expr) -> None:
        self._replace(node, f"({ast.unparse(new)})")

    def _forget(self, first: ast.expr | ast.keyword, last: ast.expr | ast.keyword) -> None:
        """Leave out an item of a list, up to the comma that ends it."""
        start, end = self._span(first, last)
        rest = self._source[end:]
        if rest.lstrip().startswith(b","):
            end += len(rest) - len(rest.lstrip()) + 1
        self._add(first, start, end, "")

    def _span(self, first: Located, last: Located) -> tuple[int, int]:
        assert last.end_lineno is not None
        assert last.end_col_offset is not None
        return (
            self._lines[first.lineno - 1] + first.col_offset,
            self._lines[last.end_lineno - 1] + last.end_col_offset,
        )

    def _add(self, at: Located, start: int, end: int, new: str) -> None:
        whole = self._statement
        assert whole is not None
        simple = not hasattr(whole, "body") and not isinstance(whole, ast.Match)
        lines = {whole.lineno, *_lines_of(at), *(_lines_of(whole) if simple else ())}
        old = self._source[start:end].decode()
        self.mutants.append(Mutant(self._path, at.lineno, frozenset(lines), start, end, old, new))

    # -- what is left alone ------------------------------------------------------------------------------------------

    def visit_Assert(self, node: ast.Assert) -> None:
        """Says what is so anyway."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Text."""

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """The body, but not of a protocol, and no decorator."""
        if not any("Protocol" in ast.unparse(base) for base in node.bases):
            self._visit_all(node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """The defaults and the body, but no annotation, no decorator, and nothing that is for people only."""
        if node.name in NOT_TESTED or any("overload" in ast.unparse(at) for at in node.decorator_list):
            return
        self._functions.append(node.name)
        self._visit_all([*node.args.defaults, *(default for default in node.args.kw_defaults if default)])
        self._visit_all(node.body)
        self._functions.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """As any function."""
        self.visit_FunctionDef(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """An assignment with an annotation that is left alone."""
        if node.value is not None and not _is_tuning(node.target, node.value):
            self.visit(node.value)

    def _visit_all(self, nodes: list[ast.stmt] | list[ast.expr]) -> None:
        for node in nodes:
            self.visit(node)

    # -- statements --------------------------------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        """Left out, where it is the state of an object that changes."""
        if _is_tuning(node.targets[0], node.value) or _names(node.targets[0]) & {"__all__", "__slots__"}:
            return
        if (
            self._functions
            and "__init__" not in self._functions
            and isinstance(node.targets[0], ast.Attribute)
        ):
            self._replace(node, "pass")
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """Turned round."""
        if other := ARITHMETIC.get(type(node.op)):
            self._replace(node, ast.unparse(ast.AugAssign(node.target, other, node.value)))
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        """A call left out; docstrings and logging are none."""
        called = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(called, ast.Call) and not _names(called.func) & {*LOGGERS, "assert_never"}:
            if self._functions:
                self._replace(node, "pass")
            self.visit(called)

    def visit_Raise(self, node: ast.Raise) -> None:
        """Left out; what it says is text."""
        self._replace(node, "pass")

    def visit_Delete(self, node: ast.Delete) -> None:
        """Left out."""
        self._replace(node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        """Turned into its counterpart."""
        self._replace(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        """Turned into its counterpart."""
        self._replace(node, "break")

    def visit_Return(self, node: ast.Return) -> None:
        """Gives nothing."""
        if node.value is None:
            self._replace(node, "pass")
        elif not isinstance(node.value, ast.Constant):
            self._replace(node, "return None")
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        """Always, or never."""
        if "TYPE_CHECKING" in ast.unparse(node.test):
            return
        self._replace(node.test, "True")
        self._replace(node.test, "False")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """Always, or never."""
        self._express(node, node.body)
        self._express(node, node.orelse)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """Takes all."""
        for condition in node.ifs:
            self._replace(condition, "True")
        self.generic_visit(node)

    # -- expressions -------------------------------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        """Turned round, or its boundary moved where a number is compared."""
        if len(node.ops) == 1:
            sides = (node.left, node.comparators[0])
            counted = any(isinstance(side, ast.Constant) or "len(" in ast.unparse(side) for side in sides)
            kind = type(node.ops[0])
            other = (counted and BOUNDARIES.get(kind)) or COMPARISONS[kind]
            self._express(node, ast.Compare(node.left, [other], node.comparators))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """One part left out."""
        for index in range(len(node.values)):
            rest = node.values[:index] + node.values[index + 1 :]
            self._express(node, rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """Left out."""
        self._express(node, node.operand)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """The other operator; text is left alone, and so is what joins types."""
        text = any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in (node.left, node.right))
        types = isinstance(node.op, ast.BitOr) and not self._functions
        if not text and not types and (other := ARITHMETIC.get(type(node.op))):
            self._express(node, ast.BinOp(node.left, other, node.right))
        if not types:
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """The other truth, the next number."""
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value))
        elif isinstance(node.value, int):
            self._replace(node, str(node.value + 1))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Into how many parts a text is split is the same to the one that takes the first."""
        part = ast.unparse(node.slice)
        match node.value:
            case ast.Call(ast.Attribute(attr=("split" | "rsplit") as how) as called) if part == (
                "0" if how == "split" else "-1"
            ):
                self.visit(called)
            case _:
                self.generic_visit(node)

    def visit_Set(self, node: ast.Set) -> None:
        """One member forgotten."""
        if len(node.elts) > 1:
            for member in node.elts:
                self._forget(member, member)
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        """One entry of a table forgotten."""
        for key, value in zip(node.keys, node.values, strict=True):
            if not self._functions and key is not None:
                self._forget(key, value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Its twin (min and max, any and all), or an argument forgotten."""
        if _names(node.func) & {*LOGGERS, "TypeVar", "cast", "NewType"}:
            return
        if isinstance(node.func, ast.Name) and node.func.id in TWINS:
            twin = ast.Name(TWINS[node.func.id])
            self._express(node, ast.Call(twin, node.args, node.keywords))
        self._visit_all([node.func, *node.args])
        for keyword in node.keywords:
            if keyword.arg not in NOT_DROPPED:
                if keyword.arg is not None:
                    self._forget(keyword, keyword)
                self.visit(keyword.value)


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _lines_of(node: Located) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_tuning(target: ast.expr, value: ast.expr) -> bool:
    """A number with a name: how long, how many."""
    named = isinstance(target, ast.Name) and target.id.isupper()
    numeric = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    return named and all(isinstance(part, numeric) for part in ast.walk(value))


def _short(text: str, most: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def find_mutants(root: Path, wanted: list[str]) -> list[Mutant]:
    """Every mutant of the files and folders named."""
    files = {
        path
        for name in wanted
        for path in ([root / name] if name.endswith(".py") else (root / name).rglob("*.py"))
    }
    return [
        mutant
        for path in sorted(files)
        for mutant in Finder(path.relative_to(root).as_posix(), path.read_bytes()).find()
    ]


class Scratch:
    """A copy of the tree, with an environment whose programs import from the copy.

    Args:
        folder: To make it in.
        root: The tree that is copied.
    """

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.tree = folder / "tree"
        self._temporary = folder / "tmp"
        shutil.copytree(root, self.tree, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
        self._temporary.mkdir()
        self._make_environment(Path(sys.prefix), self.tree / ".venv")

    def _make_environment(self, real: Path, copy: Path) -> None:
        """Everything that is installed, except this project: that comes from the copy."""
        (copy / "bin").mkdir(parents=True)
        shutil.copy(real / "pyvenv.cfg", copy / "pyvenv.cfg")
        for name in ("python", "python3"):
            (copy / "bin" / name).symlink_to(os.path.realpath(sys.executable))
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = copy / "lib" / version / "site-packages"
        packages.mkdir(parents=True)
        # what a .pth file names is not searched for further .pth files: the real installation stays out
        (packages / "tree.pth").write_text(
            f"{self.tree}\n{real / 'lib' / version / 'site-packages'}\n"
            "import os; 'COVERAGE_PROCESS_START' in os.environ and __import__('coverage').process_startup()\n"
        )
        shutil.copy(Path(__file__).with_name("reaching_tests.py"), packages)
        program = copy / "bin" / "mesostic"
        program.write_text(
            f"#!{copy}/bin/python\nimport sys\nfrom mesostic.cli import main\nsys.exit(main())\n"
        )
        program.chmod(0o755)

    def run(
        self, tests: list[str], limit: float, *options: str, **environment: str
    ) -> tuple[int | None, dict[str, float], list[str]]:
        """Run tests: the exit code of pytest (none after the limit of seconds), what each took, and which failed."""
        report = self._temporary / "report.json"
        report.unlink(missing_ok=True)
        variables = os.environ | {
            "TMPDIR": str(self._temporary),
            "PATH": f"{self.tree}/.venv/bin{os.pathsep}{os.environ.get('PATH', '')}",
            "REACHING_REPORT": str(report),
            **environment,
        }
        for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTEST_CURRENT_TEST"):
            variables.pop(name, None)
        pytest = ["pytest", "-q", "-p", "no:cacheprovider", "-p", "reaching_tests"]
        process = subprocess.Popen(
            [
                self.tree / ".venv" / "bin" / "python",
                *("-m", *pytest, f"--basetemp={self._temporary}/pytest", *options, *tests),
            ],
            cwd=self.tree,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        code = None
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._end_all()
            process.wait()
        try:
            told = json.loads(report.read_text())
        except (OSError, ValueError):
            return code, {}, []
        return code, told["seconds"], told["failed"]

    def _end_all(self) -> None:
        """End whatever still runs in the copy: a mutant may well forget to."""
        ended = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            where = [process.info["cwd"] or "", *(process.info["cmdline"] or [])]
            if any(str(self.tree.parent) in part for part in where):
                try:
                    process.send_signal(signal.SIGKILL)
                    ended.append(process)
                except psutil.NoSuchProcess:
                    pass
        psutil.wait_procs(ended, 3)

    def notices(self, mutant: Mutant, tests: list[str], seconds: dict[str, float]) -> str | None:
        """Which test fails on the mutant, if one does.

        Args:
            mutant: What is tried.
            tests: By id, in the order in which they run.
            seconds: How long each takes.
        """
        path = self.tree / mutant.path
        source = path.read_bytes()
        compiled = Path(
            cache_from_source(str(path))
        )  # good for a second of the clock only: it may be too old
        chosen = self._temporary / "chosen"
        chosen.write_text("\n".join(tests))
        took = [seconds.get(test, 1) for test in tests]
        try:
            path.write_bytes(mutant.applied(source))
            compiled.unlink(missing_ok=True)
            files = list(dict.fromkeys(map(_file_of, tests)))
            options = ("-x", f"--timeout={10 + 5 * max(took):.0f}")
            code, _, failed = self.run(files, 60 + 3 * sum(took), *options, REACHING_CHOSEN=str(chosen))
            match code:
                case 0:
                    return None
                case 5:
                    raise RuntimeError(f"none of the tests for {mutant} was found: {tests}")
                case None:
                    return "the time limit"
                case _:
                    return failed[0] if failed else "an import"
        finally:
            path.write_bytes(source)
            compiled.unlink(missing_ok=True)


@dataclass
class Reached:
    """Which test reaches which line.

    Attributes:
        lines: By file and line, the tests; the empty name stands for the import of the file.
        seconds: How long each test takes.
        digests: Of the files and the test files, as they were.
        failing: The tests that fail without any mutant; they say nothing.
    """

    lines: dict[str, dict[int, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    seconds: dict[str, float] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> "Reached":
        """What was kept in a file; nothing if there is none."""
        reached = cls()
        if path.exists():
            kept = json.loads(path.read_text())
            names = kept["tests"]
            reached.seconds, reached.digests, reached.failing = (
                kept["seconds"],
                kept["digests"],
                set(kept["failing"]),
            )
            for file, lines in kept["lines"].items():
                for line, tests in lines.items():
                    reached.lines[file][int(line)] = {names[test] for test in tests}
        return reached

    def write(self, path: Path) -> None:
        """Keep it."""
        names = sorted({test for lines in self.lines.values() for tests in lines.values() for test in tests})
        number = {test: index for index, test in enumerate(names)}
        lines = {
            file: {line: sorted(number[test] for test in tests) for line, tests in lines.items()}
            for file, lines in self.lines.items()
        }
        kept = {
            "tests": names,
            "seconds": self.seconds,
            "digests": self.digests,
            "failing": sorted(self.failing),
        }
        path.write_text(json.dumps({**kept, "lines": lines}))

    def forget_what_changed(self, tree: Path, test_files: list[str]) -> list[str]:
        """The test files to be measured: those that changed, and those that reach a file that changed."""
        now = {
            path.relative_to(tree).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for folder in sorted({Path(folder).parts[0] for folder in TESTS} | {"tests"})
            for path in (tree / folder).rglob("*.py")
        }
        changed = {path for path in {*now, *self.digests} if now.get(path) != self.digests.get(path)}
        for path in changed & set(self.lines):
            reaching = {_file_of(test) for tests in self.lines.pop(path).values() for test in tests if test}
            changed |= reaching or set(test_files)
        for lines in self.lines.values():
            for line, tests in lines.items():
                lines[line] = {test for test in tests if _file_of(test) not in changed}
        self.seconds = {test: took for test, took in self.seconds.items() if _file_of(test) not in changed}
        self.failing &= self.seconds.keys()
        wanted = [path for path in test_files if path in changed]
        # what is not asked for stays unknown until it is
        self.digests = {
            path: digest
            for path, digest in now.items()
            if path not in changed or path in wanted or not path.startswith("tests/")
        }
        return wanted

    def add(self, other: "Reached") -> None:
        """What was measured elsewhere."""
        self.seconds |= other.seconds
        self.failing |= other.failing
        for path, lines in other.lines.items():
            for line, tests in lines.items():
                self.lines[path][line] |= tests

    def read_data(self, found: Path, tree: Path) -> None:
        """What coverage wrote."""
        data = CoverageData(str(found))
        data.read()
        for path in data.measured_files():
            lines = self.lines[Path(path).relative_to(tree).as_posix()]
            for line, contexts in data.contexts_by_lineno(path).items():
                # a child process has the phase of its test in its name as well
                lines[line] |= {re.sub(r" \((setup|call|teardown)\)$", "", context) for context in contexts}

    def tests_of(self, mutant: Mutant, tree: Path = ROOT) -> list[str]:
        """The tests of its folder that reach it, the nearest first, the slow ones last."""
        reaching = {test for line in mutant.lines for test in self.lines[mutant.path].get(line, ())}
        named = nearest_tests(mutant, tree)
        rank = {path: index for index, path in enumerate(named)}
        further = set()
        if "" in reaching:
            further = self._of(mutant.path) or self._of(*self._importing(mutant.path, tree))
            further |= {test for test in self.seconds if named.get(_file_of(test))}
        if other := STARTED_BY.get(mutant.path):
            further |= self._of(other)

        def order(test: str) -> tuple[bool, bool, int]:
            return self.seconds[test] > SLOW, test not in reaching, rank[_file_of(test)]

        tests = (reaching | further) & self.seconds.keys() - self.failing
        return sorted((test for test in self.seconds if test in tests and _file_of(test) in rank), key=order)

    def _of(self, *paths: str) -> set[str]:
        return {test for path in paths for tests in self.lines[path].values() for test in tests} - {""}

    def _importing(self, path: str, tree: Path) -> list[str]:
        folder, _, module = path.removesuffix(".py").replace("/", ".").rpartition(".")
        imported = re.compile(rf"(import|from) {folder}\.{module}\b|from {folder} import .*\b{module}\b")
        return [other for other in self.lines if imported.search((tree / other).read_text())]


def _file_of(test: str) -> str:
    return test.partition("::")[0]


def nearest_tests(mutant: Mutant, tree: Path = ROOT) -> dict[str, int]:
    """The test files of its folder, those that name its module first, and how much they do."""
    stem = Path(mutant.path).stem
    words = {mutant.path.removesuffix(".py").replace("/", "."), stem.removesuffix("_actor"), stem}

    def near(path: Path) -> int:
        text = path.read_text()
        return sum((word in path.stem) * 3 + (word in text) for word in words)

    found = {path: near(tree / path) for path in files_of_tests(folder_of(mutant.path), tree)}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def files_of_tests(folder: str, tree: Path = ROOT) -> list[str]:
    """The test files of one of the folders of `TESTS`."""
    paths = (path for tests in TESTS[folder] for path in (tree / tests).rglob("test_*.py"))
    return sorted(path.relative_to(tree).as_posix() for path in paths)


def folder_of(path: str) -> str:
    """The folder of `TESTS` that a path is in.

    Raises:
        ValueError: In none.
    """
    for folder in TESTS:
        if path == folder or path.startswith(f"{folder}/"):
            return folder
    raise ValueError(f"{path} is in none of {', '.join(TESTS)}")


def measure(tests: list[str], scratch: Scratch) -> Reached:
    """Run test files, and note what each test reaches."""
    measured = Reached()
    packages = "".join(f"\n    {scratch.tree / package}" for package in sorted({*TESTS, "playa"}))
    with tempfile.TemporaryDirectory(dir=scratch.tree.parent) as folder:
        settings = Path(folder) / "settings"
        settings.write_text(
            f"[run]\nsource = {packages}\nparallel = true\ndata_file = {folder}/data\n"
            "context = ${PYTEST_CURRENT_TEST-}\n"
            "disable_warnings = module-not-measured, module-not-imported, no-data-collected\n"
        )
        code, measured.seconds, failed = scratch.run(tests, 3600, COVERAGE_PROCESS_START=str(settings))
        if code not in {0, 1} or not measured.seconds:
            raise SystemExit(f"mutants: pytest cannot run {' '.join(tests)} (it ended with {code})")
        measured.failing = set(failed)
        for found in Path(folder).glob("data.*"):
            measured.read_data(found, scratch.tree)
    return measured


def measure_all(reached: Reached, mutants: list[Mutant], scratches: list[Scratch], keep: Path | None) -> None:
    """Run what is not known yet of the tests of their folders, each folder of tests in one of the copies."""
    folders = sorted({folder_of(mutant.path) for mutant in mutants})
    wanted = sorted({path for folder in folders for path in files_of_tests(folder)})
    parts = defaultdict(list)
    for path in reached.forget_what_changed(ROOT, wanted):
        parts[Path(path).parent].append(path)
    for measured in in_copies(scratches, sorted(parts.values(), key=len), measure):
        reached.add(measured)
    if keep:
        reached.write(keep)
    for test in sorted(reached.failing):
        print(f"fails without a mutant, and is left out: {test}", flush=True)


def in_copies(
    scratches: list[Scratch], items: list[Any], work: Callable[[Any, Scratch], Any]
) -> Iterator[Any]:
    """Work on each item in one of the copies; what comes of it, in the order in which they end."""
    free: Queue[Scratch] = Queue()
    for scratch in scratches:
        free.put(scratch)

    def one(item: Any) -> Any:
        scratch = free.get()
        try:
            return work(item, scratch)
        finally:
            free.put(scratch)

    with ThreadPoolExecutor(len(scratches)) as pool:
        attempts = [pool.submit(one, item) for item in items]
        try:
            for done in as_completed(attempts):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def try_all(
    mutants: list[Mutant], reached: Reached, scratches: list[Scratch]
) -> Iterator[tuple[Mutant, int, str | None]]:
    """Try each mutant: how many tests reach it, and which one noticed; in the order in which they end."""

    def attempt(mutant: Mutant, scratch: Scratch) -> tuple[Mutant, int, str | None]:
        tests = reached.tests_of(mutant, scratch.tree)
        return mutant, len(tests), scratch.notices(mutant, tests, reached.seconds) if tests else None

    return in_copies(scratches, mutants, attempt)


def pick(found: list[Mutant], number: int, seed: int) -> list[Mutant]:
    """Some of the mutants that make a difference."""
    random.Random(seed).shuffle(found)
    differing = (mutant for mutant in found if mutant.makes_a_difference((ROOT / mutant.path).read_bytes()))
    return list(islice(differing, number))


def _score(mutants: list[Mutant], survivors: list[Mutant], folder: str = "") -> tuple[int, str]:
    of, left = (sum(mutant.path.startswith(folder) for mutant in some) for some in (mutants, survivors))
    score = 100 * (of - left) // max(1, of)
    return score, f"{of - left} of {of} killed: {score}%"


def main() -> int:
    """Pick mutants, try them, and print the survivors; the exit code is 1 when fewer died than asked for."""
    parser = argparse.ArgumentParser(
        description="Change the code a little, and see whether its tests notice."
    )
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help=f"files or folders (default: {' '.join(TESTS)})"
    )
    parser.add_argument("--number", type=int, default=40, help="how many mutants to try (default 40)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    parser.add_argument("--jobs", type=int, default=1, help="how many at the same time (default 1)")
    parser.add_argument(
        "--coverage", type=Path, metavar="FILE", help="keep there which test reaches what, for the next time"
    )
    parser.add_argument("--at-least", type=int, default=0, metavar="PER_CENT", help="fail below this score")
    parser.add_argument("--list", action="store_true", help="only print what would be tried")
    arguments = parser.parse_args()
    wanted = [path.rstrip("/") for path in arguments.paths] or list(TESTS)
    for path in wanted:
        try:
            folder_of(path)
        except ValueError as error:
            parser.error(str(error))
        if not (ROOT / path).exists():
            parser.error(f"there is no {path}")
    found = find_mutants(ROOT, wanted)
    mutants = pick(found, arguments.number, arguments.seed)
    print(f"{len(mutants)} of {len(found)} mutants of {', '.join(wanted)}, seed {arguments.seed}", flush=True)
    if arguments.list:
        print(*mutants, sep="\n")
        return 0
    os.nice(10)
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        scratches = [Scratch(Path(folder) / str(job)) for job in range(max(1, arguments.jobs))]
        reached = Reached.read(arguments.coverage) if arguments.coverage else Reached()
        measure_all(reached, mutants, scratches, arguments.coverage)
        for count, (mutant, tests, noticed) in enumerate(try_all(mutants, reached, scratches), 1):
            if not noticed:
                survivors.append(mutant)
            what = f"killed by {noticed}" if noticed else "SURVIVED"
            print(f"[{count}/{len(mutants)}] {mutant}\n    {what} ({tests} tests reach it)", flush=True)
    for folder in sorted({folder_of(mutant.path) for mutant in mutants}):
        print(f"{folder}: {_score(mutants, survivors, folder)[1]}")
    score, words = _score(mutants, survivors)
    print(f"\n{words}", flush=True)
    if survivors:
        print("survivors:", *sorted(map(str, survivors)), sep="\n  ")
    return 1 if score < arguments.at_least else 0


if __name__ == "__main__":
    sys.exit(main())
