"""A scheduler with offers in hand: each event of the master reaches its callback, each command is the call that it names."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors import messages as m
from actors.composition import ActorSpec, Composition, run
from actors.connection.calls import framework_info
from actors.connection_actor import ConnectionActor, ConnectionSettings
from actors.framework_settings import FrameworkSettings
from actors.low_level_scheduler_actor import LowLevelScheduler
from actors.runtime import ActorSystem, message, receive
from actors.server_actor import ServerActor, ServerSettings
from actors.store_actor import StoreActor, StoreSettings
from mesos_v1 import calls, offer_operations, pb
from mesos_v1.content import to_json
from mesos_v1.resources import Reservation, Resources
from mesos_v1.task_infos import command_info, task_info
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, OfferId, OperationId, TaskId
from tests.support.scripted_master import ScriptedMaster, scripted_master

Event = pb.scheduler.Event
FRAMEWORK, AGENT, EXECUTOR = FrameworkId("f-1"), AgentId("a"), ExecutorId("e")
OFFERS = [OfferId("o1"), OfferId("o2")]
TASK = task_info(TaskId("t"), AGENT, Resources.of(cpus=1), command=command_info("true"))


@message
class Do:
    """Call a method of the scheduler from within it."""

    name: str


class Telling(LowLevelScheduler):
    """Notes each callback; raises in those that `raises` names; runs what `commands` holds."""

    heard: list[tuple[Any, ...]]
    raises: set[str]
    commands: dict[str, Any]

    def _note(self, name: str, *what: Any) -> None:
        type(self).heard.append((name, *what))
        if name in type(self).raises:
            raise RuntimeError(f"{name} raises")

    def registered(self, event):
        self._note("registered", event.framework_id)

    def reregistered(self, event):
        self._note("reregistered", event.framework_id)

    def disconnected(self, event):
        self._note("disconnected")

    def resource_offers(self, offers):
        self._note("resource_offers", *(offer.id for offer in offers))

    def offer_rescinded(self, offer_id):
        self._note("offer_rescinded", offer_id)

    def inverse_offers(self, offers):
        self._note("inverse_offers", *(offer.id for offer in offers))

    def inverse_offer_rescinded(self, offer_id):
        self._note("inverse_offer_rescinded", offer_id)

    def status_update(self, status):
        self._note("status_update", status.task_id, str(status.state))

    def operation_update(self, status):
        self._note("operation_update", status.operation_id, str(status.state))

    def operation_done(self, operation_id, phase):
        self._note("operation_done", operation_id, phase)

    def framework_message(self, agent_id, executor_id, data):
        self._note("framework_message", agent_id, executor_id, data)

    def executor_lost(self, lost):
        self._note("executor_lost", lost.executor_id, lost.agent_id, lost.status)

    def agent_lost(self, lost):
        self._note("agent_lost", lost.agent_id)

    def call_failed(self, failed):
        self._note("call_failed", type(failed.call).__name__)

    def error(self, message):
        self._note("error", message)

    @receive
    def do(self, do: Do) -> None:
        type(self).commands[do.name](self)


class Explicit(Telling):
    explicit_acknowledgements = True


class Defaults(LowLevelScheduler):
    """Overrides nothing."""


class Running:
    def __init__(
        self, master: ScriptedMaster, ended: asyncio.Future[m.Outcome], system: Any, cls: Any
    ) -> None:
        self.master = master
        self.ended = ended
        self.system = system
        self.cls = cls

    async def say(self, event: Event) -> None:
        await self.master.send(event)

    async def heard(self, *what: Any) -> None:
        """Wait for a callback."""
        await self.master.until(lambda: what in self.cls.heard)

    async def call(self, name: str) -> dict[str, Any]:
        """Wait for the first call of a kind, and give its body."""
        await self.master.until(lambda: name in self.master.types)
        found = next(call for call, _ in self.master.calls if pb.scheduler.Call.Type.Name(call.type) == name)
        assert found.framework_id.value == FRAMEWORK
        body: dict[str, Any] = to_json(found).get(name.lower(), {})
        return body

    def do(self, command: Any) -> None:
        self.cls.commands["it"] = command
        self.system.get("scheduler").tell(Do("it"))


@asynccontextmanager
async def running(
    cls: type[LowLevelScheduler] = Telling, *, store: str = "", first: str = "registered", greets: bool = True
):
    Telling.heard, Telling.raises, Telling.commands = [], set(), {}
    async with scripted_master() as master, ActorSystem() as system:
        actors = (
            ActorSpec("scheduler", cls, None),
            ActorSpec("connection", ConnectionActor, ConnectionSettings(backoff=0.02, backoff_cap=0.05)),
            ActorSpec("store", StoreActor, StoreSettings(store)),
            ActorSpec("server", ServerActor, ServerSettings()),
        )
        made = Composition(FrameworkSettings(name="t", user="u", master=master.url), actors)
        master.greets = greets
        ended = asyncio.ensure_future(run(made, system=system))
        await master.until(lambda: bool(master.stream_ids))
        run_ = Running(master, ended, system, cls)
        if issubclass(cls, Telling) and greets:
            await run_.heard(first, FRAMEWORK)
        yield run_
        ended.cancel()
        await asyncio.wait([ended])


def offers(*ids: str) -> Event:
    event = Event(type=Event.OFFERS)
    for offer_id in ids:
        offer = event.offers.offers.add(hostname="h")
        offer.id.value, offer.framework_id.value, offer.agent_id.value = offer_id, FRAMEWORK, AGENT
    return event


def inverse_offers(*ids: str) -> Event:
    event = Event(type=Event.INVERSE_OFFERS)
    for offer_id in ids:
        offer = event.inverse_offers.inverse_offers.add()
        offer.id.value, offer.framework_id.value, offer.agent_id.value = offer_id, FRAMEWORK, AGENT
        offer.unavailability.start.nanoseconds = 1
    return event


def update(uuid: bytes = b"u" * 16, state: str = "TASK_RUNNING") -> Event:
    event = Event(type=Event.UPDATE)
    status = event.update.status
    status.task_id.value, status.agent_id.value, status.uuid = "t", AGENT, uuid
    status.state = pb.mesos.TaskState.Value(state)
    return event


def operation_update(operation_id: str = "op") -> Event:
    event = Event(type=Event.UPDATE_OPERATION_STATUS)
    status = event.update_operation_status.status
    status.operation_id.value, status.agent_id.value, status.uuid.value = operation_id, AGENT, b"u" * 16
    status.state = pb.mesos.OPERATION_FINISHED
    return event


def made(kind: str, **fields: Any) -> Event:
    """An event of plain fields: ``made("rescind", offer_id="o1")``."""
    event = Event(type=Event.Type.Value(kind.upper()))
    body = getattr(event, kind)
    for name, value in fields.items():
        if hasattr(getattr(body, name), "value"):
            getattr(body, name).value = value
        else:
            setattr(body, name, value)
    return event


@pytest.mark.parametrize(
    ("event", "heard"),
    [
        (offers("o1", "o2"), ("resource_offers", "o1", "o2")),
        (made("rescind", offer_id="o1"), ("offer_rescinded", "o1")),
        (inverse_offers("i1"), ("inverse_offers", "i1")),
        (made("rescind_inverse_offer", inverse_offer_id="i1"), ("inverse_offer_rescinded", "i1")),
        (update(), ("status_update", "t", "TASK_RUNNING")),
        (operation_update(), ("operation_update", "op", "OPERATION_FINISHED")),
        (
            made("message", agent_id="a", executor_id="e", data=b"hello"),
            ("framework_message", "a", "e", b"hello"),
        ),
        (made("failure", agent_id="a", executor_id="e", status=9), ("executor_lost", "e", "a", 9)),
        (made("failure", agent_id="a"), ("agent_lost", "a")),
    ],
)
async def test_an_event_reaches_its_callback_and_what_it_raises_ends_nothing(event, heard):
    async with running() as framework:
        Telling.raises = {heard[0]}
        await framework.say(event)
        await framework.heard(*heard)
        await framework.say(made("message", agent_id="a", executor_id="e", data=b"and on it goes"))
        await framework.heard("framework_message", "a", "e", b"and on it goes")
        assert Telling.heard.count(heard) == 1


async def test_it_says_how_far_it_is_so_that_its_user_can_be_told_what_it_waits_for():
    async with running() as framework:
        scheduler = framework.system.get("scheduler")

        async def progress():
            return await scheduler.ask(m.AskProgress(), block=False)

        assert await progress() == m.Progress(True, False, (), offered=False)
        await framework.say(offers("o1"))
        await framework.heard("resource_offers", "o1")
        assert await progress() == m.Progress(True, False, (), offered=True)
        for state, phases in (
            ("TASK_STAGING", (("staging", 1),)),
            ("TASK_RUNNING", (("running", 1),)),
            ("TASK_LOST", ()),
        ):
            await framework.say(update(uuid=b"", state=state))
            await framework.heard("status_update", "t", state)
            assert await progress() == m.Progress(True, False, phases, offered=True)
        framework.master.abort_stream()
        await framework.heard("disconnected")
        assert not (await progress()).subscribed


async def test_a_lost_subscription_is_told_and_so_is_the_next():
    async with running() as framework:
        framework.master.abort_stream()
        await framework.heard("reregistered", FRAMEWORK)
        assert [name for name, *_ in Telling.heard] == ["registered", "disconnected", "reregistered"]


async def test_a_framework_of_an_earlier_run_is_told_that_it_is_back(tmp_path):
    store = str(tmp_path / "s.db")
    async with running(store=store):
        pass
    async with running(store=store, first="reregistered"):
        assert [name for name, *_ in Telling.heard] == ["reregistered"]


async def test_the_masters_error_is_told_and_ends_the_framework():
    async with running() as framework:
        await framework.say(made("error", message="Framework has been removed"))
        outcome = await asyncio.wait_for(asyncio.shield(framework.ended), 10)
        assert outcome.exit_code == 1
        assert "Framework has been removed" in outcome.reason
        assert ("error", "Framework has been removed") in Telling.heard


COMMANDS: list[tuple[str, Any, pb.scheduler.Call]] = [
    ("DECLINE", lambda s: s.decline(OFFERS, 7.5), calls.decline(OFFERS, 7.5)),
    (
        "ACCEPT",
        lambda s: s.launch_tasks(OFFERS, [TASK], 2.5),
        calls.accept(OFFERS, [offer_operations.launch([TASK])], 2.5),
    ),
    (
        "ACCEPT_INVERSE_OFFERS",
        lambda s: s.accept_inverse_offers(OFFERS),
        calls.accept_inverse_offers(OFFERS),
    ),
    (
        "DECLINE_INVERSE_OFFERS",
        lambda s: s.decline_inverse_offers(OFFERS, 3.0),
        calls.decline_inverse_offers(OFFERS, 3.0),
    ),
    ("KILL", lambda s: s.kill(TaskId("t"), AGENT, 4.0), calls.kill(TaskId("t"), AGENT, 4.0)),
    ("SHUTDOWN", lambda s: s.shutdown_executor(EXECUTOR, AGENT), calls.shutdown(EXECUTOR, AGENT)),
    (
        "RECONCILE",
        lambda s: s.reconcile([(TaskId("t"), AGENT), (TaskId("u"), None)]),
        calls.reconcile([(TaskId("t"), AGENT), (TaskId("u"), None)]),
    ),
    ("MESSAGE", lambda s: s.send_message(AGENT, EXECUTOR, b"hi"), calls.message(AGENT, EXECUTOR, b"hi")),
    ("REVIVE", lambda s: s.revive(["a", "b"]), calls.revive(["a", "b"])),
    ("SUPPRESS", lambda s: s.suppress(["a"]), calls.suppress(["a"])),
    (
        "REQUEST",
        lambda s: s.request([(AGENT, Resources.of(cpus=2)), (None, Resources.of(mem=5))]),
        calls.request([(AGENT, Resources.of(cpus=2)), (None, Resources.of(mem=5))]),
    ),
    (
        "UPDATE_FRAMEWORK",
        lambda s: s.update_framework(
            framework_info(FrameworkSettings(name="new", user="u"), FRAMEWORK), ["a", "b"]
        ),
        calls.update_framework(
            framework_info(FrameworkSettings(name="new", user="u"), FRAMEWORK), suppressed_roles=["a", "b"]
        ),
    ),
]


@pytest.mark.parametrize(("name", "command", "call"), COMMANDS, ids=[name for name, *_ in COMMANDS])
async def test_a_command_is_the_call_that_it_names_with_all_that_it_was_given(name, command, call):
    async with running() as framework:
        framework.do(command)
        assert await framework.call(name) == to_json(call).get(name.lower(), {})


UNSENDABLE = {
    "task_id": lambda s, x: s.kill(x, AGENT),
    "executor_id": lambda s, x: s.shutdown_executor(x, AGENT),
    "agent_id": lambda s, x: s.send_message(x, EXECUTOR, b""),
    "tasks": lambda s, x: s.reconcile([(TaskId("t"), AGENT), (x, None)]),
    "operations": lambda s, x: s.reconcile_operations([(x, None)]),
    "roles": lambda s, x: s.suppress(["a", x]),
    "offer_ids": lambda s, x: s.accept([x]),
    "suppressed_roles": lambda s, x: s.update_framework(pb.mesos.FrameworkInfo(name="n", user="u"), [x]),
    "requests": lambda s, x: s.request([(x, Resources.of(cpus=1))]),
}


@pytest.mark.parametrize("name", UNSENDABLE)
async def test_an_id_that_cannot_be_sent_is_refused_by_the_command(name):
    refused = []

    def command(scheduler: LowLevelScheduler) -> None:
        try:
            UNSENDABLE[name](scheduler, "half \ud800")
        except ValueError as error:
            refused.append(str(error))
        scheduler.revive(["a"])

    async with running() as framework:
        framework.do(command)
        assert (await framework.call("REVIVE"))["roles"] == ["a"]
        assert refused == [f"{name} holds half a character (a surrogate), which cannot be sent"]
        assert not [each for each in Telling.heard if each[0] in {"call_failed", "error"}]


async def test_reconciliation_of_operations_names_them():
    async with running() as framework:
        framework.do(
            lambda s: s.reconcile_operations([(OperationId("op"), AGENT), (OperationId("oq"), None)])
        )
        body = await framework.call("RECONCILE_OPERATIONS")
        assert [each["operation_id"]["value"] for each in body["operations"]] == ["op", "oq"]
        assert body["operations"][0]["agent_id"] == {"value": "a"}
        assert "agent_id" not in body["operations"][1]


async def test_offers_that_the_callback_did_not_get_over_go_back():
    async with running() as framework:
        Telling.raises = {"resource_offers"}
        await framework.say(offers("o1", "o2"))
        assert (await framework.call("DECLINE"))["offer_ids"] == [{"value": "o1"}, {"value": "o2"}]


async def test_what_nobody_overrides_declines_offers_and_promises_nothing():
    async with running(Defaults) as framework:
        for event in (
            offers("o1", "o2"),
            made("rescind", offer_id="o1"),
            inverse_offers("i1"),
            made("rescind_inverse_offer", inverse_offer_id="i1"),
            made("failure", agent_id="a", executor_id="e", status=1),
            made("failure", agent_id="a"),
            made("message", agent_id="a", executor_id="e", data=b"x"),
            operation_update(),
            update(),
        ):
            await framework.say(event)
        assert (await framework.call("DECLINE"))["offer_ids"] == [{"value": "o1"}, {"value": "o2"}]
        assert (await framework.call("DECLINE_INVERSE_OFFERS"))["inverse_offer_ids"] == [{"value": "i1"}]
        assert (await framework.call("ACKNOWLEDGE"))["task_id"] == {"value": "t"}
        assert (await framework.call("ACKNOWLEDGE_OPERATION_STATUS"))["operation_id"] == {"value": "op"}


async def test_updates_are_acknowledged_once_their_callback_has_returned():
    async with running() as framework:
        await framework.say(update())
        body = await framework.call("ACKNOWLEDGE")
        assert (body["task_id"], body["agent_id"]) == ({"value": "t"}, {"value": "a"})
        await framework.say(operation_update())
        body = await framework.call("ACKNOWLEDGE_OPERATION_STATUS")
        assert (body["operation_id"], body["agent_id"]) == ({"value": "op"}, {"value": "a"})


@pytest.mark.parametrize("cls", [Telling, Explicit])
async def test_updates_whose_callback_raised_or_that_are_acknowledged_by_hand_are_not_acknowledged(cls):
    async with running(cls) as framework:
        if cls is Telling:
            Telling.raises = {"status_update", "operation_update"}
        await framework.say(update())
        await framework.say(operation_update())
        await framework.heard("operation_update", "op", "OPERATION_FINISHED")
        framework.do(lambda s: s.suppress())  # calls are sent in order: what comes before this one has come
        await framework.call("SUPPRESS")
        assert "ACKNOWLEDGE" not in framework.master.types
        assert "ACKNOWLEDGE_OPERATION_STATUS" not in framework.master.types


async def test_an_author_acknowledges_by_hand_what_has_a_uuid():
    class ByHand(Explicit):
        def status_update(self, status):
            self.acknowledge(status)
            super().status_update(status)

        def operation_update(self, status):
            self.acknowledge_operation(status)

    async with running(ByHand) as framework:
        await framework.say(update(uuid=b""))  # of a reconciliation
        await framework.say(update(uuid=b"v" * 16))
        await framework.say(operation_update())
        await framework.call("ACKNOWLEDGE_OPERATION_STATUS")
        assert framework.master.types.count("ACKNOWLEDGE") == 1
        assert (await framework.call("ACKNOWLEDGE"))["uuid"] == "dnZ2dnZ2dnZ2dnZ2dnZ2dg=="


async def test_an_operation_with_an_id_is_followed_to_its_end_and_its_id_taken_until_then():
    reserved = Resources.of(disk=1).push_reservation(Reservation("ads", principal=None, dynamic=True))
    reserve = offer_operations.reserve(reserved, operation_id=OperationId("op"))
    refused: list[str] = []

    def twice(scheduler: LowLevelScheduler) -> None:
        scheduler.accept(OFFERS, [reserve])
        try:
            scheduler.accept(OFFERS, [reserve])
        except ValueError as error:
            refused.append(str(error))

    async with running() as framework:
        framework.do(twice)
        body = await framework.call("ACCEPT")
        assert body["operations"][0]["id"] == {"value": "op"}
        await framework.say(operation_update())
        await framework.heard("operation_done", "op", "finished")
        assert refused == ["there is an operation op already"]
        framework.do(lambda s: s.accept(OFFERS, [reserve]))  # the id is free again
        await framework.master.until(lambda: framework.master.types.count("ACCEPT") == 2)


async def test_a_refused_call_is_told():
    async with running() as framework:
        framework.master.answer_call = lambda call: (400, "no such offer")
        framework.do(lambda s: s.decline(OFFERS))
        await framework.heard("call_failed", "Decline")


async def test_of_the_operations_that_are_under_way_only_those_of_a_refused_call_have_ended():
    reserved = Resources.of(disk=1).push_reservation(Reservation("ads", principal=None, dynamic=True))

    def both(scheduler: LowLevelScheduler) -> None:
        for offer_id, name in zip(OFFERS, ("refused", "taken"), strict=True):
            operation = offer_operations.reserve(reserved, operation_id=OperationId(name))
            scheduler.accept([offer_id], [operation])

    async with running() as framework:
        framework.master.answer_call = lambda call: (
            (400, "no such offer") if call.accept.offer_ids[0].value == OFFERS[0] else (202, "")
        )
        framework.do(both)
        await framework.heard("call_failed", "Accept")
        await framework.heard("operation_done", "refused", "lost")
        await framework.say(operation_update("taken"))
        await framework.heard("operation_done", "taken", "finished")
        ended = [what for what in Telling.heard if what[0] == "operation_done"]
        assert ended == [("operation_done", "refused", "lost"), ("operation_done", "taken", "finished")]


async def test_a_framework_of_an_earlier_run_that_is_gone_is_registered_as_a_new_one(tmp_path):
    store = str(tmp_path / "s.db")
    async with running(store=store):
        pass
    async with running(store=store, greets=False) as framework:
        framework.master.greets = True
        await framework.say(made("error", message="Framework has been removed"))
        await framework.heard("registered", FRAMEWORK)
        assert "reregistered" not in [name for name, *_ in Telling.heard]


@pytest.mark.parametrize("event", [made("failure", executor_id="e", status=9), made("failure")])
async def test_a_failure_that_names_no_agent_reaches_no_callback(event):
    async with running() as framework:
        await framework.say(event)
        await framework.say(made("message", agent_id="a", executor_id="e", data=b"next"))
        await framework.heard("framework_message", "a", "e", b"next")
        assert not {"executor_lost", "agent_lost"} & {name for name, *_ in Telling.heard}
