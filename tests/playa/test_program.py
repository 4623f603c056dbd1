"""`python -m playa`, settings, and the cluster as a context manager: starting, failing to start, ending."""

import asyncio
import contextlib
import itertools
import json
import logging
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from playa import AgentSettings, Cluster, ClusterSettings, SettingsError, messages
from playa.__main__ import main, normalise, parser, settings_of


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "playa", "--simulate", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def ready(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    url: str = json.loads(process.stdout.readline())["url"]
    return url


def test_it_says_where_it_is_and_ends_when_its_input_does() -> None:
    process = start("--exit-with-parent")
    assert ready(process).startswith("http://127.0.0.1:")
    process.communicate(timeout=10)
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order_when_told_to(number: signal.Signals) -> None:
    process = start()
    ready(process)
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_a_port_in_use_is_one_line_and_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    assert capfd.readouterr().err == f"playa: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--resources", "cpus:x"], "resources: 'cpus:x': 'x' is not an amount"),
        (["--attributes", "rack"], "attributes: 'rack': expected name:value"),
        (["--agent-ping-timeout", "0"], "agent_ping_timeout must be greater than 0"),
        (["--min-allocatable-resources", "x"], "min_allocatable_resources: 'x'"),
        (["--weights", "a=-1"], "weights: the weight of role 'a' must be greater than 0"),
        (["--authenticate-http-readonly"], "authentication is required, but there are no credentials"),
        (["--agents", "-1"], "agents must not be negative"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(
    capfd: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert main(arguments) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"playa: {text}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--heartbeat", "soon"], "'soon' is not a duration"),
        (["--weights", "a"], "'a' is not role=weight"),
        (["--credentials", "/nowhere"], "/nowhere: No such file or directory"),
    ],
)
def test_a_flag_that_cannot_be_read_is_explained(
    capfd: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    usage, error = capfd.readouterr().err.splitlines()  # not fifty flags before what is wrong
    assert "--help" in usage
    assert text in error


def settings(*arguments: str) -> ClusterSettings:
    return settings_of(parser().parse_args(normalise(arguments)))


def test_flags_are_named_as_those_of_mesos_with_dashes_too() -> None:
    chosen = settings("--agents=3", "--offer-timeout", "5secs", "--allocation_interval=500ms", "--roles=a,b")
    assert len(chosen.agents) == 3
    assert (chosen.offer_timeout, chosen.allocation_interval, chosen.roles) == (5.0, 0.5, ("a", "b"))
    assert settings("--heartbeat=1mins").heartbeat_interval == 60.0
    assert settings("--weights=a=2,b=0.5").weights == (("a", 2.0), ("b", 0.5))
    assert settings("--resources=cpus:2", "--port=7").agents[0] == AgentSettings(resources="cpus:2")


@pytest.mark.parametrize(
    "text", ["alice secret\nbob other\n", '{"credentials": [{"principal": "alice", "secret": "secret"}]}']
)
def test_credentials_come_from_a_file_in_either_form(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c"
    path.write_text(text)
    chosen = settings("--credentials", str(path))
    assert chosen.credentials[0] == ("alice", "secret")
    assert chosen.asks(chosen.authenticate_http_frameworks)
    assert chosen.asks(chosen.authenticate_http_readwrite)
    assert chosen.agent(1).authenticate_http_readonly


def test_a_file_of_credentials_that_cannot_be_read_is_explained(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c"
    for text in ("alice", '{"credentials": 7}'):
        path.write_text(text)
        with pytest.raises(SystemExit):
            main(["--credentials", str(path)])
    assert "secret" not in capfd.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [{"heartbeat_interval": 0.0}, {"offer_timeout": 0.0}, {"port": -1}, {"max_completed_frameworks": -1}],
)
def test_settings_check_themselves(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        ClusterSettings(**wrong)


def test_an_agent_cannot_be_told_to_limit_what_tasks_use() -> None:
    with pytest.raises(SettingsError, match="does not limit"):
        AgentSettings(cgroups_enable=True)


async def test_a_cluster_leaves_nothing_behind() -> None:
    async with Cluster(ClusterSettings(agents=(AgentSettings(simulate=True),))) as cluster:
        directory, port = cluster.directory, cluster.port
        assert directory.exists()
    assert not directory.exists()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_cluster_that_cannot_start_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text("nonsense")
    from playa.master.agents.registry import RegistryError

    with pytest.raises(RegistryError):
        await Cluster(ClusterSettings(work_dir=str(tmp_path))).__aenter__()


async def test_a_folder_that_is_given_is_kept_and_used_again(tmp_path: Path) -> None:
    chosen = ClusterSettings(agents=(AgentSettings(simulate=True),), work_dir=str(tmp_path))
    async with Cluster(chosen):
        pass
    assert json.loads((tmp_path / "registry.json").read_text())["agents"]
    async with Cluster(chosen) as again:
        assert again.url


async def test_weights_that_an_operator_has_changed_outlive_the_master(tmp_path: Path) -> None:
    chosen = ClusterSettings(agents=(), work_dir=str(tmp_path), weights=(("a", 2.0), ("b", 1.0)))
    change = {"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": "b", "weight": 2.5}]}}
    for _ in range(2):
        async with Cluster(chosen) as cluster, aiohttp.ClientSession(cluster.url) as session:
            if change:
                async with session.post("/api/v1", json=change) as response:
                    assert response.status == 200
                change = {}
            async with session.get("/weights") as response:
                assert await response.json() == [{"role": "a", "weight": 2.0}, {"role": "b", "weight": 2.5}]


