r"""Text from elsewhere on a terminal: nothing in it is obeyed.

A page's title, a server's answer, a task's last words can hold whatever their author likes: sequences that colour, clear, rename or
type into a terminal, and marks that turn the direction of writing. They are shown as escapes (`\x1b`), as in a literal of Python.
"""

import re

_OBEYED = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_TEXT = re.compile(f"[{_OBEYED}]")
_IN_A_LINE = re.compile(f"[\t\n{_OBEYED}]")


def harmless(text: str) -> str:
    """The text without anything that a terminal would obey, but for tabs and ends of lines."""
    return _IN_TEXT.sub(_escaped, text)


def harmless_line(text: str) -> str:
    """The text as one line of which the same holds."""
    return _IN_A_LINE.sub(_escaped, text)


def harmless_json(text: str) -> str:
    """JSON with the same meaning, of which the same holds."""
    return _IN_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
