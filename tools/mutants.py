"""Change the code a little, and see whether its tests notice: `python tools/mutants.py --number 40`.

A mutant is one small mistake: a condition turned round, a call left out, a boundary moved. A seed picks some of them. Each
is made in a scratch copy with a virtual environment of its own, never in the work tree, and the tests of its folder
run until one fails. A mutant that no test fails on has survived: a test is missing there, or the change changes nothing.

What nobody should test is left alone: texts, logging, annotations, assertions, `__repr__`, tuning constants.
"""

import argparse
import ast
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
TESTS = {
    "actors": ("tests/runtime", "tests/actors"),
    "executor": ("tests/executor",),
    "mesos_http": ("tests/mesos_http",),
    "playa/master": ("tests/playa",),
    "playa/agent": ("tests/playa_agent",),
}
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
NOT_DROPPED = frozenset({"name", "strict", "encoding", "errors"})
LOGGERS = frozenset({"logger", "log", "logging", "warnings"})

Located = ast.expr | ast.stmt | ast.keyword


@dataclass(frozen=True)
class Mutant:
    """One small mistake.

    Attributes:
        path: Of the file, from the root of the tree.
        start: Where the text to be replaced begins, in bytes.
        end: Where it ends.
    """

    path: str
    line: int
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

    def find(self) -> list[Mutant]:
        """Every mutant, in the order of the text."""
        self.visit(ast.parse(self._source))
        return sorted(self.mutants, key=lambda mutant: (mutant.start, mutant.end, mutant.new))

    def _replace(self, node: ast.expr | ast.stmt, new: str) -> None:
        start, end = self._span(node, node)
        self._add(node.lineno, start, end, new)

    def _express(self, node: ast.expr, new: ast.expr) -> None:
        self._replace(node, f"({ast.unparse(new)})")

    def _forget(self, first: ast.expr | ast.keyword, last: ast.expr | ast.keyword) -> None:
        """Leave out an item of a list, up to the comma that ends it."""
        start, end = self._span(first, last)
        rest = self._source[end:]
        if rest.lstrip().startswith(b","):
            end += len(rest) - len(rest.lstrip()) + 1
        self._add(first.lineno, start, end, "")

    def _span(self, first: Located, last: Located) -> tuple[int, int]:
        assert last.end_lineno is not None
        assert last.end_col_offset is not None
        return (
            self._lines[first.lineno - 1] + first.col_offset,
            self._lines[last.end_lineno - 1] + last.end_col_offset,
        )

    def _add(self, line: int, start: int, end: int, new: str) -> None:
        self.mutants.append(Mutant(self._path, line, start, end, self._source[start:end].decode(), new))

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
        if isinstance(called, ast.Call) and not _names(called.func) & LOGGERS:
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
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg not in NOT_DROPPED:
                self._forget(keyword, keyword)
        self.generic_visit(node)


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


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
        (packages / "tree.pth").write_text(f"{self.tree}\n{real / 'lib' / version / 'site-packages'}\n")
        program = copy / "bin" / "mesostic"
        program.write_text(
            f"#!{copy}/bin/python\nimport sys\nfrom mesostic.cli import main\nsys.exit(main())\n"
        )
        program.chmod(0o755)

    def run(self, tests: list[str], limit: float) -> bool:
        """Run tests until one fails; true if none does within the limit of seconds."""
        environment = os.environ | {
            "TMPDIR": str(self._temporary),
            "PATH": f"{self.tree}/.venv/bin{os.pathsep}{os.environ.get('PATH', '')}",
        }
        environment.pop("VIRTUAL_ENV", None)
        environment.pop("PYTHONPATH", None)
        pytest = [
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--basetemp={self._temporary}/pytest",
        ]
        process = subprocess.Popen(
            [self.tree / ".venv" / "bin" / "python", *pytest, *tests],
            cwd=self.tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            self._end_all()
            process.wait()

    def _end_all(self) -> None:
        """End whatever still runs in the copy: a mutant may well forget to."""
        for process in psutil.process_iter(["cmdline", "cwd"]):
            where = [process.info["cwd"] or "", *(process.info["cmdline"] or [])]
            if any(str(self.tree.parent) in part for part in where):
                try:
                    process.send_signal(signal.SIGKILL)
                except psutil.NoSuchProcess:
                    pass

    def notices(self, mutant: Mutant, tests: list[str], limit: float) -> bool:
        """Whether a test fails on the mutant."""
        path = self.tree / mutant.path
        source = path.read_bytes()
        compiled = Path(
            cache_from_source(str(path))
        )  # good for a second of the clock only: it may be too old
        try:
            path.write_bytes(mutant.applied(source))
            compiled.unlink(missing_ok=True)
            return not self.run(tests, limit)
        finally:
            path.write_bytes(source)
            compiled.unlink(missing_ok=True)


def nearest_tests(mutant: Mutant, tree: Path = ROOT) -> list[str]:
    """The test files of its folder, those that name its module first."""
    stem = Path(mutant.path).stem
    words = {mutant.path.removesuffix(".py").replace("/", "."), stem.removesuffix("_actor"), stem}
    files = sorted(
        path for folder in TESTS[folder_of(mutant.path)] for path in (tree / folder).rglob("test_*.py")
    )

    def far(path: Path) -> int:
        text = path.read_text()
        return -sum((word in path.stem) * 3 + (word in text) for word in words)

    return [path.relative_to(tree).as_posix() for path in sorted(files, key=far)]


def folder_of(path: str) -> str:
    """The folder of `TESTS` that a path is in.

    Raises:
        ValueError: In none.
    """
    for folder in TESTS:
        if path == folder or path.startswith(f"{folder}/"):
            return folder
    raise ValueError(f"{path} is in none of {', '.join(TESTS)}")


def try_all(mutants: list[Mutant], scratches: list[Scratch]) -> Iterator[tuple[Mutant, bool]]:
    """Try each mutant in one of the copies; says whether it was noticed, in the order in which they end."""
    limits = {}
    for folder in sorted({folder_of(mutant.path) for mutant in mutants}):
        begun = time.monotonic()
        if not scratches[0].run(list(TESTS[folder]), 3600):
            raise SystemExit(
                f"mutants: the tests of {folder} fail without a mutant: {' '.join(TESTS[folder])}"
            )
        limits[folder] = 60 + 3 * (time.monotonic() - begun)
    free, lock = list(scratches), threading.Lock()

    def attempt(mutant: Mutant) -> tuple[Mutant, bool]:
        with lock:
            scratch = free.pop()
        try:
            limit = limits[folder_of(mutant.path)]
            return mutant, scratch.notices(mutant, nearest_tests(mutant, scratch.tree), limit)
        finally:
            with lock:
                free.append(scratch)

    with ThreadPoolExecutor(len(scratches)) as pool:
        attempts = [pool.submit(attempt, mutant) for mutant in mutants]
        try:
            for done in as_completed(attempts):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


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
    mutants = random.Random(arguments.seed).sample(found, min(arguments.number, len(found)))
    print(f"{len(mutants)} of {len(found)} mutants of {', '.join(wanted)}, seed {arguments.seed}", flush=True)
    if arguments.list:
        print(*mutants, sep="\n")
        return 0
    os.nice(10)
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        scratches = [Scratch(Path(folder) / str(job)) for job in range(max(1, arguments.jobs))]
        for count, (mutant, noticed) in enumerate(try_all(mutants, scratches), 1):
            if not noticed:
                survivors.append(mutant)
            print(f"[{count}/{len(mutants)}] {'killed  ' if noticed else 'SURVIVED'} {mutant}", flush=True)
    score = 100 * (len(mutants) - len(survivors)) // max(1, len(mutants))
    print(f"\n{len(mutants) - len(survivors)} of {len(mutants)} killed: {score}%", flush=True)
    if survivors:
        print("survivors:", *sorted(map(str, survivors)), sep="\n  ")
    return 1 if score < arguments.at_least else 0


if __name__ == "__main__":
    sys.exit(main())
