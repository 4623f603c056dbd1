"""The connection against a scripted master on a real socket: everything that can go wrong with a stream."""

import asyncio
import base64
from typing import Any

import pytest

from actors import messages as m
from actors.connection_actor import ConnectionActor, ConnectionSettings, endpoint_of
from actors.framework_settings import Composition, FrameworkSettings
from actors.runtime import Actor, ActorSystem
from mesos_v1 import events, pb
from mesos_v1.values import AgentId, ExecutorId, OfferId, TaskId
from tests.support.scripted_master import UNAVAILABLE, ScriptedMaster, scripted_master, subscribed

QUICK = ConnectionSettings(backoff=0.05, backoff_cap=0.1, subscribe_timeout=2.0, teardown_timeout=0.5)


class Listener(Actor):
    """Writes down what it is told; stands for the scheduler and the broker."""

    def __init__(self, heard: list[Any]) -> None:
        super().__init__()
        self.heard = heard

    def on_receive(self, message) -> None:
        self.heard.append(message)


class Caller(Listener):
    """Sends calls in its own name, so that failures come back to it."""

    def on_receive(self, message) -> None:
        if isinstance(message, m.CallFailed):
            self.heard.append(message)
        else:
            self.tell("connection", message)


class Bench:
    """A connection with everybody it talks to."""

    def __init__(
        self, system: ActorSystem, master: ScriptedMaster, framework: FrameworkSettings, settings
    ) -> None:
        self.system, self.master = system, master
        self.scheduler: list[Any] = []
        self.offers: list[Any] = []
        self.failures: list[m.CallFailed] = []
        system.spawn(Listener, self.scheduler, name="scheduler")
        system.spawn(Listener, self.offers, name="offers")
        self.caller = system.spawn(Caller, self.failures, name="caller")
        self.connection = system.spawn(ConnectionActor, Composition(framework), settings, name="connection")

    def heard(self, kind) -> list[Any]:
        return [message for message in (*self.scheduler, *self.offers) if isinstance(message, kind)]

    async def until(self, condition, seconds=5.0):
        await self.master.until(condition, seconds)

    async def subscribe(self, framework_id=None):
        before = len([x for x in self.scheduler if isinstance(x, m.Subscribed)])
        self.connection.tell(m.Connect(framework_id))
        await self.until(lambda: len([x for x in self.scheduler if isinstance(x, m.Subscribed)]) > before)


@pytest.fixture(params=["protobuf", "json"])
def content_type(request):
    return request.param


@pytest.fixture
async def master():
    async with scripted_master() as running:
        yield running


@pytest.fixture
async def bench(master, content_type):
    async with ActorSystem() as system:
        framework = FrameworkSettings(name="t", user="root", master=master.url, content_type=content_type)
        yield Bench(system, master, framework, QUICK)


def update(task="t1", uuid=b"u" * 16):
    event = pb.scheduler.Event(type=pb.scheduler.Event.UPDATE)
    status = event.update.status
    status.task_id.value, status.agent_id.value = task, "a1"
    status.state, status.uuid = pb.mesos.TASK_RUNNING, uuid
    return event


def heartbeat():
    return pb.scheduler.Event(type=pb.scheduler.Event.HEARTBEAT)


async def test_a_subscription_is_told_to_scheduler_and_broker(bench, master):
    await bench.subscribe()
    assert [type(x) for x in bench.scheduler] == [m.ActorStarted, m.Subscribed]
    assert bench.offers[0].framework_id == "f-1"
    assert not bench.offers[0].reregistered
    assert "mesos-stream-id" not in master.subscribes[0].headers


async def test_the_stream_id_and_framework_id_go_with_every_call(bench, master):
    await bench.subscribe()
    bench.caller.tell(m.Revive(("*",)))
    bench.caller.tell(m.Kill(TaskId("t"), AgentId("a"), 2.0))
    await bench.until(lambda: len(master.calls) == 2)
    for call, request in master.calls:
        assert request.headers["mesos-stream-id"] == "stream-1"
        assert call.framework_id.value == "f-1"
    assert master.calls[1][0].kill.kill_policy.grace_period.nanoseconds == 2_000_000_000


async def test_calls_go_pipelined_over_one_connection_in_order(bench, master):
    await bench.subscribe()
    for number in range(200):
        bench.caller.tell(m.Kill(TaskId(f"t{number}")))
    await bench.until(lambda: len(master.calls) == 200)
    assert [call.kill.task_id.value for call, _ in master.calls] == [f"t{n}" for n in range(200)]
    assert len({request.connection for _, request in master.calls}) == 1


