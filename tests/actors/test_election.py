"""The election of who leads, in virtual time: taking the lead, renewing, losing and resigning; and at most one may ever write."""

import asyncio
import threading

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import messages as m
from actors.election_actor import ElectionActor
from actors.framework_settings import Composition, FrameworkSettings
from actors.runtime import ActorSystem, Secret, pack_value
from actors.runtime.testing import ManualIds, VirtualTimeLoop
from actors.store.coordination import ABSENT, ENDED, LEADER, TOKEN, Batch, ConflictError, LeaseLostError
from tests.support.actor_bench import ActorBench, virtually
from tests.support.coordination import MemoryCoordinator, Servers

LEASE = 10.0
SOON = LEASE + 2.0  # what is promised of a takeover


class VirtualServers(Servers):
    """Servers whose calls may take (virtual) time, as those of a slow network, or of a process that is stopped meanwhile."""

    def __init__(self):
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        self.loop = loop
        super().__init__(clock=loop.time)

    def sleep(self, seconds, until=lambda: False):
        """Let virtual time pass for the thread that calls this; returns early when `until` says so."""
        over = threading.Event()
        end = self.loop.time() + seconds

        def look():
            if self.loop.time() >= end or until():
                self.loop.threads_at_work += 1
                over.set()
            else:
                self.loop.call_later(min(0.1, end - self.loop.time()), look)

        def begin():
            self.loop.threads_at_work -= 1
            look()

        self.loop.call_soon_threadsafe(begin)
        over.wait()


class Connection(MemoryCoordinator):
    """One candidate's connection: it waits in virtual time, and stands still while its candidate is frozen."""

    def __init__(self, servers, candidate):
        super().__init__(servers)
        self.sleep = servers.sleep
        self.candidate = candidate

    def open(self):
        self.candidate.stand_still()
        super().open()

    def get(self, key):
        self.candidate.stand_still()
        return super().get(key)

    def commit(self, batch):
        self.candidate.stand_still()
        versions = super().commit(batch)
        self.candidate.stand_still()
        return versions

    def lease(self, seconds):
        self.candidate.stand_still()
        seconds = super().lease(seconds)
        self.candidate.stand_still()
        return seconds

    def wait(self, key, version, seconds):
        self._reach()

        def has_changed():
            self.servers.expire()
            found = self.servers.values.get(key)
            return (ABSENT if found is None else found.version) != version

        self.sleep(seconds, has_changed)
        self.candidate.stand_still()
        return has_changed()

    def close(self):
        if not self.candidate.dead:
            super().close()


class Unhurried(ElectionActor):
    """Its handlers are not cancelled: time must not pass while its thread is at work."""

    stop_grace = 1000.0


class Candidate(ActorBench):
    """A process that stands for election; everything but the election is a probe."""

    def __init__(self, servers, name, *, standby=True):
        super().__init__(ActorSystem(name, ids=ManualIds(name)), "framework", "connection", "server")
        self.servers, self.name, self.standby = servers, name, standby
        self.frozen_until = 0.0
        self.dead = False
        self.election = None

    def start(self):
        composition = Composition(
            FrameworkSettings(name="t", standby=self.standby),
            coordinate=lambda: Connection(self.servers, self),
        )
        self.election = self.system.spawn(
            Unhurried, composition, LEASE, Secret(f"token of {self.name}"), name="election"
        )
        return self

    def stand_still(self):
        while (left := self.frozen_until - self.servers.clock()) > 0:
            self.servers.sleep(left, lambda: self.frozen_until <= self.servers.clock())

    def freeze(self, seconds):
        self.frozen_until = self.servers.clock() + seconds

    async def die(self):
        """kill -9: nobody says goodbye."""
        self.dead = True
        await self.system.stop()

    @property
    def epoch(self):
        """As whom it would write."""
        reigns = [each for each in self.heard["framework"] if isinstance(each, m.Won | m.Deposed)]
        return reigns[-1].epoch if reigns and isinstance(reigns[-1], m.Won) else None

    @property
    def may_send(self):
        """What its gate says, however late it was told."""
        told = [*self.of("framework", m.Won), *self.of("connection", m.Leading)]
        mine = [each.until for each in told if each.epoch == self.epoch]
        return self.epoch is not None and not self.dead and self.servers.clock() < mine[-1]

    def may_write(self):
        try:
            self.servers.apply(Batch({LEADER: self.epoch or ABSENT - 1}, {"log": b""}), 0)
        except ConflictError:
            return False
        return True


def scenario(test):
    """Run with servers; every candidate that is made ends with the test."""

    def plain():
        async def work():
            servers = VirtualServers()
            made = []

            def candidate(name, **options):
                made.append(Candidate(servers, name, **options))
                return made[-1].start()

            try:
                await test(servers, candidate)
            finally:
                servers.down = False
                for each in made:
                    each.frozen_until = 0.0
                    await each.system.stop()

        virtually(work())

    plain.__name__, plain.__doc__ = test.__name__, test.__doc__
    return plain


