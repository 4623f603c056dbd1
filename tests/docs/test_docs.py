"""Every page of the documentation is run: its commands, its Python, its configurations.

Conventions for authors of pages (docs/*.md, README.md). Each page has a temporary folder of its own, in which its
blocks run from top to bottom; `examples` in it is the repository's folder. An HTML comment on a line of its own right
above a block says how the block is to be taken:

  <!-- file: NAME -->     the block (any language) is written to NAME; nothing is run. TOML files are checked as
                          `mesostic check NAME` would, at the place where they stand, so write the Python they
                          name above them; `<!-- file: NAME, unchecked -->` leaves that out.
  <!-- exit: N -->        the last command of a console block ends with N (otherwise 0).
  <!-- background -->     the commands of a console block go on running while the rest of the page is run (a cluster, a
                          `--follow`): waits until the expected output is there; Ctrl-C at the end of the page.
  <!-- continues -->      a Python block goes on where the Python block before it stopped.
  <!-- quotes: PATH -->   the block is the content of that file of the repository, word for word.
  <!-- skip: REASON -->   the block is not run; the reason is for the next reader.

```console   lines that start with "$ " are run by bash (a line that ends with a backslash goes on in the next); the lines below
             a command are fragments that its output (stdout and stderr) holds in this order; "..." stands for anything, also
             inside of a line.
```python    run on its own by a fresh Python; lines `# prints: TEXT` are fragments of its output.
```toml      without `file`, a fragment: valid TOML, known tables, known keys, fitting values. Class paths are not imported.
Other languages (text, sh, json, …) are left alone.
"""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", *ROOT.glob("examples/*/README.md")])
COMMAND_TIMEOUT = 120

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: what stands behind the fence.
        text: what stands in it.
        line: of the fence, from 1.
        says: the comments above it, "name" or "name: value".
    """

    language: str
    text: str
    line: int
    says: dict[str, str]


def blocks_of(markdown: str) -> list[Block]:
    blocks, says, lines = [], {}, markdown.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        number += 1
        comment = re.fullmatch(
            r"<!--\s*(file|exit|background|continues|quotes|skip)\b(?::\s*(.*?))?\s*-->", line
        )
        fence = re.fullmatch(r"(`{3,}|~{3,})\s*(\w*).*", line)
        if comment:
            says[comment[1]] = comment[2] or ""
        elif fence:
            start, indent = number, len(lines[number - 1]) - len(lines[number - 1].lstrip())
            while number < len(lines) and lines[number].strip() != fence[1]:
                number += 1
            text = "\n".join(content[indent:] for content in lines[start:number]) + "\n"
            blocks.append(Block(fence[2], text, start, says))
            says = {}
            number += 1
        elif line:
            says = {}
    return blocks


def commands_of(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the fragments expected of its output."""
    commands: list[tuple[str, list[str]]] = []
    goes_on = False
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif goes_on:
            commands[-1] = (commands[-1][0] + "\n" + line.removeprefix("> "), [])
        elif commands:
            commands[-1][1].extend(part.strip() for part in line.split("...") if part.strip())
        goes_on = bool(commands) and not commands[-1][1] and line.endswith("\\")
    return commands


def missing_fragment(output: str, fragments: list[str]) -> str | None:
    position = 0
    for fragment in fragments:
        found = output.find(fragment, position)
        if found < 0:
            return fragment
        position = found + len(fragment)
    return None


class Page:
    """Runs the blocks of one page in a folder of its own."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.python = ""
        self.background: list[tuple[subprocess.Popen[bytes], Path]] = []
        paths = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        self.environment = {**os.environ, "PATH": os.pathsep.join(paths), "NO_COLOR": "1", "COLUMNS": "200"}
        (folder / "examples").symlink_to(ROOT / "examples")

    def run(self, block: Block) -> None:
        if "quotes" in block.says:
            assert block.text == (ROOT / block.says["quotes"]).read_text(), (
                f"{self._at(block)}: quotes wrongly"
            )
        if "skip" in block.says:
            assert block.says["skip"], f"{self._at(block)}: a skipped block needs a reason"
        elif "file" in block.says:
            self._write(block)
        elif block.language == "console":
            self._console(block)
        elif block.language == "python":
            self._python(block)
        elif block.language == "toml":
            self._fragment(block)

    def close(self) -> None:
        for process, _ in self.background:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        for process, log in self.background:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise AssertionError(f"a background command did not end: {log.read_text()}") from None

    def _write(self, block: Block) -> None:
        name, _, unchecked = block.says["file"].partition(",")
        file = self.folder / name.strip()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)
        if file.suffix == ".toml" and not unchecked:
            self._check(block, f"mesostic check {name.strip()}", [], 0)

    def _console(self, block: Block) -> None:
        commands = commands_of(block.text)
        assert commands, f"{self._at(block)}: a console block without a command"
        for position, (command, fragments) in enumerate(commands):
            if "background" in block.says:
                self._start(block, command, fragments)
            else:
                last = position == len(commands) - 1
                self._check(block, command, fragments, int(block.says.get("exit", "0")) if last else 0)

    def _check(self, block: Block, command: str, fragments: list[str], exit_code: int) -> None:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        shown = f"{self._at(block)}: $ {command}\n{output}"
        assert done.returncode == exit_code, f"ended with {done.returncode}, not {exit_code}\n{shown}"
        missing = missing_fragment(output, fragments)
        assert missing is None, f"{missing!r} is not in the output (or not in this order)\n{shown}"

    def _start(self, block: Block, command: str, fragments: list[str]) -> None:
        log = self.folder / f".background-{len(self.background)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.background.append((process, log))
        deadline = time.monotonic() + 30
        while (missing := missing_fragment(log.read_text(errors="replace"), fragments)) is not None:
            assert process.poll() is None, f"{self._at(block)}: $ {command}\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{self._at(block)}: no {missing!r} in\n{log.read_text()}"
            time.sleep(0.05)

    def _python(self, block: Block) -> None:
        self.python = self.python + "\n" + block.text if "continues" in block.says else block.text
        script = self.folder / f".block-{block.line}.py"
        script.write_text(self.python)
        fragments = re.findall(r"^\s*# prints: (.*)$", block.text, re.MULTILINE)
        self._check(block, f"python {script.name}", fragments, 0)

    def _fragment(self, block: Block) -> None:
        from mesostic.errors import ConfigError
        from tests.support.fragments import check_fragment

        try:
            check_fragment(block.text, name=f"{self.path.name} (block at line {block.line})")
        except ConfigError as error:
            pytest.fail(str(error), pytrace=False)

    def _at(self, block: Block) -> str:
        return f"{self.path.relative_to(ROOT)}:{block.line}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_that_a_page_shows_works(path, tmp_path, monkeypatch):
    monkeypatch.setenv("MESOS_SECRET", "what pages take from the environment")
    monkeypatch.setenv("STORE_PASSWORD", "what pages take from the environment")
    monkeypatch.chdir(tmp_path)
    page = Page(path, tmp_path)
    try:
        for block in blocks_of(path.read_text()):
            page.run(block)
    finally:
        page.close()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}, which is not there"


def test_blocks_are_found_with_what_is_said_about_them():
    markdown = "text\n\n<!-- exit: 2 -->\n```console\n$ a \\\n    b\nout...put\n$ c\n```\n\nmore\n```python\nx\n```\n"
    console, python = blocks_of(markdown)
    assert (console.language, console.line, console.says) == ("console", 4, {"exit": "2"})
    assert commands_of(console.text) == [("a \\\n    b", ["out", "put"]), ("c", [])]
    assert (python.text, python.says) == ("x\n", {})
