"""Tables become frozen settings; what does not fit is told, all of it at once."""

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NewType

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from actors.runtime import Secret, masked
from mesostic.config.document import parse_document
from mesostic.config.settings import build, settings_fields
from mesostic.errors import ConfigError

Role = NewType("Role", str)


class Colour(enum.Enum):
    RED = "red"
    DARK_BLUE = "dark-blue"


@dataclass(frozen=True)
class Inner:
    depth: int
    label: str = ""


@dataclass(frozen=True)
class Sample:
    """A settings class with every kind of field.

    Attributes:
        name: What it is called.
        wait_timeout: How long it waits,
            at most.
    """

    name: str
    flag: bool = False
    count: int = 1
    ratio: float = 0.5
    wait_timeout: float = 30.0
    memory: float = field(default=32.0, metadata={"unit": "MB"})
    limit: int = field(default=0, metadata={"unit": "bytes", "help": "Longest body."})
    colour: Colour = Colour.RED
    mode: Literal["fast", "slow"] = "fast"
    roles: tuple[Role, ...] = ()
    pair: tuple[int, str] = (0, "")
    environment: tuple[tuple[str, str], ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    master: str | tuple[str, ...] = "embedded"
    optional: int | None = None
    file: Path = Path()
    work_dir: str = ""
    data: bytes = b""
    tags: frozenset[str] = frozenset()
    secret: str = ""

    def __post_init__(self):
        if self.count > 100:
            raise ValueError("count must be at most 100")


def read(text, sets=(), cls=Sample):
    document = parse_document(f"[t]\n{text}\n", file="s.toml", folder=Path("/conf"), sets=sets)
    settings = build(cls, document.table["t"], ("t",), document)
    document.fail_on_problems()
    return settings


def problems(text, sets=(), cls=Sample):
    with pytest.raises(ConfigError) as caught:
        read(text, sets, cls)
    return caught.value.problems


def test_a_table_fills_every_kind_of_field():
    settings = read("""
        name = "x"
        flag = true
        count = 3.0
        ratio = 2
        wait_timeout = "1.5min"
        memory = "2GB"
        limit = "64KB"
        colour = "dark-blue"
        mode = "slow"
        roles = ["a", "b"]
        pair = [1, "one"]
        environment = { A = "1", B = "2" }
        weights = { web = 2, db = 0.5 }
        inner = { depth = 3 }
        inners = [{ depth = 1 }, { depth = 2, label = "two" }]
        master = ["http://a", "http://b"]
        optional = 7
        file = "data/seed.txt"
        work_dir = "work"
        data = "bytes"
        tags = ["x", "y"]
        secret = "s3cret"
    """)
    assert settings == Sample(
        name="x", flag=True, count=3, ratio=2.0, wait_timeout=90.0, memory=2048.0, limit=65536,
        colour=Colour.DARK_BLUE, mode="slow", roles=(Role("a"), Role("b")), pair=(1, "one"),
        environment=(("A", "1"), ("B", "2")), weights={"web": 2.0, "db": 0.5}, inner=Inner(3),
        inners=(Inner(1), Inner(2, "two")), master=("http://a", "http://b"), optional=7,
        file=Path("/conf/data/seed.txt"), work_dir="/conf/work", data=b"bytes", tags=frozenset({"x", "y"}),
        secret="s3cret",
    )  # fmt: skip
    assert isinstance(settings.count, int)
    assert isinstance(settings.ratio, float)


def test_defaults_stay_when_the_table_is_silent():
    assert read('name = "x"') == Sample(name="x")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("flag = 1", "t.flag: expected true or false, found 1 (a whole number)"),
        ("count = true", "t.count: expected a whole number, found true (a boolean)"),
        ("count = 1.5", "t.count: expected a whole number, found 1.5 (a number)"),
        ('ratio = "two"', 't.ratio: expected a number, found "two" (a string)'),
        ("ratio = nan", "t.ratio: expected a number, found nan (a number)"),
        (
            'wait_timeout = "soon"',
            't.wait_timeout: expected a duration such as "30s", "5min" or "1h", or a number of seconds, found "soon"',
        ),
        (
            'memory = "2XB"',
            't.memory: expected a number of MB, or a size such as "512MB" or "2GB", found "2XB"',
        ),
        ('limit = "1 parsec"', "t.limit: expected a size such as"),
        (
            'colour = "rad"',
            't.colour: expected one of "red", "dark-blue", found "rad" (a string); did you mean red?',
        ),
        ("colour = 1", 't.colour: expected one of "red", "dark-blue", found 1'),
        ('mode = "medium"', 't.mode: expected one of "fast", "slow", found "medium"'),
        ('roles = "a"', 't.roles: expected a list of strings, found "a" (a string)'),
        ("roles = [1]", "t.roles[0]: expected a string, found 1"),
        ("pair = [1]", "t.pair: expected a list of a whole number, a string, found [1] (a list)"),
        ("environment = { A = 1 }", "t.environment.A: expected a string, found 1"),
        ("environment = 1", "t.environment: expected a table of strings, found 1"),
        ('weights = { web = "a" }', 't.weights.web: expected a number, found "a"'),
        ("inner = {}", "t.inner.depth: missing; expected a whole number"),
        ("inner = 3", "t.inner: expected a table, found 3"),
        ("inners = [{ depth = 1, lable = 'x' }]", "t.inners[0].lable: unknown key; did you mean label?"),
        ("master = 3", "t.master: expected a string or a list of strings, found 3"),
        ("master = [3]", "t.master[0]: expected a string, found 3"),
        ("optional = 'x'", 't.optional: expected a whole number, found "x"'),
        ("file = 3", "t.file: expected the path of a file or folder, found 3"),
        ("count = 101", "t: count must be at most 100"),
        ("nmae = 'x'", "t.nmae: unknown key; did you mean name?"),
        ("name2 = 1979-05-27", "t.name2: unknown key"),
        ("ratio = 1979-05-27", "t.ratio: expected a number, found 1979-05-27 (a date or time)"),
    ],
)
def test_a_value_that_does_not_fit_names_place_key_expected_and_found(line, says):
    (problem,) = problems(f'name = "x"\n{line}')
    assert problem.startswith("s.toml:3: " if not says.startswith("t: ") else "s.toml:1: ")
    assert says in problem