@scenario
async def test_the_first_leads_and_those_who_come_later_follow(servers, candidate):
    one = candidate("one")
    await one.settle(1)
    other = candidate("other")
    await other.settle(60)
    assert one.may_send
    assert other.epoch is None
    assert len(one.of("framework", m.Won)) == 1


@scenario
async def test_a_leader_that_dies_is_followed_within_the_lease_and_two_seconds(servers, candidate):
    one = candidate("one")
    await one.settle(31)
    other = candidate("other")
    await other.settle(7)
    await one.die()
    await other.settle(SOON)
    assert other.may_send
    assert other.epoch > one.epoch


@scenario
async def test_a_leader_that_ends_in_order_is_followed_at_once(servers, candidate):
    one = candidate("one")
    await one.settle(31)
    other = candidate("other")
    await other.settle(7)
    await one.system.stop()
    await other.settle(0.2)
    assert other.may_send


@scenario
async def test_a_leader_that_wakes_up_late_has_no_say_and_stands_by(servers, candidate):
    one = candidate("one")
    await one.settle(5)
    other = candidate("other")
    await other.settle(1)
    first = one.epoch
    one.freeze(60)
    await other.settle(SOON)
    assert other.may_send
    assert not one.may_send, "its clock went on while it was stopped"
    await other.settle(60)
    assert [each.epoch for each in one.of("framework", m.Deposed)] == [first]
    assert one.epoch is None
    await other.die()
    await one.settle(SOON)
    assert one.may_send
    assert len(one.of("framework", m.Won)) == 2


@scenario
async def test_the_lease_counts_from_before_it_was_asked_for(servers, candidate):
    """The renewal was due after a third of the lease, and was answered at seven seconds."""
    one = candidate("one")
    await one.settle(1)
    one.freeze(6)
    await one.settle(6.1)
    assert one.of("connection", m.Leading)[0].until <= LEASE / 3 + LEASE


@scenario
async def test_servers_that_are_away_close_the_gate_and_open_it_again(servers, candidate):
    one = candidate("one")
    await one.settle(5)
    servers.down = True
    await one.settle(LEASE)
    assert not one.may_send
    servers.leases = dict.fromkeys(servers.leases, servers.clock() + LEASE)  # as etcd does when it is back
    servers.down = False
    await one.settle(2)
    assert one.may_send
    assert not one.of("framework", m.Deposed), "nobody else has led, so nothing need be taken over"


@scenario
async def test_a_lease_that_ended_while_the_servers_were_away_is_stood_for_again(servers, candidate):
    one = candidate("one")
    await one.settle(5)
    first = one.epoch
    servers.down = True
    await one.settle(60)
    servers.down = False
    await one.settle(2)
    assert one.may_send
    assert one.epoch > first
    assert len(one.of("framework", m.Deposed)) == 1


@scenario
async def test_a_leader_whose_key_was_deleted_notices_with_the_next_renewal(servers, candidate):
    one = candidate("one")
    await one.settle(5)
    servers.apply(Batch(deletes=(LEADER,)), 0)
    await one.settle(LEASE / 3 + 0.1)
    assert len(one.of("framework", m.Deposed)) == 1
    assert one.of("connection", m.Leading)[-1].until == 0.0, "the gate is closed at once"


@scenario
async def test_what_the_store_says_of_an_earlier_reign_changes_nothing(servers, candidate):
    one = candidate("one")
    await one.settle(5)
    one.say("framework", "election", m.Fenced(one.epoch, "another one has written"))
    await one.settle(1)
    assert len(one.of("framework", m.Deposed)) == 1
    old, new = (won.epoch for won in one.of("framework", m.Won))
    one.say("framework", "election", m.Fenced(old, "late"))
    await one.settle(1)
    assert one.epoch == new


@scenario
async def test_who_asks_whether_it_leads_is_answered_by_the_servers(servers, candidate):
    one = candidate("one")
    await one.settle(5)
    answer = await one.election.ask(m.AskLeading(one.epoch), block=False)
    assert answer.until > servers.clock() + LEASE * 0.9
    servers.apply(Batch(deletes=(LEADER,)), 0)
    for epoch in (one.epoch, one.epoch + 1):
        try:
            await one.election.ask(m.AskLeading(epoch), block=False)
        except LeaseLostError:
            continue
        raise AssertionError("it said that it leads")


@scenario
async def test_all_who_ever_lead_have_the_first_ones_token(servers, candidate):
    one = candidate("one")
    await one.settle(1)
    await one.system.stop()
    other = candidate("other")
    await other.settle(1)
    assert servers.values[TOKEN].value == b"token of one"
    assert other.of("framework", m.Won)[0].token.reveal() == "token of one"


@scenario
async def test_a_standby_ends_with_the_framework_and_says_how_it_ended(servers, candidate):
    one = candidate("one")
    await one.settle(1)
    other = candidate("other")
    await other.settle(1)
    servers.apply(Batch({LEADER: one.epoch}, {ENDED: pack_value(m.Outcome(3, "all is done"))}), 0)
    await one.system.stop()
    await other.settle(1)
    assert other.of("framework", m.Outcome) == [m.Outcome(3, "the framework has ended: all is done")]
    assert other.epoch is None


