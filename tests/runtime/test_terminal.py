"""What comes from elsewhere is shown on a terminal, and not obeyed by it."""

import json
import logging
import sys
import unicodedata

import pytest

from actors.runtime import hide_secrets_in_logs
from actors.runtime.terminal import harmless, harmless_json, harmless_line

EVIL = "\x1b]0;mine\x07\x9b31m\r\b\x7f\u202e\u2028\udce9"


def is_obeyed(char):
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(char) in {
        "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
    }  # fmt: skip


def test_nothing_that_a_terminal_obeys_is_left_whatever_the_character():
    for char in map(chr, range(sys.maxunicode + 1)):
        if is_obeyed(char):
            assert not any(map(is_obeyed, harmless_line(char))), ascii(char)
            assert char in "\t\n" or not any(map(is_obeyed, harmless(char))), ascii(char)


@pytest.mark.parametrize("text", ["", "plain", "naïve café", "日本語", "👩‍🚀", "a\tb\nc", "\\x1b"])
def test_what_is_only_text_stays_as_it_is(text):
    assert harmless(text) == text


def test_it_is_shown_as_an_escape():
    assert harmless("a\x1b[31mb\n") == "a\\x1b[31mb\n"
    assert harmless_line("a\nb") == "a\\nb"


def test_json_means_the_same():
    document = json.dumps({EVIL: EVIL}, ensure_ascii=False, indent=1)
    shown = harmless_json(document)
    assert json.loads(shown) == {EVIL: EVIL}
    assert "\x9b" not in shown


def test_log_lines_do_not_command_the_terminal(capsys):
    handler = logging.StreamHandler()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        hide_secrets_in_logs()
        try:
            raise ValueError(EVIL)
        except ValueError:
            logging.getLogger("mine").exception("it said %s", EVIL)
    finally:
        root.removeHandler(handler)
    told = capsys.readouterr().err
    assert "it said \\x1b]0;mine\\x07" in told
    assert not any(is_obeyed(char) for char in told if char not in "\t\n")
