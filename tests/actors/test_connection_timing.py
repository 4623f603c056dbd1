"""The connection's patience in virtual time: heartbeats, waits between attempts, TEARDOWN that nobody answers."""

import asyncio
from itertools import pairwise

import pytest

from actors import messages as m
from actors.connection_actor import ConnectionActor, ConnectionSettings
from actors.framework_settings import Composition, FrameworkSettings
from mesos_http import ConnectFailed, Response, StreamBroken
from mesos_v1 import events, pb
from mesos_v1.errors import ApiError
from mesos_v1.values import OfferId, TaskId
from tests.support.actor_bench import ActorBench, system, virtually
from tests.support.scripted_master import subscribed

HEARTBEAT = pb.scheduler.Event(type=pb.scheduler.Event.HEARTBEAT).SerializeToString()


class Stream:
    """The twin of a `Subscription`, in this process."""

    def __init__(self, endpoint):
        self.endpoint, self.stream_id, self.closed = endpoint, "s", False
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def batches(self):
        while True:
            item = await self.queue.get()
            if item is None:
                raise StreamBroken("the other side ended the stream")
            yield (item,)

    def close(self):
        self.closed = True


class Pipeline:
    """The twin of a `CallPipeline`."""

    def __init__(self, connection):
        self.connection = connection

    def send(self, body, content_type):
        answer = asyncio.get_running_loop().create_future()
        self.connection.calls.append(pb.scheduler.Call.FromString(body))
        if self.connection.answers_calls:
            status, body = self.connection.answers.pop(0) if self.connection.answers else (202, b"")
            answer.set_result(Response(status, "", (), body=body))
        return answer

    def close(self):
        pass


class TwinConnection(ConnectionActor):
    """A connection whose transport is scripted: `script` says what each attempt meets."""

    def __init__(self, script, settings, masters="http://m:5050", leadership=None):
        framework = FrameworkSettings(name="t", user="u", master=masters)
        super().__init__(Composition(framework, leadership=leadership), settings)
        self.script = script
        self.attempts = []
        self.streams = []
        self.calls = []
        self.answers_calls = True
        self.answers = []

    async def open_stream(self, endpoint, body):
        self.attempts.append((self.clock.now(), endpoint.host))
        met = self.script.pop(0) if self.script else None
        if isinstance(met, tuple):  # only after so many seconds
            await asyncio.sleep(met[0])
            met = met[1]
        if isinstance(met, BaseException):
            raise met
        stream = Stream(endpoint)
        self.streams.append(stream)
        if met != "silent":
            stream.queue.put_nowait(subscribed(heartbeat=15.0).SerializeToString())
        return stream

    async def identify(self, endpoint):
        return None

    def open_pipeline(self, endpoint, stream_id):
        return Pipeline(self)


class Patience(ActorBench):
    def __init__(self, running, script=(), masters="http://m:5050", **settings):
        super().__init__(running, "scheduler", "offers")
        ref = running.spawn(
            TwinConnection, list(script), ConnectionSettings(**settings), masters, name="connection"
        )
        self.ref = ref
        self.start = running.clock.now()

    @property
    def twin(self):
        return self.ref._actor

    @property
    def waits(self):
        times = [at for at, _ in self.twin.attempts]
        return [later - earlier for earlier, later in pairwise(times)]

    async def connect(self, seconds=0.0):
        self.ref.tell(m.Connect())
        await self.settle(seconds)


def scenario(*arguments, **keywords):
    def decorate(test):
        def run():
            async def work():
                async with system() as running:
                    await test(Patience(running, *arguments, **keywords))

            virtually(work())

        run.__name__ = test.__name__
        return run

    return decorate


@scenario()
async def test_five_missed_heartbeats_of_the_announced_interval_end_the_subscription(bench):
    """pymesos never reads the interval; USI waits a fixed 75 s; most never notice."""
    await bench.connect()
    await bench.settle(74.9)
    assert bench.of("scheduler", m.Disconnected) == []
    await bench.settle(0.2)
    assert "nothing was heard" in bench.of("scheduler", m.Disconnected)[0].reason
    await bench.settle(1)
    assert len(bench.of("scheduler", m.Subscribed)) == 2
    assert bench.twin.streams[0].closed


@scenario()
async def test_heartbeats_keep_the_subscription(bench):
    await bench.connect()
    for _ in range(100):
        await bench.settle(15)
        bench.twin.streams[0].queue.put_nowait(HEARTBEAT)
    assert len(bench.twin.attempts) == 1


@scenario(["silent"], subscribe_timeout=10.0)
async def test_an_answer_without_subscribed_is_given_up(bench):
    await bench.connect(9.9)
    assert len(bench.twin.attempts) == 1
    await bench.settle(1.0)
    assert len(bench.twin.attempts) == 2