@scenario
async def test_who_starts_after_the_end_begins_anew(servers, candidate):
    servers.apply(Batch(puts={ENDED: pack_value(m.Outcome(0, "all is done"))}), 0)
    one = candidate("one")
    await one.settle(1)
    assert one.may_send


@scenario
async def test_who_is_not_to_stand_by_waits_for_one_that_was_killed(servers, candidate):
    one = candidate("one", standby=False)
    await one.settle(1)
    await one.die()
    other = candidate("other", standby=False)
    await other.settle(SOON)
    assert other.may_send


@scenario
async def test_who_is_not_to_stand_by_says_who_leads_and_ends(servers, candidate):
    one = candidate("one", standby=False)
    await one.settle(1)
    other = candidate("other", standby=False)
    await other.settle(SOON - 1.1)
    assert not other.of("framework", m.Outcome)
    await other.settle(2.2)
    [outcome] = other.of("framework", m.Outcome)
    assert outcome.exit_code == 2
    assert "another process leads this framework: process " in outcome.reason
    assert "standby = true" in outcome.reason


@scenario
async def test_servers_that_never_answer_end_the_process_with_why(servers, candidate):
    servers.down = True
    one = candidate("one")
    await one.settle(SOON + 2)
    assert one.of("framework", m.Outcome) == [m.Outcome(2, "the servers are away")]


@scenario
async def test_a_standby_waits_for_servers_that_have_answered_before(servers, candidate):
    one = candidate("one")
    await one.settle(1)
    other = candidate("other")
    await other.settle(5)
    servers.down = True
    await other.settle(600)
    assert not other.of("framework", m.Outcome)
    servers.down = False
    await other.settle(3)
    assert one.may_send != other.may_send


# --- whatever happens ---------------------------------------------------------------------------------------------

SECONDS = st.floats(0.1, 2 * LEASE)
EVENTS = st.lists(
    st.tuples(
        st.floats(0.0, LEASE),  # after the event before
        st.one_of(
            st.tuples(st.just("freeze"), st.integers(0, 3), SECONDS),
            st.tuples(st.just("die"), st.integers(0, 3), st.just(0.0)),
            st.tuples(st.just("end"), st.integers(0, 3), st.just(0.0)),
            st.tuples(st.just("away"), st.just(0), SECONDS),
            st.tuples(st.just("lose answers"), st.integers(1, 3), st.just(0.0)),
            st.tuples(st.just("lose requests"), st.integers(1, 3), st.just(0.0)),
        ),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(count=st.integers(2, 4), events=EVENTS)
def test_at_most_one_may_write_or_send_and_epochs_only_rise(count, events):
    """Candidates are frozen, die and come again, servers go away and lose batches or answers."""

    async def work():
        servers = VirtualServers()
        everybody = [Candidate(servers, f"c{number}").start() for number in range(count)]
        present = list(everybody)
        epochs: list[int] = []

        def look():
            servers.expire()
            senders = [each for each in everybody if each.may_send]
            assert len(senders) <= 1, [each.name for each in senders]
            if senders:
                held = servers.values.get(LEADER)
                assert held is not None, f"{senders[0].name} may send although its lease is over"
                assert held.version == senders[0].epoch
            assert sum(each.may_write() for each in everybody if not each.dead) <= 1
            won = sorted({won.epoch: won for each in everybody for won in each.of("framework", m.Won)})
            assert won[: len(epochs)] == epochs, "a later leader has an earlier epoch"
            epochs[:] = won

        async def live(seconds):
            end = servers.clock() + seconds
            while servers.clock() < end:
                await asyncio.sleep(0.25)
                look()

        async def happen():
            back = 0.0
            for pause, (what, which, seconds) in events:
                await live(pause)
                one = present[which % count]
                if what == "freeze":
                    one.freeze(seconds)
                elif what in {"die", "end"}:
                    one.frozen_until = 0.0
                    await (one.die() if what == "die" else one.system.stop())
                    one.dead = True
                    present[which % count] = Candidate(servers, f"{one.name}'").start()
                    everybody.append(present[which % count])
                elif what == "away":
                    servers.down, back = True, servers.clock() + seconds
                elif what == "lose answers":
                    servers.lose_answers += which
                else:
                    servers.lose_requests += which
                if servers.down and servers.clock() >= back:
                    servers.down = False
            servers.down, servers.lose_answers, servers.lose_requests = False, 0, 0
            for each in present:
                each.frozen_until = 0.0
            await live(3 * LEASE)
            assert sum(each.may_send for each in present) == 1, "somebody leads in the end"

        try:
            await happen()
        finally:
            servers.down = False
            for each in everybody:
                each.frozen_until = 0.0
                await each.system.stop()

    virtually(work())