async def test_a_master_that_crashes_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    chosen = ClusterSettings(agents=(AgentSettings(simulate=True),), agent_ping_timeout=0.2)
    async with Cluster(chosen) as cluster:
        assert cluster._system is not None
        cluster._system.tell(
            "master", messages.AgentUpdate("m", "f", "", b"\xff", "TASK_RUNNING")
        )  # no protobuf
        async with asyncio.timeout(10):
            while "master failed and is started again" not in caplog.text:
                await asyncio.sleep(0.05)
            assert await registered(cluster) == 1


async def registered(cluster: Cluster) -> int:
    """Wait until a master answers and an agent is there; how many agents there are."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{cluster.url}/slaves") as answer:
                    if found := (await answer.json())["slaves"]:
                        return len(found)
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def test_what_crashes_again_and_again_is_told_once_and_started_less_and_less_often(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on a full disk: the registry cannot be written. It is said once, and when there is room all goes on."""
    caplog.set_level(logging.INFO, "playa.cluster")
    monkeypatch.setattr("playa.cluster.RESTART_SECONDS", 0.05)
    chosen = ClusterSettings(
        agents=(AgentSettings(simulate=True),), work_dir=str(tmp_path), agent_ping_timeout=0.2
    )
    async with Cluster(chosen) as cluster:
        before = await registered(cluster)
        in_the_way = tmp_path / "registry.new"
        in_the_way.mkdir()
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while sum("master failed and" in text for text in caplog.messages) < 4:
                weights = {
                    "type": "UPDATE_WEIGHTS",
                    "update_weights": {"weight_infos": [{"role": "a", "weight": 2.0}]},
                }
                with contextlib.suppress(aiohttp.ClientError):
                    await session.post(f"{cluster.url}/api/v1", json=weights)
                await asyncio.sleep(0.02)
            in_the_way.rmdir()
            assert await registered(cluster) == before
    told = [each for each in caplog.records if "master failed and" in each.message]
    assert [each.levelname for each in told[:4]] == ["ERROR", "INFO", "INFO", "INFO"]
    pauses = [later.created - earlier.created for earlier, later in itertools.pairwise(told[:4])]
    assert all(pause > least for pause, least in zip(pauses, (0.05, 0.1, 0.2), strict=True))
