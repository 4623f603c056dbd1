"""TOML texts, their lines, and `--set`: what is read before anyone knows what the keys mean."""

import contextlib
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesostic.config.document import dotted, load_document, parse_document
from mesostic.config.toml import key_lines, split_key
from mesostic.errors import ConfigError, MesosticError

TEXT = '''\
# a comment with [brackets] = 1
[framework]
name = "hello"   # [not.a.table]
roles = [
    "web", # ]
    "db",
]
text = """
[inside]
key = 1
"""
'quoted "key"' = 1
inline = { a = 1, b = [1, 2] }

[executors."a.b"]
cpus = 1
a.b.c = 2

[[cluster.agents]]
resources = "cpus:1"
[[cluster.agents]]
resources = "cpus:2"
'''


def document(text=TEXT, sets=()):
    return parse_document(text, file="hello.toml", folder=Path("/somewhere"), sets=sets)


def test_every_key_knows_its_line():
    lines = key_lines(TEXT)
    assert lines["framework", "name"] == 3
    assert lines["framework", "roles"] == 4
    assert lines["framework", "text"] == 8
    assert lines["framework", 'quoted "key"'] == 12
    assert lines["framework", "inline"] == 13
    assert lines["executors", "a.b"] == 15
    assert lines["executors", "a.b", "a", "b", "c"] == 17
    assert lines["cluster", "agents", 1, "resources"] == 22
    assert ("inside",) not in lines
    assert ("framework", "key") not in lines


def test_a_key_inside_an_inline_table_stands_on_the_line_of_the_table():
    assert document().where(("framework", "inline", "b", 0)) == "hello.toml:13"


def test_a_key_that_is_nowhere_in_the_file_stands_in_the_file():
    assert document().where(("store", "path")) == "hello.toml"


@given(st.text(alphabet="[]{}=.\"'#\\\n ab1,", max_size=80))
def test_any_toml_can_be_scanned_for_lines(text):
    with contextlib.suppress(tomllib.TOMLDecodeError):
        tomllib.loads(text)
    lines = key_lines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6),
        st.integers(),
        min_size=1,
        max_size=6,
    )
)
def test_keys_written_line_by_line_are_found_on_their_lines(keys):
    def quoted(key):
        escaped = key.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    text = "\n".join(f"{quoted(key)} = {value}" for key, value in keys.items())
    assert key_lines(text) == {(key,): number for number, key in enumerate(keys, start=1)}


def test_a_dotted_key_is_split_as_toml_splits_it():
    assert split_key('executors."a.b".cpus') == ("executors", "a.b", "cpus")
    assert dotted(("executors", "a.b", "cpus")) == 'executors."a.b".cpus'
    assert dotted(("cluster", "agents", 0, "resources")) == "cluster.agents[0].resources"


@pytest.mark.parametrize("text", ["", "a..b", "a b", "[a]", "a = 1\nb", "# a"])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(ValueError):
        split_key(text)


@pytest.mark.parametrize(
    ("given_value", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("false", False),
        ('"3"', "3"),
        ('["a", "b"]', ["a", "b"]),
        ("{ a = 1 }", {"a": 1}),
        ("http://example.org/?a=b#c", "http://example.org/?a=b#c"),
        ("plain words", "plain words"),
        ("", ""),
        ("1\nother = 2", "1\nother = 2"),
    ],
)
def test_set_takes_toml_values_and_bare_strings(given_value, value):
    assert document("", [f"scheduler.key={given_value}"]).table == {"scheduler": {"key": value}}


def test_set_replaces_what_the_file_says_and_makes_tables_on_the_way():
    table = document(
        sets=["framework.name=other", "cluster.agents.1.resources=cpus:9", "new.table.key=1"]
    ).table
    assert table["framework"]["name"] == "other"
    assert table["cluster"]["agents"][1]["resources"] == "cpus:9"
    assert table["new"] == {"table": {"key": 1}}


def test_a_problem_of_an_overridden_key_names_the_option():
    doc = document(sets=["cluster.agents.1.resources=3"])
    assert doc.where(("cluster", "agents", 1, "resources")) == "--set cluster.agents.1.resources"
    assert doc.where(("cluster", "agents", 0, "resources")) == "hello.toml:20"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("scheduler.limit", "expected key=value"),
        ("=3", "is not a key"),
        ("a b=3", "is not a key"),
        ("framework.name.first=x", "framework.name is not a table"),
        ("a=[1, 2", "not valid TOML"),
        ('a="never ends', "not valid TOML"),
        ("a=" + "9" * 5000, r"^--set a=…: an integer must fit into 64 bits \(19 digits\)\.$"),
        ("a=0x1" + "0" * 5000, r"^--set a=…: an integer must fit into 64 bits \(19 digits\)\.$"),
    ],
)
def test_a_wrong_set_says_what_is_wrong_with_it(text, says):
    with pytest.raises(ConfigError, match=says):
        document(sets=[text])


def test_a_file_that_is_not_toml_says_where(tmp_path):
    file = tmp_path / "broken.toml"
    file.write_text('[framework]\nname = "hello\n')
    with pytest.raises(ConfigError, match=r"broken\.toml is not valid TOML: .*line 2"):
        load_document(file)


@pytest.mark.parametrize(
    ("number", "where"),
    [("9" * 5000, ""), ("0xf" + "0" * 5000, "scheduler.limits: "), (str(2**63), "scheduler.limits: ")],
)
def test_a_number_that_is_too_large_is_named(tmp_path, number, where):
    file = tmp_path / "large.toml"
    file.write_text(f"[scheduler]\nlimits = [1, {number}]\n")
    with pytest.raises(ConfigError) as caught:
        load_document(file)
    assert str(caught.value) == f"{file} is not usable: {where}an integer must fit into 64 bits (19 digits)."


def test_a_file_that_is_not_there_names_the_one_that_is(tmp_path):
    (tmp_path / "hello.toml").write_text("")
    with pytest.raises(ConfigError, match=r"helo\.toml does not exist; did you mean .*hello\.toml\?$"):
        load_document(tmp_path / "helo.toml")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = " + b"[" * 100_000, b"\x00"])
def test_garbage_is_a_clear_error(tmp_path, content):
    file = tmp_path / "garbage.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"garbage\.toml"):
        load_document(file)


def test_a_folder_is_not_a_configuration(tmp_path):
    with pytest.raises(ConfigError, match="is a folder"):
        load_document(tmp_path)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_a_clear_error(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    with contextlib.suppress(MesosticError):
        load_document(file, [content.decode("latin-1")])
