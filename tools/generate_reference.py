"""Write the reference of the configuration into docs/configuration.md; `--check` only says whether it is up to date."""

import sys
from pathlib import Path

from mesostic.config.reference import reference

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
BEGIN = "<!-- reference: made by tools/generate_reference.py, do not edit -->\n"
END = "<!-- end of reference -->\n"


def page_with_reference(page: str) -> str:
    """The page with the reference between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE.name} has no place for the reference")
    return f"{before}{BEGIN}\n```toml\n{reference()}```\n\n{END}{after}"


def main() -> int:
    """Write, or with `--check` compare."""
    page = PAGE.read_text(encoding="utf-8")
    wanted = page_with_reference(page)
    if page == wanted:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"docs/{PAGE.name} does not match the settings; run: python tools/generate_reference.py")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    print(f"wrote docs/{PAGE.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