async def test_an_event_is_seen_at_once_although_nothing_follows_it(bench, master):
    """mesos-compose handles every event one event late."""
    await bench.subscribe()
    await master.send(update())
    await bench.until(lambda: bench.heard(events.Update))


async def test_records_cut_at_every_byte_are_read_whole(bench, master):
    from mesos_v1.content import serialize
    from mesos_v1.recordio import encode

    await bench.subscribe()
    content = master._streams[-1][1]
    data = b"".join(encode(serialize(update(f"t{n}"), content)) for n in range(3))
    await master.send_bytes(data, cut=1)
    await bench.until(lambda: len(bench.heard(events.Update)) == 3)


@pytest.mark.parametrize("status", [400, 401, 403, 409, 429, 500, 501])
async def test_a_failed_call_is_reported_to_its_sender_and_ends_nothing(bench, master, status):
    """mesos-go drops the subscription on any failed call; USI's stream dies; pymesos tears down."""
    await bench.subscribe()
    master.answer_call = lambda call: (status, "no") if call.type == pb.scheduler.Call.DECLINE else (202, "")
    bench.caller.tell(m.Decline((OfferId("o"),), 5.0))
    await bench.until(lambda: bench.failures)
    assert bench.failures[0].status == status
    assert bench.failures[0].reason == "no"
    await master.send(update())
    await bench.until(lambda: bench.heard(events.Update))
    assert len(master.subscribes) == 1
    assert not bench.heard(m.Disconnected)
    assert "TEARDOWN" not in master.types


async def test_a_refusing_master_is_asked_again_with_waits_between(bench, master):
    """pymesos: about 3,000 SUBSCRIBE calls in 3 s, and as many disconnected() callbacks."""
    master.answers.extend([UNAVAILABLE] * 4)
    await bench.subscribe()
    assert len(master.subscribes) == 5
    assert not bench.heard(m.Disconnected)


async def test_after_the_end_of_the_stream_it_subscribes_again_with_its_id(bench, master):
    await bench.subscribe()
    await master.end_stream()
    await bench.until(lambda: len(bench.heard(m.Subscribed)) == 4)
    news = [x for x in bench.scheduler if not isinstance(x, m.ActorStarted)]
    assert [type(x) for x in news] == [m.Subscribed, m.Disconnected, m.Subscribed]
    assert news[-1].reregistered
    assert b"f-1" in master.subscribes[1].body
    bench.caller.tell(m.Revive())
    await bench.until(lambda: master.calls)
    assert master.calls[0][1].headers["mesos-stream-id"] == "stream-2"


@pytest.mark.parametrize(
    "garbage",
    [b"5\nabc", b"hello\n", b"3\n\xff\xff\xff", b"-1\n", b"99999999999999\n"],
    ids=["half a record", "no length", "no event", "negative", "too long"],
)
async def test_garbage_in_the_stream_means_a_new_subscription_and_nothing_lost(bench, master, garbage):
    await bench.subscribe()
    await master.send(update("before"))
    await master.send_bytes(garbage)
    if garbage == b"5\nabc":
        await master.end_stream()
    await bench.until(lambda: len(master.subscribes) == 2)
    await bench.until(lambda: len([x for x in bench.scheduler if isinstance(x, m.Subscribed)]) == 2)
    await master.send(update("after"))
    await bench.until(lambda: len(bench.heard(events.Update)) == 2)
    assert [x.status.task_id for x in bench.heard(events.Update)] == ["before", "after"]


async def test_a_redirect_changes_the_endpoint_for_all_calls(bench, master):
    """mesos-go keeps sending calls to the old master."""
    async with scripted_master() as leader:
        master.answers.append((307, leader.url.removeprefix("http:") + "/api/v1/scheduler", ""))
        bench.connection.tell(m.Connect())
        await leader.until(lambda: bench.heard(m.Subscribed))
        bench.caller.tell(m.Revive())
        await leader.until(lambda: leader.calls)
        assert not master.calls
        assert len(leader.subscribes) == 1


async def test_a_call_answered_with_307_means_that_another_master_leads(bench, master):
    await bench.subscribe()
    master.answer_call = lambda _call: (307, "")
    bench.caller.tell(m.Kill(TaskId("t")))
    await bench.until(lambda: len(master.subscribes) == 2)
    master.answer_call = lambda _call: (202, "")
    await bench.until(lambda: len(master.calls) == 2)
    assert master.types == ["KILL", "KILL"]


