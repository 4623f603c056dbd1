"""Flags of the real programs that change nothing here: taken and said; others refused, with the nearest name."""

import pytest
from click.testing import CliRunner

from mesostic.commands.cluster import command
from playa.__main__ import main, parser
from playa.flags import HARMLESS, OtherValueError, take_harmless


@pytest.mark.parametrize(
    ("arguments", "rest", "taken"),
    [
        (["--registry=in_memory", "--port=1"], ["--port=1"], ["--registry"]),
        (["--registry", "in_memory", "--port", "1"], ["--port", "1"], ["--registry"]),
        (["--quiet", "--port", "1"], ["--port", "1"], ["--quiet"]),
        (["--no-quiet", "--no_registry_strict"], [], ["--quiet", "--registry_strict"]),
        (["--quiet=true", "--registry-store-timeout=1mins"], [], ["--quiet", "--registry_store_timeout"]),
        (["--agent_removal_rate_limit", "--port", "1"], ["--port", "1"], ["--agent_removal_rate_limit"]),
        (["--nosuch", "--no_faults", "registry"], ["--nosuch", "--no_faults", "registry"], []),
        (["--framework_sorter=drf", "--switch_user", "--no-http_command_executor"], [], [
            "--framework_sorter",
            "--switch_user",
            "--http_command_executor",
        ]),
    ],
)  # fmt: skip
def test_flags_without_effect_are_taken_out(arguments: list[str], rest: list[str], taken: list[str]) -> None:
    assert take_harmless(arguments) == (rest, taken)


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("--framework_sorter=random", "--framework_sorter=random: the embedded cluster has drf"),
        ("--no-switch_user", "--switch_user=false: the embedded cluster has true"),
        ("--http_command_executor", "--http_command_executor=true: the embedded cluster has false"),
        ("--containerizers=docker,mesos", "--containerizers=docker,mesos: the embedded cluster has mesos"),
        ("--authorizers=x", "the embedded cluster has local"),
    ],
)
def test_a_value_that_would_change_something_is_refused(argument: str, text: str) -> None:
    with pytest.raises(OtherValueError, match=text):
        take_harmless([argument])


@pytest.mark.parametrize(
    "name", ["acls", "zk", "credential", "modules", "isolation", "rate_limits", "whitelist"]
)
def test_what_would_protect_or_change_something_is_not_harmless(name: str) -> None:
    assert name not in HARMLESS


def test_a_flag_of_our_own_is_not_among_them() -> None:
    own = {name.removeprefix("--") for action in parser()._actions for name in action.option_strings}
    assert not own & HARMLESS
    assert not {name.replace("-", "_") for p in command.params for name in (p.name or "",)} & HARMLESS


def test_the_program_says_which_flags_have_no_effect(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--registry=in_memory", "--quiet", "--agents", "-1"]) == 2
    said, refused = capfd.readouterr().err.splitlines()
    assert said == "playa: no effect on the embedded cluster: --registry, --quiet"
    assert refused == "playa: agents must not be negative"


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("--registri=x", "there is no flag --registri=x; did you mean --registry?"),
        ("--offer_timeot=1", "there is no flag --offer_timeot=1; did you mean --offer_timeout?"),
        ("--xyzzy", "there is no flag --xyzzy\n"),
        ("--role_sorter=random", "--role_sorter=random: the embedded cluster has drf and nothing else"),
    ],
)
def test_the_program_refuses_others_with_the_nearest(
    capfd: pytest.CaptureFixture[str], argument: str, text: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([argument])
    assert text in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (["--registry", "x", "--agents", "-1"], ["no effect on the embedded cluster: --registry"]),
        (["--registri", "x"], ["No such option", "--registri", "--registry"]),
        (["--offer_timeot=1"], ["No such option", "--offer-timeout"]),
        (["--role_sorter=random"], ["--role_sorter=random: the embedded cluster has drf and nothing else"]),
    ],
)
def test_mesostic_cluster_does_likewise(arguments: list[str], texts: list[str]) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code != 0
    for text in texts:
        assert text in result.output
