"""The gate at the connection, in virtual time: who may lead no more says nothing to the master, whatever waits to be said."""

import pytest

from actors import messages as m
from actors.connection_actor import ConnectionSettings
from actors.framework_settings import Leadership
from mesos_http import ConnectFailed
from mesos_v1.values import OfferId, TaskId
from tests.actors.test_connection_timing import TwinConnection
from tests.support.actor_bench import ActorBench, system, virtually

EPOCH = 7
DECLINE, KILL = m.Decline((OfferId("o"),), 5.0), m.Kill(TaskId("t"))


class Gate(ActorBench):
    """A connection whose lease holds for ten seconds, and an election that says that it does."""

    def __init__(self, running, script=()):
        super().__init__(running, "scheduler", "offers", "election")
        self.start = running.clock.now()
        leadership = Leadership(EPOCH, self.start + 10.0)
        arguments = list(script), ConnectionSettings(backoff=0.5), "http://m:5050", leadership
        self.ref = running.spawn(TwinConnection, *arguments, name="connection")
        self.ref.tell(m.Connect())

    @property
    def twin(self):
        return self.ref._actor

    def lead(self, until, epoch=EPOCH):
        self.say("election", "connection", m.Leading(epoch, self.start + until))

    @property
    def sent(self):
        return [call.Type.Name(call.type) for call in self.twin.calls]


def scenario(*script):
    def decorate(test):
        def run():
            async def work():
                async with system() as running:
                    await test(Gate(running, script))

            virtually(work())

        run.__name__ = test.__name__
        return run

    return decorate


@scenario()
async def test_while_the_lease_holds_calls_are_sent(bench):
    await bench.settle(9.9)
    bench.say("offers", "connection", DECLINE)
    await bench.settle()
    assert bench.sent == ["DECLINE"]
    assert not bench.of("scheduler", m.Disconnected)


@scenario()
async def test_when_the_lease_is_over_the_subscription_is_given_up_and_nothing_more_is_tried(bench):
    await bench.settle(10.1)
    assert len(bench.of("scheduler", m.Disconnected)) == 1
    assert bench.twin.streams[0].closed
    await bench.settle(600)
    assert len(bench.twin.attempts) == 1


@scenario()
async def test_a_call_in_the_very_turn_after_a_long_sleep_is_not_sent(bench):
    """As after SIGCONT: the clock has gone on, and no timer has fired yet."""
    await bench.settle(1)
    bench.twin._leads_until = bench.system.clock.now() - 50.0
    bench.say("offers", "connection", DECLINE)
    bench.say("offers", "connection", KILL)
    await bench.settle()
    assert bench.sent == []
    [failed] = bench.of("offers", m.CallFailed)
    assert (failed.call, failed.fate) == (DECLINE, m.CallFate.EXPIRED)
    assert bench.twin.streams[0].closed


@scenario()
async def test_a_lease_that_is_renewed_brings_the_subscription_back_and_what_was_kept(bench):
    await bench.settle(30)
    bench.say("offers", "connection", KILL)
    await bench.settle()
    bench.lead(40)
    await bench.settle(0.1)
    assert len(bench.of("scheduler", m.Subscribed)) == 2
    assert bench.sent == ["KILL"]


@scenario()
async def test_renewals_in_time_change_nothing(bench):
    for second in range(0, 60, 3):
        bench.lead(second + 10)
        await bench.settle(3)
    assert len(bench.twin.attempts) == 1
    assert not bench.of("scheduler", m.Disconnected)


@scenario()
async def test_news_of_another_epoch_opens_nothing(bench):
    await bench.settle(11)
    bench.lead(100, epoch=EPOCH + 1)
    await bench.settle(5)
    assert len(bench.twin.attempts) == 1


@scenario()
async def test_who_is_deposed_gives_up_at_once(bench):
    await bench.settle(1)
    bench.lead(0.0)
    await bench.settle()
    assert bench.twin.streams[0].closed
    bench.say("offers", "connection", KILL)
    await bench.settle(600)
    assert bench.sent == []


@scenario(ConnectFailed("no"), ConnectFailed("no"))
async def test_each_subscribe_is_preceded_by_a_renewal(bench):
    await bench.settle(5)
    assert len(bench.twin.attempts) == 3
    assert bench.of("election", m.AskLeading) == [m.AskLeading(EPOCH)] * 3


@scenario()
async def test_without_a_renewal_there_is_no_subscribe(bench):
    await bench.settle(1)
    await bench.system.get("election").stop(block=False)
    bench.twin.streams[0].queue.put_nowait(None)
    await bench.settle(5)
    assert len(bench.twin.attempts) == 1


@scenario()
async def test_teardown_waits_for_the_lease_and_gives_up_in_its_time(bench):
    await bench.settle(11)
    bench.say("scheduler", "connection", m.Teardown())
    await bench.settle(31)
    assert bench.sent == []
    [done] = bench.of("scheduler", m.TeardownDone)
    assert not done.answered


@pytest.mark.parametrize("until", [5.0, 40.0])
def test_teardown_is_sent_by_a_leader_alone(until):
    async def work():
        async with system() as running:
            bench = Gate(running)
            await bench.settle(20)
            bench.lead(until)
            bench.say("scheduler", "connection", m.Teardown())
            await bench.settle(1)
            assert bench.sent == (["TEARDOWN"] if until > 20 else [])

    virtually(work())
