"""For authors' own tests: run one task of an executor class, without Mesos. Public.

What is run is the author's code alone, in the test's own loop: the method is found by the payload as in an executor,
and payload and result go through the codec, so that a test fails where a real run would.
"""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from actors.runtime import check_size, pack, pack_message, unpack
from executor.author import Executor, Registration, TaskContext, Upload, task_methods
from executor.loading import LoadedExecutor
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, TaskId
from wire.results import MAX_RESULT

__all__ = ["ExecutorUnderTest", "Recorded", "run_task"]


@dataclass
class Recorded:
    """What a task did besides returning.

    Attributes:
        messages: What it sent to the scheduler.
        progress: What it reported.
        uploads: Name to bytes of what it uploaded.
        killed: Set it to have `TaskContext.killed` say so.
    """

    messages: list[object] = field(default_factory=list)
    progress: list[object] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    killed: bool = False


class ExecutorUnderTest:
    """An executor that is started and registered, runs tasks one by one as it is told, is shut down and stopped: `async with`.

    Any other hook is a method to be awaited: `await under_test.executor.on_disconnected("…")`.

    Args:
        settings: An instance of the class's `Settings`; its defaults if left out.
        sandbox: Its working directory; a temporary one if left out.
    """

    def __init__(self, cls: type[Executor], *, settings: Any = None, sandbox: Path | None = None) -> None:
        methods = task_methods(cls)
        self._temporary = None if sandbox else tempfile.TemporaryDirectory(prefix="mesostic-test-")
        self.executor = cls()
        self._loaded = LoadedExecutor(self.executor, methods)
        self.executor.settings = cls.Settings() if settings is None else settings
        self.executor.sandbox = sandbox or Path(self._temporary.name if self._temporary else ".")
        self.executor.framework_id = FrameworkId("test-0000")
        self.executor.executor_id = ExecutorId("test")
        self.executor.agent_id = AgentId("test-S0")
        self.recorded = Recorded()
        self.executor._send = lambda message, _reliable: self.recorded.messages.append(message)
        self._tasks = 0

    async def __aenter__(self) -> Self:
        await _finished(self.executor.on_start())
        executor = self.executor
        ids = executor.framework_id, "test", executor.executor_id
        await _finished(executor.on_registered(Registration(executor.agent_id, "localhost", *ids)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await _finished(self.executor.on_shutdown("the test has ended"))
        await _finished(self.executor.on_stop())
        if self._temporary is not None:
            self._temporary.cleanup()

    async def run(self, payload: object = None, *, ports: tuple[int, ...] = ()) -> Any:
        """Run one task, whose context has these ports, and give its result; raises what the task raises.

        And BadExecutor if no method takes such a payload, EncodeError if payload or result cannot be sent, ValueError if the
        result is too large for a status update.
        """
        payload = unpack(pack(payload)).message
        method = self._loaded.method_for(payload)
        self._tasks += 1
        task_id = TaskId(f"task-{self._tasks}")
        sandbox = self.executor.sandbox
        context = _TestContext(
            task_id=task_id, name=task_id, labels=(), sandbox=sandbox, ports=ports, recorded=self.recorded
        )
        call = method.bind(self.executor, payload, context)
        packed = pack(await asyncio.to_thread(call) if method.in_thread else await call())
        check_size("the result", packed, MAX_RESULT)
        return unpack(packed).message


async def run_task(cls: type[Executor], payload: object = None, *, settings: Any = None) -> Any:
    """Start an executor, run one task on it, stop it; gives the result. See `ExecutorUnderTest`."""
    async with ExecutorUnderTest(cls, settings=settings) as under_test:
        return await under_test.run(payload)


async def _finished(result: Any) -> None:
    if asyncio.iscoroutine(result):
        await result


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class _TestContext(TaskContext):
    """The context of a task under test."""

    recorded: Recorded

    @property
    def killed(self) -> bool:
        return self.recorded.killed

    def send(self, message: object, *, reliable: bool = False) -> None:
        self.recorded.messages.append(unpack(pack_message(message)).message)

    def progress(self, message: object) -> None:
        packed = pack(message)
        if not isinstance(message, str):
            check_size("the progress", packed, MAX_RESULT)
        self.recorded.progress.append(unpack(packed).message)

    async def _upload(self, name: str, source: bytes | Path, content_type: str) -> Upload:
        data = source if isinstance(source, bytes) else await asyncio.to_thread(source.read_bytes)
        self.recorded.uploads[name] = data
        return Upload(name, f"http://test/uploads/{name}", len(data))