def test_a_missing_key_says_what_it_is_for():
    assert problems("") == ("s.toml:1: t.name: missing; expected a string (What it is called)",)


def test_all_problems_are_told_together_in_the_order_of_the_file():
    found = problems("ratio = 'a'\ncuont = 1\nflag = 'no'")
    assert [line.split(": ")[0] for line in found] == ["s.toml:1", "s.toml:2", "s.toml:3", "s.toml:4"]
    assert "t.name: missing" in found[0]


def test_a_secret_is_never_quoted():
    (problem,) = problems("name = 'x'\nsecret = ['hunter2']")
    assert "hunter2" not in problem
    assert "expected a string, found a list" in problem


def test_an_override_that_looks_like_a_number_fills_a_string():
    assert read("", ["t.name=007"]).name == "007"
    assert read("", ["t.name=1979-05-27"]).name == "1979-05-27"


def test_a_path_from_the_command_line_is_relative_to_the_current_folder():
    settings = read('name = "x"', ["t.file=seed.txt", "t.work_dir=here"])
    assert settings.file == Path.cwd() / "seed.txt"
    assert settings.work_dir == str(Path.cwd() / "here")


def test_a_problem_of_the_command_line_names_the_option():
    assert problems("name = 'x'", ["t.count=many"]) == (
        '--set t.count: t.count: expected a whole number, found "many" (a string)',
    )


def test_a_settings_class_that_can_be_changed_is_refused():
    @dataclass
    class Loose:
        a: int = 0

    with pytest.raises(TypeError, match="not a frozen dataclass"):
        settings_fields(Loose)


def test_help_comes_from_the_docstring_and_from_the_metadata():
    fields = settings_fields(Sample)
    assert fields["wait_timeout"].help == "How long it waits, at most."
    assert fields["limit"].help == "Longest body."
    assert fields["secret"].secret
    assert fields["name"].required


toml_values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(Sample)]), toml_values, max_size=5)
)
def test_any_table_is_settings_or_problems(table):
    document = parse_document("", file="s.toml", folder=Path("/conf"))
    settings = build(Sample, table, ("t",), document)
    assert (settings is None) == bool(document.problems)


@dataclass(frozen=True)
class Locked:
    """Settings with secrets."""

    api_key: str = ""
    word: Secret = Secret("")  # noqa: RUF009 - it cannot change
    raw_token: bytes = b""
    master: str | tuple[str, ...] = "embedded"
    environment: tuple[tuple[str, str], ...] = ()
    plain: str = ""