async def test_a_call_refused_for_its_stream_id_means_a_new_subscription(bench, master):
    await bench.subscribe()
    words = "The stream ID 'x' included in this request didn't match the stream ID currently associated"
    master.answer_call = lambda _call: (400, words)
    bench.caller.tell(m.Revive())
    await bench.until(lambda: len(master.subscribes) == 2)
    assert len(bench.failures) == 1


async def test_several_masters_are_tried_in_turn(content_type):
    async with scripted_master() as one, scripted_master() as two, ActorSystem() as system:
        one.answers.extend([UNAVAILABLE] * 50)
        settings = FrameworkSettings(name="t", user="r", master=(one.url, two.url), content_type=content_type)
        bench = Bench(system, two, settings, QUICK)
        await bench.subscribe()
        assert (len(one.subscribes), len(two.subscribes)) == (1, 1)


async def test_a_master_that_is_not_there_is_waited_for(content_type):
    async with scripted_master() as gone:
        url = gone.url
    async with scripted_master() as there, ActorSystem() as system:
        settings = FrameworkSettings(name="t", user="r", master=(url, there.url), content_type=content_type)
        bench = Bench(system, there, settings, QUICK)
        await bench.subscribe()


@pytest.mark.parametrize("status", [400, 401, 403, 406, 415])
async def test_a_master_that_refuses_for_good_ends_the_framework_with_its_words(bench, master, status):
    master.answers.append((status, "", "You shall not pass"))
    bench.connection.tell(m.Connect())
    await bench.until(lambda: bench.heard(m.FrameworkError))
    assert "You shall not pass" in bench.heard(m.FrameworkError)[0].reason
    assert len(master.subscribes) == 1


async def test_an_error_event_ends_the_framework_and_is_told(bench, master):
    await bench.subscribe()
    error = pb.scheduler.Event(type=pb.scheduler.Event.ERROR)
    error.error.message = "Framework has been removed"
    await master.send(error)
    await bench.until(lambda: bench.heard(m.FrameworkError))
    assert bench.heard(m.FrameworkError)[0].framework_gone
    bench.caller.tell(m.Kill(TaskId("t")))
    await bench.until(lambda: bench.failures)
    assert "has ended" in bench.failures[0].reason
    assert len(master.subscribes) == 1


async def test_what_an_old_stream_says_is_ignored(bench, master):
    await bench.subscribe()
    master.answer_call = lambda _call: (307, "")
    bench.caller.tell(m.Revive())
    await bench.until(lambda: len(master.subscribes) == 2)
    await bench.until(lambda: len([x for x in bench.scheduler if isinstance(x, m.Subscribed)]) == 2)
    from actors.connection_actor import RecordsArrived, StreamEnded

    bench.connection.tell(RecordsArrived(1, (update("old").SerializeToString(),)))
    bench.connection.tell(StreamEnded(1, "late news"))
    bench.connection.tell(StreamEnded(1, "late news", fatal=True))
    await master.send(update("new"))
    await bench.until(lambda: bench.heard(events.Update))
    assert [x.status.task_id for x in bench.heard(events.Update)] == ["new"]
    assert len(master.subscribes) == 2


async def test_each_call_made_without_a_master_meets_the_fate_of_its_row(bench, master):
    """pymesos drops them silently."""
    bench.caller.tell(m.Kill(TaskId("t")))
    bench.caller.tell(m.Acknowledge(AgentId("a"), TaskId("t"), b"u" * 16))
    bench.caller.tell(m.SendMessage(AgentId("a"), ExecutorId("e"), b"x"))
    bench.caller.tell(m.Accept((OfferId("o"),), (), 5.0, (TaskId("t.1"),), (TaskId("t"),)))
    await bench.until(lambda: len(bench.failures) == 2)
    assert {type(f.call) for f in bench.failures} == {m.SendMessage, m.Accept}
    assert not any(f.uncertain for f in bench.failures)
    await bench.subscribe()
    await bench.until(lambda: len(master.calls) == 2)
    assert master.types == ["ACKNOWLEDGE", "KILL"]  # acknowledgements first


async def test_calls_in_flight_when_the_connection_breaks_are_resent_or_reported_uncertain(bench, master):
    await bench.subscribe()
    master.answer_call = lambda _call: None
    bench.caller.tell(m.Acknowledge(AgentId("a"), TaskId("t"), b"u" * 16))
    bench.caller.tell(m.Accept((OfferId("o"),), (), 5.0, (TaskId("t.1"),), (TaskId("t"),)))
    await bench.until(lambda: len(master.calls) >= 1)
    await asyncio.sleep(0.05)
    master.answer_call = lambda _call: (202, "")
    assert master.server is not None
    master.server.drop_connections()
    await bench.until(lambda: bench.failures and master.types.count("ACKNOWLEDGE") == 2)
    assert isinstance(bench.failures[0].call, m.Accept)
    assert bench.failures[0].uncertain


