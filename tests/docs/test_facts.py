"""What pages say in passing holds: files that they name exist, classes that they name are there, snippets import public names."""

import ast
import builtins
import re
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

import mesostic
import mesostic.testing
from actors.records import MAX_TASK_BYTES
from actors.runtime.codec.envelope import MAX_ELEMENTS, MAX_MESSAGE_BYTES, MAX_MESSAGE_ELEMENTS
from actors.scheduler.task_book import ENDED_KEPT
from tests.docs.test_docs import PAGES, ROOT, blocks_of
from wire.results import MAX_RESULT

OURS = {"actors", "executor", "mesos_http", "mesos_v1", "mesostic", "playa", "wire"}
PUBLIC = {"mesostic": vars(mesostic)["__all__"], "mesostic.testing": mesostic.testing.__all__}
ABOUT = {"docs/mesos-api.md": "mesos_v1"}
"""A page whose subject is a room itself, and is read by those who use that room alone."""

ELSEWHERE = {"Host", "JavaScript", "Origin", "ZooKeeper"}
"""Names in the form of a class that are none."""


def imports(page: Path) -> list[tuple[int, str, list[str]]]:
    """Line, module and names of each import of one of our packages in the Python of a page."""
    found = []
    for block in blocks_of(page.read_text()):
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in OURS:
                found.append((block.line + node.lineno, node.module, [alias.name for alias in node.names]))
            elif isinstance(node, ast.Import):
                found += [
                    (block.line + node.lineno, alias.name, [])
                    for alias in node.names
                    if alias.name.partition(".")[0] in OURS
                ]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_import_public_names_only(page):
    room = ABOUT.get(str(page.relative_to(ROOT)))
    for line, module, names in imports(page):
        if module.partition(".")[0] == room:
            continue
        assert module in PUBLIC, f"{page.name}:{line} imports from {module}"
        missing = set(names) - set(PUBLIC[module])
        assert not missing, f"{page.name}:{line}: {module} does not export {missing}"


def prose_of(page: Path) -> str:
    """A page without its fenced blocks of code; drawings stay."""
    keep = re.compile(r"^(`{3,})(\w*)\n(.*?)^\1\n", re.MULTILINE | re.DOTALL)
    return keep.sub(lambda block: "" if block[2] else block[3], page.read_text())


@lru_cache
def tracked() -> frozenset[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return frozenset(listed.stdout.split())


@lru_cache
def known_names() -> frozenset[str]:
    """Every class, and every name that a class or module of ours has, and those of Mesos's messages."""
    names = set(dir(builtins))
    for file in tracked():
        if (
            file.endswith(".py")
            and "/generated/" not in file
            and file.partition("/")[0] in OURS | {"examples"}
        ):
            for node in ast.walk(ast.parse((ROOT / file).read_text())):
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    names.add(node.name)
                elif isinstance(node, ast.Name | ast.alias):
                    names.add(node.id if isinstance(node, ast.Name) else node.name)
        elif file.endswith(".proto"):
            names |= set(re.findall(r"^\s*(?:message|enum) (\w+)", (ROOT / file).read_text(), re.MULTILINE))
    return frozenset(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page):
    text = page.read_text()
    own = {says for block in blocks_of(text) for says in re.findall(r"[\w.-]+", block.says.get("file", ""))}
    for name in re.findall(r"`([\w./-]+\.(?:py|toml|md|html|proto))`", prose_of(page)):
        there = any(f"/{file}".endswith(f"/{name}") for file in tracked())
        assert there or name in own, f"{page.name} names {name}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_folders_that_a_page_names_are_there(page):
    for name in re.findall(r"`((?:\w+/)+)`", prose_of(page)):
        if name.partition("/")[0] in OURS | {"examples", "tests", "docs", "tools"}:
            assert (ROOT / name).is_dir(), f"{page.name} names {name}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_classes_and_messages_that_a_page_names_are_there(page):
    text = page.read_text()
    own = set(re.findall(r"\w+", "".join(block.text for block in blocks_of(text) if block.language)))
    named = re.findall(r"(?<![\w.-])(?:[A-Z][a-z0-9]+){2,}(?![\w-])|(?<=`)[A-Z][a-z]+(?=`)", prose_of(page))
    assert set(named) <= known_names() | own | ELSEWHERE, set(named) - known_names() - own - ELSEWHERE


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (
            "writing-an-executor.md",
            f"{MAX_TASK_BYTES >> 20} MiB for the whole task, {MAX_ELEMENTS:,} elements",
        ),
        ("writing-an-executor.md", f"| a result | {MAX_RESULT >> 20} MiB |"),
        ("writing-an-executor.md", f"{MAX_MESSAGE_BYTES >> 20} MiB, {MAX_MESSAGE_ELEMENTS:,} elements"),
        ("writing-a-scheduler.md", f"at most {MAX_TASK_BYTES >> 20} MiB"),
        ("restarts.md", f"the ids of the last {ENDED_KEPT:,} tasks that ended"),
    ],
)
def test_a_limit_that_a_page_states_is_that_of_the_code(page, says):
    assert says in (ROOT / "docs" / page).read_text()
