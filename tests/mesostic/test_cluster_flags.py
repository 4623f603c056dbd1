"""The flags of `mesostic cluster` become the settings that the names promise."""

from dataclasses import fields

import pytest
from click.testing import CliRunner

from mesostic.commands.cluster import command, settings_from_flags
from mesostic.errors import ConfigError
from playa.settings import AgentSettings, ClusterSettings


def test_without_flags_the_cluster_has_its_defaults():
    assert settings_from_flags({}) == ClusterSettings()


def test_flags_set_the_cluster_and_all_its_agents():
    settings = settings_from_flags(
        {
            "agents": "2",
            "resources": "cpus:1;mem:64",
            "attributes": "rack:r1",
            "offer_timeout": "5secs",
            "roles": "web,db",
            "weights": "web=2,db=0.5",
            "simulate": "true",
        }
    )
    assert settings == ClusterSettings(
        agents=(AgentSettings(resources="cpus:1;mem:64", attributes="rack:r1", simulate=True),) * 2,
        offer_timeout=5.0,
        roles=("web", "db"),
        weights=(("web", 2.0), ("db", 0.5)),
    )


def test_every_setting_has_a_flag():
    flags = {parameter.name for parameter in command.params}
    wanted = {field.name for cls in (ClusterSettings, AgentSettings) for field in fields(cls)}
    assert wanted <= flags


def test_flags_may_be_spelled_as_mesos_spells_them():
    result = CliRunner().invoke(command, ["--offer_timeout", "soon"])
    assert isinstance(result.exception, ConfigError)
    assert "--offer-timeout: expected a duration" in str(result.exception)


def test_a_flag_goes_over_the_file(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[cluster]\nagents = 3\nallocation_interval = '2s'\n")
    settings = settings_from_flags({"agents": "1"}, str(file))
    assert len(settings.agents) == 1
    assert settings.allocation_interval == 2.0


@pytest.mark.parametrize(
    "text",
    [
        "web s1\n\ndb s2\n",
        '{"credentials": [{"principal": "web", "secret": "s1"}, {"principal": "db", "secret": "s2"}]}',
    ],
)
def test_credentials_are_read_from_a_file_as_mesos_reads_them(tmp_path, text):
    file = tmp_path / "credentials"
    file.write_text(text)
    settings = settings_from_flags({"credentials": str(file)})
    assert settings.credentials == (("web", "s1"), ("db", "s2"))


@pytest.mark.parametrize(
    "text", ["web hunter2 more\n", '{"credentials": [{"principal": "hunter2"}]}', '{"hunter2']
)
def test_credentials_of_no_known_form_are_refused_without_being_quoted(tmp_path, text):
    file = tmp_path / "credentials"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        settings_from_flags({"credentials": str(file)})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"agents": "-1"}, "--agents: expected a number of agents from 0"),
        ({"agents": "many"}, "--agents: expected a number of agents"),
        ({"port": "http"}, '--port: expected a whole number, found "http"'),
        ({"port": "80000"}, "--port: expected a port from 0 to 65535, found 80000"),
        ({"weights": "web"}, "--weights: expected ROLE=WEIGHT"),
        ({"allocation_interval": "0"}, "allocation_interval must be greater than 0"),
        ({"credentials": "/nowhere"}, "cannot be read"),
    ],
)
def test_a_wrong_flag_is_named(flags, says):
    with pytest.raises(ConfigError, match=says):
        settings_from_flags(flags)
