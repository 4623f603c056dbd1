"""Write what the documentation takes from the code: the reference of the configuration, and diagrams of the state machines.

A page asks for it by a pair of comments, between which it is written; `--check` only says whether all pages are up to date.
"""

import itertools
import re
import sys
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

from actors.runtime.state_machine import Table
from mesostic.config.reference import reference

DOCS = Path(__file__).resolve().parents[1] / "docs"
MARK = re.compile(
    r"(<!-- (reference|diagram of (?P<module>[\w.]+): (?P<name>\w+))"
    r", made by tools/generate_reference.py -->\n).*?(<!-- end -->\n)",
    re.DOTALL,
)


def block(mark: re.Match[str]) -> str:
    """What belongs between two marks, with the marks."""
    if mark["module"] is None:
        text = f"```toml\n{reference()}```"
    else:
        table = getattr(import_module(mark["module"]), mark["name"])
        assert isinstance(table, Table)
        text = f"```mermaid\n{diagram(table)}\n```"
    return f"{mark[1]}\n{text}\n\n{mark[5]}"


def diagram(table: Table[Any, Any, Any]) -> str:
    """The table as a state diagram for Mermaid: what changes the state, or does something."""
    arrows: dict[tuple[Enum, Enum], list[str]] = {}
    states: type[Enum] = table.states
    events: type[Enum] = table.events
    for state, event in itertools.product(states, events):
        step = table.get((state, event))
        if step and (step.state is not state or step.actions):
            arrows.setdefault((state, step.state), []).append(event.value.replace(":", " -"))
    lines = [f'state "{state.value}" as {state.name}' for state in states]
    lines.append(f"[*] --> {table.start.name}")
    lines += [f"{a.name} --> {b.name}: {' / '.join(events)}" for (a, b), events in arrows.items()]
    lines += [f"{state.name} --> [*]" for state in states if state in table.ends]
    return "\n    ".join(["stateDiagram-v2", *lines])


def main() -> int:
    """Write, or with `--check` compare."""
    old = 0
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        wanted = MARK.sub(block, page)
        if page == wanted:
            continue
        if "--check" in sys.argv[1:]:
            print(f"docs/{path.name} does not match the code; run: python tools/generate_reference.py")
            old = 1
        else:
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote docs/{path.name}")
    return old


if __name__ == "__main__":
    raise SystemExit(main())