async def test_teardown_is_answered_and_nothing_reconnects(bench, master):
    await bench.subscribe()
    bench.connection.tell(m.Teardown())
    await bench.until(lambda: bench.heard(m.TeardownDone))
    assert master.types == ["TEARDOWN"]
    await asyncio.sleep(0.15)
    assert len(master.subscribes) == 1
    assert not bench.heard(m.Disconnected)


async def test_stopping_the_connection_never_tears_the_framework_down(bench, master):
    await bench.subscribe()
    await bench.connection.stop(block=False)
    await asyncio.sleep(0.05)
    assert master.types == []


async def test_credentials_go_with_subscription_and_calls_and_into_no_message(master):
    secret = "s3cr3t-word"
    async with ActorSystem() as system:
        settings = FrameworkSettings(name="t", user="r", master=master.url, principal="p", secret=secret)
        bench = Bench(system, master, settings, QUICK)
        await bench.subscribe()
        bench.caller.tell(m.Revive())
        await bench.until(lambda: master.calls)
        expected = "Basic " + base64.b64encode(f"p:{secret}".encode()).decode()
        assert master.subscribes[0].headers["authorization"] == expected
        assert master.calls[0][1].headers["authorization"] == expected
        assert secret not in repr(bench.scheduler)


async def test_another_framework_without_credentials_sends_none(master):
    """pymesos shares one default headers dict between drivers."""
    async with ActorSystem() as system:
        bench = Bench(system, master, FrameworkSettings(name="t", user="r", master=master.url), QUICK)
        await bench.subscribe()
        assert "authorization" not in master.subscribes[0].headers


async def test_a_second_subscribed_event_on_a_stream_is_harmless(bench, master):
    await bench.subscribe()
    await master.send(subscribed())
    await bench.until(lambda: len([x for x in bench.scheduler if isinstance(x, m.Subscribed)]) == 2)
    await master.send(heartbeat(), update())
    await bench.until(lambda: bench.heard(events.Update))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("10.0.0.1:5050", "http://10.0.0.1:5050/api/v1/scheduler"),
        ("http://m:5050", "http://m:5050/api/v1/scheduler"),
        ("https://m:5050/", "https://m:5050/api/v1/scheduler"),
        ("http://proxy/mesos/api/v1/scheduler", "http://proxy:80/mesos/api/v1/scheduler"),
    ],
)
def test_a_master_may_be_given_with_or_without_scheme_and_path(given, expected):
    assert str(endpoint_of(given)) == expected


# --- what SUBSCRIBE and UPDATE_FRAMEWORK say besides ------------------------------------------------------------------

CONSTRAINTS = '{"role_constraints": {"ads": {"groups": [{"attribute_constraints": []}]}}}'


@pytest.fixture
async def two_roles(master):
    async with ActorSystem() as system:
        framework = FrameworkSettings(
            name="t", user="root", master=master.url, roles=("ads", "web"), offer_constraints=CONSTRAINTS
        )
        yield Bench(system, master, framework, QUICK)


async def updated(bench, master, call) -> Any:
    before = len(master.calls)
    bench.caller.tell(call)
    await bench.until(lambda: len(master.calls) > before)
    return master.calls[-1][0].update_framework


async def resubscribed(bench, master) -> Any:
    before = len(master.subscribes)
    await master.end_stream()
    await bench.until(lambda: len(master.subscribes) > before)
    await bench.until(lambda: len([x for x in bench.offers if isinstance(x, m.Subscribed)]) > before)
    return pb.scheduler.Call.FromString(master.subscribes[-1].body).subscribe


def info(*roles) -> bytes:
    return pb.mesos.FrameworkInfo(name="n", user="u", roles=roles).SerializeToString()


async def test_an_update_of_the_framework_leaves_suppression_and_constraints_as_they_are(two_roles, master):
    """Mesos clears whatever the call leaves out."""
    await two_roles.subscribe()
    two_roles.caller.tell(m.Suppress(("ads", "web")))
    two_roles.caller.tell(m.Revive(("web",)))
    said = await updated(two_roles, master, m.UpdateFramework(info("ads", "web", "new")))
    assert list(said.suppressed_roles) == ["ads"]
    assert list(said.offer_constraints.role_constraints) == ["ads"]
    said = await updated(two_roles, master, m.UpdateFramework(info("web", "new"), ("new",), b""))
    assert list(said.suppressed_roles) == ["new"]
    assert not said.HasField("offer_constraints")