def test_a_text_may_come_from_the_environment_or_from_a_file_and_is_shown_nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv("THE_WORD", "hunter2")
    (tmp_path / "word").write_text("hunter3\n")
    read_settings = read(
        f"""
        api_key = {{ env = "THE_WORD" }}
        word = {{ file = "{tmp_path / "word"}" }}
        raw_token = {{ env = "THE_WORD" }}
        environment = {{ KEY = {{ env = "THE_WORD" }}, OTHER = "x" }}
        plain = {{ env = "THE_WORD" }}
        """,
        cls=Locked,
    )
    assert read_settings.api_key == "hunter2"
    assert read_settings.word.reveal() == "hunter3"
    assert read_settings.raw_token == b"hunter2"
    assert read_settings.environment == (("KEY", "hunter2"), ("OTHER", "x"))
    assert read_settings.plain == "hunter2"
    assert masked("hunter2 and hunter3") == "*** and ***"
    assert read("", ["t.api_key={env='THE_WORD'}"], Locked).api_key == "hunter2"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('api_key = { env = "NOT_SET_ANYWHERE" }', "the environment variable NOT_SET_ANYWHERE is not set"),
        ('api_key = { file = "/no/such" }', "the file /no/such cannot be read: No such file or directory"),
        ("api_key = { env = 7 }", "expected the name of an environment variable in env = …"),
        ('api_key = { file = "" }', "expected the name of a file in file = …"),
        ('api_key = { other = "x" }', "expected a string, found a table"),
        ('word = { env = "NOT_SET_ANYWHERE" }', "the environment variable NOT_SET_ANYWHERE is not set"),
    ],
)
def test_a_source_that_gives_nothing_is_named(text, told):
    (problem,) = problems(text, cls=Locked)
    assert problem.startswith("s.toml:2: t.")
    assert told in problem


@pytest.mark.parametrize(
    "option",
    [
        "t.api_key=hunter2",
        "t.word=hunter2",
        "t.raw_token=hunter2",
        "t.environment.PASSWORD=hunter2",
        "t.environment={PASSWORD='hunter2'}",
        "t.api_kye=hunter2",
        "t.api_key.x=hunter2",
        "t.api_key=['hunter2']",
        "t.api_key='hunter2",
        "t api_key=hunter2",
        "t.api_key:hunter2",
    ],
)
def test_a_secret_on_the_command_line_is_refused_and_never_quoted(option):
    with pytest.raises(ConfigError) as refused:
        read("api_key = 'x'" if ".x=" in option else "", [option], Locked)
    assert "hunter2" not in str(refused.value)


def test_a_secret_on_the_command_line_is_told_where_it_belongs():
    (problem,) = problems("", ["t.api_key=hunter2"], Locked)
    assert "every user of this machine" in problem
    assert """--set 't.api_key={ env = "NAME" }'""" in problem


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("master=http://a:1,http://b:2", "master", ("http://a:1", "http://b:2")),
        ('master=["http://a:1", "http://b:2"]', "master", ("http://a:1", "http://b:2")),
        ("master=zk://a:1,b:2/mesos", "master", "zk://a:1,b:2/mesos"),
        ("master=http://a:1", "master", "http://a:1"),
        ("roles=a,b", "roles", ("a", "b")),
        ("roles=a", "roles", ("a",)),
        ("roles=7,8", "roles", ("7", "8")),
        ("roles=['a', 'b']", "roles", ("a", "b")),
        ("roles=", "roles", ()),
        ("tags=a, b", "tags", frozenset({"a", "b"})),
        ("pair=7,x", "pair", (7, "x")),
        ("environment=A=b,C=d=e", "environment", (("A", "b"), ("C", "d=e"))),
        ("environment={A='b'}", "environment", (("A", "b"),)),
        ("environment.A=b", "environment", (("A", "b"),)),
        ("weights=a=1.5,b=2", "weights", {"a": 1.5, "b": 2.0}),
    ],
)
def test_lists_and_tables_can_be_set_on_the_command_line_in_one_way_for_all(option, name, value):
    assert getattr(read("name = 'x'", [f"t.{option}"]), name) == value


@pytest.mark.parametrize("option", ["environment=A", "weights=1", "inners=a,b", "inner=a"])
def test_what_is_no_list_or_table_is_told_so(option):
    (problem, *_) = problems("name = 'x'", [f"t.{option}"])
    assert "expected" in problem
