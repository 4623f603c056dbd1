"""A master with one agent that runs tasks in no time, over real HTTP: enough of Mesos for whole frameworks in tests.

Updates of a task come one by one, each when the one before is acknowledged, and again after a reconnection, as agents do.
"""

from collections import deque
from collections.abc import Callable
from contextlib import asynccontextmanager

from mesos_v1 import pb
from tests.support.raw_server import raw_server
from tests.support.scripted_master import ScriptedMaster

Plan = list[tuple[str, bytes]]
FINISHES: Plan = [("TASK_RUNNING", b""), ("TASK_FINISHED", b"")]
Call = pb.scheduler.Call


class SimulatedMaster(ScriptedMaster):
    """Attributes:
    plan: which states (with data) a task goes through.
    reasons: why, for states that have a reason.
    known: the tasks that the agent knows, with what it still has to say about each.
    """

    def __init__(self, cpus: float = 4.0) -> None:
        super().__init__()
        self.cpus = cpus
        self.gpus = 0.0
        self.role = "*"
        self.reasons: dict[str, str] = {}
        self.plan: Callable[[pb.mesos.TaskInfo], Plan] = lambda _info: FINISHES
        self.known: dict[str, deque[tuple[str, bytes, bytes]]] = {}
        self.states: dict[str, str] = {}
        self.launched: list[pb.mesos.TaskInfo] = []
        self.suppressed = False
        self.resends = True
        self._used: dict[str, float] = {}
        self._busy = 0.0
        self._offer = ""
        self._numbers = iter(range(1, 1_000_000))
        self.answer_call = lambda _call: (202, "")

    async def handle(self, request, writer) -> None:
        before = len(self.calls)
        subscriptions = len(self.subscribes)
        await super().handle(request, writer)
        if len(self.subscribes) > subscriptions and self.stream_ids:
            self._offer, self.suppressed = "", False
            if self.resends:
                for task in list(self.known):
                    await self._say_next(task)
            await self.offer()
        for call, _ in self.calls[before:]:
            await self._act(call)

    async def _act(self, call: Call) -> None:
        if call.type == Call.ACCEPT:
            self._offer = ""
            for operation in call.accept.operations:
                for info in operation.launch.task_infos:
                    await self._launch(info)
            await self.offer()
        elif call.type == Call.DECLINE:
            self._offer = ""
        elif call.type == Call.REVIVE:
            self.suppressed = False
            await self.offer()
        elif call.type == Call.SUPPRESS:
            self.suppressed = True
        elif call.type == Call.ACKNOWLEDGE:
            await self._acknowledged(call.acknowledge)
        elif call.type == Call.KILL:
            await self._kill(call.kill.task_id.value)
        elif call.type == Call.RECONCILE:
            for each in call.reconcile.tasks:
                await self._reconcile(each.task_id.value)
        elif call.type == Call.SHUTDOWN:
            event = pb.scheduler.Event(type=pb.scheduler.Event.FAILURE)
            event.failure.agent_id.value = call.shutdown.agent_id.value
            event.failure.executor_id.value = call.shutdown.executor_id.value
            event.failure.status = 0
            await self.send(event)
        elif call.type == Call.TEARDOWN:
            await self.end_stream()

    async def offer(self) -> None:
        free = self.cpus - self._busy
        if self._offer or self.suppressed or free < 0.01:
            return
        self._offer = f"o-{next(self._numbers)}"
        event = pb.scheduler.Event(type=pb.scheduler.Event.OFFERS)
        offer = event.offers.offers.add(hostname="h")
        offer.id.value, offer.framework_id.value, offer.agent_id.value = self._offer, self.framework_id, "a"
        offer.allocation_info.role = self.role
        for name, amount in (("cpus", free), ("mem", 1e6), ("disk", 1e6), ("gpus", self.gpus)):
            if not amount:
                continue
            resource = offer.resources.add(name=name, type=pb.mesos.Value.SCALAR)
            resource.scalar.value = amount
            resource.allocation_info.role = self.role
        await self.send(event)

    async def _launch(self, info: pb.mesos.TaskInfo) -> None:
        task = info.task_id.value
        self.launched.append(info)
        self._used[task] = sum(r.scalar.value for r in info.resources if r.name == "cpus")
        self._busy += self._used[task]
        self.known[task] = deque(
            (state, data, f"{task}-{number}".encode().rjust(16, b"-")[-16:])
            for number, (state, data) in enumerate(self.plan(info))
        )
        await self._say_next(task)

    async def _say_next(self, task: str) -> None:
        if self.known[task]:
            state, data, uuid = self.known[task][0]
            self.states[task] = state
            await self.say(task, state, data=data, uuid=uuid, reason=self.reasons.get(state, ""))

    async def say(
        self, task: str, state: str, *, data: bytes = b"", uuid: bytes = b"", reason: str = ""
    ) -> None:
        event = pb.scheduler.Event(type=pb.scheduler.Event.UPDATE)
        status = event.update.status
        status.task_id.value, status.agent_id.value = task, "a"
        status.state = pb.mesos.TaskState.Value(state)
        status.data, status.message = data, f"{state} it is"
        if uuid:
            status.uuid = uuid
        if reason:
            status.reason = pb.mesos.TaskStatus.Reason.Value(reason)
        await self.send(event)

    async def _acknowledged(self, acknowledged: Call.Acknowledge) -> None:
        task = acknowledged.task_id.value
        updates = self.known.get(task)
        if not updates or updates[0][2] != acknowledged.uuid:
            return
        state, _, _ = updates.popleft()
        if not updates and state not in {"TASK_RUNNING", "TASK_STARTING", "TASK_STAGING"}:
            del self.known[task]
            self._busy -= self._used.pop(task, 0.0)
            await self.offer()
        elif updates:
            await self._say_next(task)

    async def _kill(self, task: str) -> None:
        if task not in self.known:
            await self.say(task, "TASK_UNKNOWN", reason="REASON_RECONCILIATION")
            return
        self.known[task].append(("TASK_KILLED", b"", f"{task}-killed".encode().rjust(16, b"-")[-16:]))
        if len(self.known[task]) == 1:
            await self._say_next(task)

    async def _reconcile(self, task: str) -> None:
        state = self.states[task] if task in self.known else "TASK_UNKNOWN"
        await self.say(task, state, reason="REASON_RECONCILIATION")


@asynccontextmanager
async def simulated_master(cpus: float = 4.0):
    master = SimulatedMaster(cpus)
    async with raw_server(master.handle) as server:
        master.server = server
        yield master