async def test_a_new_subscription_says_what_is_suppressed_and_what_was_updated(two_roles, master):
    await two_roles.subscribe()
    two_roles.caller.tell(m.Suppress())
    two_roles.caller.tell(m.Revive(("web",)))
    await two_roles.until(lambda: len(master.calls) == 2)
    said = await resubscribed(two_roles, master)
    assert list(said.suppressed_roles) == ["ads"]
    assert list(said.offer_constraints.role_constraints) == ["ads"]
    assert [x.suppressed_roles for x in two_roles.offers if isinstance(x, m.Subscribed)] == [(), ("ads",)]
    await updated(two_roles, master, m.UpdateFramework(info("ads", "new"), None, b""))
    said = await resubscribed(two_roles, master)
    assert list(said.framework_info.roles) == ["ads", "new"]
    assert list(said.suppressed_roles) == ["ads"]
    assert not said.offer_constraints.role_constraints


async def test_an_update_that_the_master_refuses_is_told_and_not_said_again(two_roles, master):
    await two_roles.subscribe()
    master.answer_call = lambda _call: (400, "Updating 'FrameworkInfo.user' is unsupported")
    two_roles.caller.tell(m.UpdateFramework(info("other")))
    await two_roles.until(lambda: two_roles.failures)
    assert two_roles.failures[0].fate is m.CallFate.REFUSED
    master.answer_call = lambda _call: (202, "")
    said = await resubscribed(two_roles, master)
    assert list(said.framework_info.roles) == ["ads", "web"]


# --- an address that is not a master's --------------------------------------------------------------------------------

AGENT = {"/slave(1)/health"}


@pytest.mark.parametrize(
    ("healthy", "answer", "expected"),
    [
        (AGENT, (400, "", "Failed to parse body"), "is a Mesos agent: give the address of the master"),
        (AGENT, (404, "", "Not found"), "is a Mesos agent: give the address of the master"),
        (
            set(),
            (405, "", "<html>"),
            "is neither a Mesos master nor an agent: give the address of the master",
        ),
    ],
)
async def test_an_address_that_is_not_a_masters_is_named_in_one_sentence(
    bench, master, healthy, answer, expected
):
    master.healthy = healthy
    master.answers.append(answer)
    bench.connection.tell(m.Connect())
    await bench.until(lambda: bench.heard(m.FrameworkError))
    (error,) = bench.heard(m.FrameworkError)
    assert f"127.0.0.1:{master.server.endpoint.port} {expected}" in error.reason
    assert "\n" not in error.reason


async def test_a_server_that_says_yes_to_everything_is_no_master(bench, master):
    master.healthy, master.gives_stream_ids, master.greets = set(), False, False
    bench.connection.tell(m.Connect())
    await bench.until(lambda: bench.heard(m.FrameworkError))
    assert "without a Mesos-Stream-Id" in bench.heard(m.FrameworkError)[0].reason


async def test_a_server_that_may_still_be_starting_is_waited_for(bench, master, caplog):
    master.healthy = set()
    master.answers.extend([(404, "", "Not found")] * 2)
    await bench.subscribe()
    assert "is neither a Mesos master nor an agent" in caplog.text


async def test_an_agent_in_a_list_of_masters_is_passed_over(master):
    async with scripted_master() as agent, ActorSystem() as system:
        agent.healthy = AGENT
        agent.answers.extend([(400, "", "Failed to parse body")] * 100)
        settings = FrameworkSettings(name="t", user="r", master=(agent.url, master.url))
        bench = Bench(system, master, settings, QUICK)
        await bench.subscribe()
        assert not bench.heard(m.FrameworkError)


async def test_what_does_not_speak_http_is_told_so(caplog):
    async def ssh(_reader, writer):
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()

    server = await asyncio.start_server(ssh, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, scripted_master() as other, ActorSystem() as system:
        url = f"http://127.0.0.1:{port}"
        bench = Bench(system, other, FrameworkSettings(name="t", user="r", master=(url, other.url)), QUICK)
        await bench.subscribe()
    assert f"127.0.0.1:{port} does not speak HTTP, as a Mesos master does" in caplog.text


async def test_masters_that_send_each_other_round_in_a_circle_are_named(master, caplog):
    async with scripted_master() as other, ActorSystem() as system:
        there, back = (f"{each.url}/api/v1/scheduler" for each in (other, master))
        master.answers.append((307, there, ""))
        other.answers.append((307, back, ""))
        settings = FrameworkSettings(name="t", user="r", master=master.url)
        bench = Bench(system, master, settings, QUICK)
        await bench.subscribe()
        assert "redirects in a circle" in caplog.text
