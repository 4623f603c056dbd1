"""A small agent with a script: speaks the executor API as recorded, over a real socket or within the process.

`AgentScript` is what it does; `serve` puts it behind a real HTTP server, `TwinLink` behind the executor's wire protocol
without a socket, for tests on virtual time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from executor.connection_actor import AgentLink
from executor.environment import AgentEnvironment
from mesos_http import BearerToken, ConnectFailed, ConnectionLost, Endpoint, Response, StreamBroken
from mesos_v1 import pb, recordio
from mesos_v1.content import ContentType, parse, serialize
from mesos_v1.errors import ApiError
from mesos_v1.values import AgentId, ExecutorId, FrameworkId
from tests.support.raw_server import chunk, raw_server, response

Event, Call = pb.executor.Event, pb.executor.Call
FRAMEWORK, EXECUTOR, AGENT = FrameworkId("F-0000"), ExecutorId("exec-1"), AgentId("F-S0")


class AgentScript:
    """What the agent says and hears.

    Attributes:
        acknowledge: Whether updates are acknowledged at once.
        refusals: What the next attempts to subscribe are answered instead of 200: (status, body), or None: nobody there.
        call_answers: What the next calls are answered instead of 202; None: the connection breaks.
    """

    def __init__(
        self, *, boot: bytes = b"", content_type: ContentType = ContentType.PROTOBUF, acknowledge: bool = True
    ) -> None:
        self.boot = boot
        self.content_type = content_type
        self.acknowledge = acknowledge
        self.refusals: deque[tuple[int, str] | None] = deque()
        self.call_answers: deque[tuple[int, str] | None] = deque()
        self.answers_subscribed = True
        self.calls: list[pb.executor.Call] = []
        self.headers: list[dict[str, str]] = []
        self.subscriptions = 0
        self.stream: Callable[[bytes], None] | None = None
        self.drop: Callable[[], None] = lambda: None
        self._changed = asyncio.Event()

    # -- what the executor does --------------------------------------------------------------------------------------

    def hear(self, body: bytes) -> tuple[int, str] | None:
        """Any call but SUBSCRIBE; gives the answer."""
        call = parse(Call, body, self.content_type)
        self.calls.append(call)
        self._changed.set()
        if self.call_answers:
            answer = self.call_answers.popleft()
            if answer is None or answer[0] >= 300:
                return answer
        if call.type == Call.UPDATE and self.acknowledge:
            status = call.update.status
            asyncio.get_running_loop().call_soon(self.say_acknowledged, status.task_id.value, status.uuid)
        return 202, ""

    def begin(self, body: bytes, stream: Callable[[bytes], None], drop: Callable[[], None]) -> None:
        """A SUBSCRIBE that was answered with 200."""
        self.calls.append(parse(Call, body, self.content_type))
        self.subscriptions += 1
        self.stream, self.drop = stream, drop
        if self.answers_subscribed:
            self.say(self.subscribed())
        self._changed.set()

    def gone(self) -> None:
        """The stream has ended."""
        self.stream = None
        self._changed.set()

    # -- what the agent says -----------------------------------------------------------------------------------------

    def say(self, event: pb.executor.Event) -> None:
        assert self.stream is not None, "no executor is subscribed"
        self.stream(recordio.encode(serialize(event, self.content_type)))

    def say_acknowledged(self, task_id: str, uuid: bytes) -> None:
        if self.stream is not None:
            event = Event(type=Event.ACKNOWLEDGED)
            event.acknowledged.task_id.value = task_id
            event.acknowledged.uuid = uuid
            self.say(event)

    def subscribed(self) -> pb.executor.Event:
        event = Event(type=Event.SUBSCRIBED)
        info = event.subscribed.executor_info
        info.executor_id.value = EXECUTOR
        info.framework_id.value = FRAMEWORK
        info.command.value = "python -m executor"
        if self.boot:
            info.data = self.boot
        event.subscribed.framework_info.user = "nobody"
        event.subscribed.framework_info.name = "test"
        event.subscribed.framework_info.id.value = FRAMEWORK
        event.subscribed.agent_info.hostname = "localhost"
        event.subscribed.agent_info.id.value = AGENT
        return event

    def launch(self, task_id: str, data: bytes | None = None, *, grace: float | None = None) -> None:
        event = Event(type=Event.LAUNCH)
        event.launch.task.CopyFrom(task_info(task_id, data, grace=grace))
        event.launch.task.executor.CopyFrom(self.subscribed().subscribed.executor_info)  # as agents do
        self.say(event)

    def launch_group(self, *tasks: pb.mesos.TaskInfo) -> None:
        event = Event(type=Event.LAUNCH_GROUP)
        event.launch_group.task_group.tasks.extend(tasks)
        self.say(event)

    def kill(self, task_id: str, grace: float | None = None) -> None:
        event = Event(type=Event.KILL)
        event.kill.task_id.value = task_id
        if grace is not None:
            event.kill.kill_policy.grace_period.nanoseconds = int(grace * 1e9)
        self.say(event)

    def message(self, data: bytes) -> None:
        event = Event(type=Event.MESSAGE)
        event.message.data = data
        self.say(event)

    def shutdown(self) -> None:
        self.say(Event(type=Event.SHUTDOWN))

    def error(self, text: str) -> None:
        event = Event(type=Event.ERROR)
        event.error.message = text
        self.say(event)

    # -- what tests look at ------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until something that the executor did makes it true."""
        async with asyncio.timeout(60):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def updates(self, task_id: str = "") -> list[pb.mesos.TaskStatus]:
        return [
            call.update.status
            for call in self.calls
            if call.type == Call.UPDATE and task_id in {"", call.update.status.task_id.value}
        ]

    def states(self, task_id: str) -> list[str]:
        return [pb.mesos.TaskState.Name(status.state) for status in self.updates(task_id)]

    def messages(self) -> list[bytes]:
        return [call.message.data for call in self.calls if call.type == Call.MESSAGE]

    async def until_state(self, task_id: str, state: str) -> pb.mesos.TaskStatus:
        await self.until(lambda: state in self.states(task_id))
        return self.updates(task_id)[self.states(task_id).index(state)]

    async def until_subscribed(self, times: int = 1) -> pb.executor.Call:
        await self.until(lambda: self.subscriptions >= times and self.stream is not None)
        return [call for call in self.calls if call.type == Call.SUBSCRIBE][-1]