@pytest.mark.parametrize(
    "failure",
    [
        ConnectFailed("refused"),
        ApiError(503, "no leader"),
        ApiError(500, "oops"),
        ApiError(404, "starting"),
        StreamBroken("reset"),
    ],
    ids=["refused", "503", "500", "404", "reset"],
)
def test_every_kind_of_failure_is_followed_by_a_jittered_growing_wait(failure):
    async def work():
        async with system() as running:
            bench = Patience(running, [failure] * 1000, backoff=1.0, backoff_cap=16.0)
            await bench.connect(3600)
            assert len(bench.twin.attempts) > 100
            for number, wait in enumerate(bench.waits[:100]):
                assert 0 <= wait <= min(16.0, 2.0**number) + 0.01
            late = bench.waits[10:100]
            assert min(late) < 4
            assert max(late) > 12
            assert bench.of("scheduler", m.Disconnected) == []

    virtually(work())


@scenario(backoff=1.0, backoff_cap=64.0, stable_after=10.0)
async def test_a_subscription_that_never_lasts_does_not_reset_the_waits(bench):
    await bench.connect()
    for _ in range(8):
        while not bench.twin.streams or bench.twin.streams[-1].closed:
            await bench.settle(1)
        bench.twin.streams[-1].queue.put_nowait(None)
        await bench.settle(0.001)
    assert sum(bench.waits) > 20


@scenario(backoff=1.0, backoff_cap=64.0)
async def test_a_lasting_subscription_resets_the_waits(bench):
    await bench.connect()
    for _ in range(20):
        await bench.settle(11)
        bench.twin.streams[-1].queue.put_nowait(None)
        await bench.settle(1.01)
    assert len(bench.twin.attempts) == 21


@scenario([ConnectFailed("x")] * 5, ("http://a", "http://b", "http://c"))
async def test_masters_of_a_list_are_tried_in_turn(bench):
    await bench.connect(60)
    assert [host for _, host in bench.twin.attempts] == ["a", "b", "c", "a", "b", "c"]


@scenario()
async def test_an_event_that_makes_no_sense_is_skipped_and_the_next_one_read(bench):
    await bench.connect()
    senseless = pb.scheduler.Event(type=pb.scheduler.Event.UPDATE).SerializeToString()
    rescind = pb.scheduler.Event(type=pb.scheduler.Event.RESCIND)
    rescind.rescind.offer_id.value = "o"
    bench.twin.streams[0].queue.put_nowait(senseless)
    bench.twin.streams[0].queue.put_nowait(rescind.SerializeToString())
    await bench.settle()
    assert bench.of("offers", events.Rescind) == [events.Rescind(OfferId("o"))]


@scenario()
async def test_an_event_of_a_newer_mesos_is_passed_over(bench):
    await bench.connect()
    bench.twin.streams[0].queue.put_nowait(b"\x08\x63")  # type: 99
    bench.twin.streams[0].queue.put_nowait(HEARTBEAT)
    await bench.settle()
    assert len(bench.twin.attempts) == 1


@scenario()
async def test_kept_calls_that_the_master_was_too_busy_for_are_sent_again(bench):
    await bench.connect()
    bench.twin.answers = [(503, b"busy")]
    bench.say("offers", "connection", m.Kill(TaskId("t")))
    await bench.settle(0.9)
    assert len(bench.twin.calls) == 1
    await bench.settle(0.2)
    assert len(bench.twin.calls) == 2
    await bench.settle(10)
    assert len(bench.twin.calls) == 2


@scenario([None, *[ConnectFailed("restarting")] * 10], backoff=30.0, backoff_cap=30.0)
async def test_a_call_that_is_due_again_when_the_stream_has_gone_waits_for_the_next_one(bench):
    await bench.connect()
    bench.twin.answers = [(503, b"busy")]
    bench.say("offers", "connection", m.Kill(TaskId("t")))
    await bench.settle()
    bench.twin.streams[0].queue.put_nowait(None)
    await bench.settle(2)
    assert len(bench.twin.calls) == 1
    while len(bench.twin.streams) == 1:
        await bench.settle(1)
    assert [call.kill.task_id.value for call in bench.twin.calls] == ["t", "t"]


@scenario([ConnectFailed("restarting")] * 7, backoff=0.5, backoff_cap=64.0, stable_after=10.0)
async def test_failures_before_a_subscription_do_not_slow_down_the_next_attempt_after_it(bench):
    await bench.connect()
    while not bench.twin.streams:
        await bench.settle(1)
    for bound in (0.5, 1.0, 2.0):  # only that subscriptions do not last counts
        attempts = len(bench.twin.attempts)
        await bench.settle(3)
        bench.twin.streams[-1].queue.put_nowait(None)
        await bench.settle(bound + 0.01)
        assert len(bench.twin.attempts) == attempts + 1


@scenario(["silent"])
async def test_a_call_that_is_repeated_while_there_is_no_subscription_is_kept_once(bench):
    await bench.connect()
    for _ in range(1_371):  # a KILL each minute, for a day
        bench.say("offers", "connection", m.Kill(TaskId("one")))
        bench.say("offers", "connection", m.Kill(TaskId("two")))
    await bench.settle()
    assert len(bench.twin._calls._kept) == 2
    bench.twin.streams[0].queue.put_nowait(subscribed(heartbeat=15.0).SerializeToString())
    await bench.settle()
    assert [call.kill.task_id.value for call in bench.twin.calls] == ["one", "two"]
