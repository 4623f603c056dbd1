"""The page on actors agrees with the code (its Python blocks are run with all the others, in tests/docs)."""

from __future__ import annotations

from pathlib import Path

from actors.runtime.life.states import TRANSITIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "actors.md"


def test_the_life_of_an_actor_is_documented_as_it_is():
    rows = "".join(f"| {a.value} | {event.value} | {b.value} |\n" for (a, event), b in TRANSITIONS.items())
    _, _, after = PAGE.read_text().partition("<!-- lifecycle:")
    documented = after.partition("-->\n")[2].partition("<!-- lifecycle end")[0]
    assert documented.strip().partition("|---|---|---|\n")[2] == rows.strip()
