"""The page on security says what is promised; each promise names the tests that show it, and these exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_test_that_the_page_names_is_there():
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 5
    for file, test in named:
        assert re.search(rf"^(async )?def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), (
            file,
            test,
        )


def test_every_threat_names_a_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "| threat |" not in line]
    assert rows
    for row in rows:
        assert ".py::" in row, row
