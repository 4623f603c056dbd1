import json
from pathlib import Path

import pytest

from executor.environment import AgentEnvironment, BadEnvironment, take_secrets
from mesos_http import Endpoint, TlsSettings

RECORDED = Path(__file__).parent.parent / "recorded" / "custom_executor.jsonl"


def recorded_environment() -> dict[str, str]:
    for line in RECORDED.read_text().splitlines():
        record = json.loads(line)
        if record["kind"] == "environment":
            return dict(record["body"])
    raise AssertionError("no environment recorded")


def test_the_environment_of_a_real_agent_is_understood():
    environment = AgentEnvironment.read(recorded_environment())
    assert environment.executor_id == "exec-1"
    assert environment.framework_id.endswith("-0000")
    assert environment.endpoint == Endpoint("http", "127.0.0.1", 5051, "/slave(1)/api/v1/executor")
    assert environment.checkpoint is False  # MESOS_CHECKPOINT=0
    assert environment.shutdown_grace_period == 5.0
    assert environment.sandbox.name == "49639f77-ea39-4ee0-8a76-8abc36aa8a77"
    assert environment.token is None
    assert environment.tls is None


def test_checkpointing_brings_its_times():
    environment = AgentEnvironment.read(
        recorded_environment()
        | {
            "MESOS_CHECKPOINT": "1",
            "MESOS_RECOVERY_TIMEOUT": "15mins",
            "MESOS_SUBSCRIPTION_BACKOFF_MAX": "2secs",
        }
    )
    assert environment.checkpoint is True
    assert (environment.recovery_timeout, environment.backoff_max) == (900.0, 2.0)


def test_times_that_an_agent_does_not_say_are_the_usual_ones():
    names = ("RECOVERY_TIMEOUT", "SUBSCRIPTION_BACKOFF_MAX", "EXECUTOR_SHUTDOWN_GRACE_PERIOD")
    said = {name: value for name, value in recorded_environment().items() if name[6:] not in names}
    for variables in (said, said | {f"MESOS_{name}": "" for name in names}):
        found = AgentEnvironment.read(variables)
        assert (found.recovery_timeout, found.backoff_max, found.shutdown_grace_period) == (900.0, 2.0, 5.0)


def test_a_token_is_read_hidden_and_taken_out_of_the_environment():
    variables = recorded_environment() | {"MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "ey.hush"}
    environment = AgentEnvironment.read(variables)
    assert environment.token is not None
    assert environment.token.header() == "Bearer ey.hush"
    assert "hush" not in repr(environment)
    take_secrets(variables)
    take_secrets(variables)
    assert "hush" not in repr(variables)


def test_a_domain_socket_is_preferred():
    variables = recorded_environment() | {"MESOS_DOMAIN_SOCKET": "/var/run/mesos/agent.sock"}
    endpoint = AgentEnvironment.read(variables).endpoint
    assert endpoint == Endpoint.unix("/var/run/mesos/agent.sock", "/slave(1)/api/v1/executor")


def test_an_agent_with_tls_is_reached_over_tls():
    variables = recorded_environment() | {
        "LIBPROCESS_SSL_ENABLED": "1",
        "LIBPROCESS_SSL_CA_FILE": "/ca.pem",
        "LIBPROCESS_SSL_CERT_FILE": "/cert.pem",
        "LIBPROCESS_SSL_KEY_FILE": "/key.pem",
    }
    environment = AgentEnvironment.read(variables)
    assert environment.endpoint.scheme == "https"
    assert environment.tls == TlsSettings("/ca.pem", "/cert.pem", "/key.pem")


def test_the_address_may_come_from_the_agents_process_id_alone():
    variables = recorded_environment()
    del variables["MESOS_AGENT_ENDPOINT"]
    assert AgentEnvironment.read(variables).endpoint.port == 5051


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MESOS_FRAMEWORK_ID", "", "MESOS_FRAMEWORK_ID is not set: an executor is started by a Mesos agent"),
        ("MESOS_EXECUTOR_ID", "", "MESOS_EXECUTOR_ID is not set"),
        (
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
            "soon",
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD: 'soon' is not a duration",
        ),
        ("MESOS_RECOVERY_TIMEOUT", "15", "MESOS_RECOVERY_TIMEOUT: '15' is not a duration"),
        ("MESOS_SLAVE_PID", "nonsense", "MESOS_SLAVE_PID: 'nonsense' is not of the form"),
        ("MESOS_AGENT_ENDPOINT", "host:port", "MESOS_AGENT_ENDPOINT: not an address"),
    ],
)
def test_what_is_missing_or_makes_no_sense_is_named(name, value, says):
    with pytest.raises(BadEnvironment, match=says):
        AgentEnvironment.read(recorded_environment() | {name: value})


def test_without_any_address_the_variable_to_set_is_named():
    variables = recorded_environment()
    del variables["MESOS_AGENT_ENDPOINT"], variables["MESOS_SLAVE_PID"]
    with pytest.raises(BadEnvironment, match="MESOS_AGENT_ENDPOINT is not set"):
        AgentEnvironment.read(variables)