def task_info(task_id: str, data: bytes | None = None, *, grace: float | None = None) -> pb.mesos.TaskInfo:
    info = pb.mesos.TaskInfo(name=f"task {task_id}")
    info.task_id.value = task_id
    info.agent_id.value = AGENT
    if data is not None:
        info.data = data
    if grace is not None:
        info.kill_policy.grace_period.nanoseconds = int(grace * 1e9)
    info.labels.labels.add(key="color", value="red")
    return info


def environment(
    sandbox: Path,
    *,
    endpoint: Endpoint | None = None,
    checkpoint: bool = False,
    recovery_timeout: float = 900.0,
    backoff_max: float = 2.0,
    grace: float = 5.0,
    token: str = "",
) -> AgentEnvironment:
    return AgentEnvironment(
        framework_id=FRAMEWORK,
        executor_id=EXECUTOR,
        endpoint=endpoint or Endpoint("http", "127.0.0.1", 5051, "/slave(1)/api/v1/executor"),
        checkpoint=checkpoint,
        recovery_timeout=recovery_timeout,
        backoff_max=backoff_max,
        shutdown_grace_period=grace,
        token=BearerToken(token) if token else None,
        tls=None,
        sandbox=sandbox,
    )


class TwinLink(AgentLink):
    """The executor's wire to a script in the same process: without a socket."""

    def __init__(self, script: AgentScript) -> None:
        self._script = script
        self._decoder = recordio.Decoder()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = False
        self._mine = False

    async def subscribe(self, call: bytes) -> None:
        await asyncio.sleep(0)
        if self._script.refusals:
            answer = self._script.refusals.popleft()
            if answer is None:
                raise ConnectFailed("no connection to the script: nobody listens")
            raise ApiError(*answer)
        self._mine = True
        self._script.begin(call, self._queue.put_nowait, lambda: self._queue.put_nowait(None))

    async def batches(self) -> AsyncIterator[tuple[bytes, ...]]:
        while not self.closed:
            data = await self._queue.get()
            if data is None:
                self._script.gone()
                raise StreamBroken("the script dropped the connection")
            records = self._decoder.feed(data)
            if records and not self.closed:
                yield tuple(records)

    def send(self, call: bytes) -> asyncio.Future[Response]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Response] = loop.create_future()

        def hear() -> None:
            said = self._script.hear(call)
            if answer.cancelled():
                return
            if said is None:
                answer.set_exception(ConnectionLost("the script dropped the call"))
            else:
                answer.set_result(Response(said[0], "", (), body=said[1].encode()))

        loop.call_soon(hear)
        return answer

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self._mine:
                self._script.gone()


@asynccontextmanager
async def serve(script: AgentScript, *, socket_path: str = "", cut: int = 0):
    """Put the script behind a real HTTP server.

    Args:
        cut: Write the stream in chunks of that many bytes.
    """

    async def handler(request, writer: asyncio.StreamWriter) -> None:
        script.headers.append(request.headers)
        call = parse(Call, request.body, script.content_type)
        if call.type != Call.SUBSCRIBE:
            answer = script.hear(request.body)
            if answer is None:
                writer.transport.abort()
            else:
                writer.write(response(answer[0], answer[1].encode()))
            return
        if script.refusals:
            answer = script.refusals.popleft()
            if answer is None:
                writer.transport.abort()
            else:
                writer.write(response(answer[0], answer[1].encode()))
            return
        kind = script.content_type.value
        writer.write(
            f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: {kind}\r\n\r\n".encode("ascii")
        )

        def stream(data: bytes) -> None:
            size = cut or len(data)
            for at in range(0, len(data), size):
                writer.write(chunk(data[at : at + size]))

        script.begin(request.body, stream, writer.transport.abort)
        await writer.wait_closed()
        script.gone()

    async with raw_server(handler, socket_path=socket_path) as server:
        yield server.endpoint.with_path("/slave(1)/api/v1/executor")
