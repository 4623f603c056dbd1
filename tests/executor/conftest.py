import asyncio
import functools
import logging
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from actors.runtime import ActorSystem, pack, unpack
from actors.runtime.testing import ManualIds, run_virtual
from executor.connection_actor import AgentLink
from executor.environment import AgentEnvironment
from executor.executor_actor import ExecutorActor
from executor.messages import EXECUTOR
from mesos_v1.content import ContentType
from tests.support.agent_script import AgentScript, TwinLink, environment
from wire.start_letter import ExecutorBoot

AUTHORS = "tests.executor.authors"


@dataclass
class Running:
    """An executor that runs in the test's own loop."""

    script: AgentScript
    system: ActorSystem
    exited: asyncio.Future[tuple[int, str]] = field(repr=False)

    def launch(self, task_id: str, payload: object = None, **kw: Any) -> None:
        data = None if payload is None else pack(payload, id=f"launch-{task_id}")
        self.script.launch(task_id, data, **kw)

    def result(self, task_id: str) -> object:
        return unpack(self.script.updates(task_id)[-1].data).message

    def heard(self) -> list[object]:
        return [unpack(data).message for data in self.script.messages()]

    async def exit(self) -> tuple[int, str]:
        return await asyncio.wait_for(asyncio.shield(self.exited), 3600)


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Any]:
    """Start an executor: `async with start("Everything") as run`."""

    @asynccontextmanager
    async def starting(
        cls: str = "Everything",
        *,
        script: AgentScript | None = None,
        boot: bool = True,
        new_link: Callable[[AgentEnvironment], AgentLink] | None = None,
        server_url: str | None = None,
        settings: bytes = b"",
        around: AgentEnvironment | None = None,
        **kw: Any,
    ):
        name = f"{AUTHORS}:{cls}" if ":" not in cls else cls
        script = script or AgentScript()
        if boot and not script.boot:
            script.boot = pack(ExecutorBoot(server_url, "run-token", settings, name))
        exited: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

        def on_exit(code: int, reason: str) -> None:
            assert not exited.done(), "an executor exits once"
            exited.set_result((code, reason))

        around = around or environment(tmp_path, **kw)
        around = replace(around, content_type=script.content_type)
        link = new_link or (AgentLink if "endpoint" in kw else lambda _: TwinLink(script))
        async with ActorSystem("executor", ids=ManualIds(7)) as system:
            system.spawn(ExecutorActor, around, name, on_exit, link, name=EXECUTOR)
            yield Running(script, system, exited)
            assert system.failure is None

    return starting


def on_virtual_time(test: Callable[..., Any]) -> Callable[..., None]:
    """Run an async test on a loop whose time jumps to the next timer."""

    @functools.wraps(test)
    def run(*args: Any, **kw: Any) -> None:
        run_virtual(test(*args, **kw))

    return run


@pytest.fixture(params=[ContentType.PROTOBUF, ContentType.JSON], ids=["protobuf", "json"])
def content_type(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
