"""Tasks that wait for long are explained in a paragraph, and not more often than one wants to read it."""

import asyncio

import pytest

from actors.messages import (
    AskProgress,
    OfferVerdict,
    PendingGroup,
    PendingReport,
    Progress,
    Shortfall,
    WhyPending,
)
from actors.runtime import Actor, ActorSystem, receive
from actors.runtime.testing import run_virtual
from mesos_v1.values import AgentId, TaskId
from mesostic.waiting import first_of
from mesostic.why_waiting import explain, say_why_tasks_wait, stands_still


def group(first="crawl-7", tasks=12, verdicts=()):
    return PendingGroup(
        tasks=tasks,
        first_task=TaskId(first),
        role="*",
        wanted="cpus:1; mem:32",
        executor="crawl",
        agents_looked_at=5,
        verdicts=verdicts,
        remark="none of the 5 agents offered enough at the last look",
    )


class Broker(Actor):
    """Reports what it was given: the same group for ever, or a new one at each look."""

    def __init__(self, moves):
        super().__init__()
        self.moves = moves
        self.looks = 0

    @receive
    def on_why(self, asked: WhyPending) -> PendingReport:
        self.looks += 1
        first = f"crawl-{self.looks if self.moves else 7}"
        return PendingReport(12, (), (group(first),))


def told_in(seconds, *, moves):
    told: list[str] = []

    async def watch():
        async with ActorSystem() as system:
            system.spawn(Broker, moves, name="offers")
            await first_of(asyncio.sleep(seconds), say_why_tasks_wait(system, told.append))

    run_virtual(watch())
    return told


def test_an_explanation_names_what_is_wanted_and_what_is_there():
    verdict = OfferVerdict(AgentId("S0"), "host-1", "cpus:0.5; mem:100", (Shortfall("cpus", "1", "0.5"),))
    assert explain(group(verdicts=(verdict,))) == (
        "12 tasks wait, crawl-7 first for cpus:1; mem:32 (executor crawl); none of the 5 agents offered enough at the"
        " last look. host-1 offers cpus:0.5; mem:100: cpus 1 wanted, 0.5 there; and 4 more agents."
    )


def test_a_queue_that_stands_still_is_told_after_ten_seconds_and_then_rarely():
    assert told_in(9, moves=False) == []
    assert len(told_in(11, moves=False)) == 1
    assert len(told_in(10 + 60 + 5, moves=False)) == 2


def test_a_queue_that_moves_is_nothing_to_tell():
    assert told_in(120, moves=True) == []


class Scheduler(Actor):
    """Says how far it is: always the same, or further at each look; or nothing at all, as one that is stuck."""

    def __init__(self, progress, *, moves=False, stuck=False):
        super().__init__()
        self.progress = progress
        self.moves = moves
        self.stuck = stuck
        self.looks = 0

    @receive
    async def on_ask(self, asked: AskProgress) -> Progress:
        if self.stuck:
            await asyncio.sleep(3600)
        self.looks += 1
        if not self.moves:
            return self.progress  # type: ignore[no-any-return]
        return Progress(True, False, (("staging", self.looks),))


def said_in(seconds, progress, **how):
    told: list[str] = []

    async def watch():
        async with ActorSystem() as system:
            system.spawn(Scheduler, progress, name="scheduler", **how)
            await first_of(asyncio.sleep(seconds), say_why_tasks_wait(system, told.append))

    run_virtual(watch())
    return told


IDLE = Progress(True, False, ())


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (IDLE, "nothing to do: no task is active, and finish() was not called"),
        (Progress(False, False, ()), "not subscribed: no master has accepted the framework yet"),
        (Progress(False, False, None), "not subscribed"),
        (Progress(False, True, ()), "waits for the master to answer TEARDOWN"),
        (Progress(True, False, (("staging", 2), ("launching", 1))), "3 tasks are being started"),
        (Progress(True, False, (("backing off", 1),)), "1 task is waiting for the next attempt"),
        (Progress(True, False, (("unreachable", 2),)), "2 tasks are on agents that the master has lost"),
        (Progress(True, False, (("killing", 2),)), "2 tasks are asked to end"),
        (Progress(True, False, (), False), "nothing happens: the framework is subscribed, but"),
        (Progress(True, False, (), True), "nothing happens: offers have come, but no update tells of"),
    ],
)
def test_a_framework_that_stands_still_says_why_within_ten_seconds(progress, words):
    (text,) = said_in(10, progress)
    assert words in text


@pytest.mark.parametrize(
    "progress",
    [
        Progress(True, True, ()),
        Progress(True, False, None),
        Progress(True, False, (("running", 1),)),
        Progress(True, False, (("staging", 1), ("running", 1))),
        Progress(True, False, (("waiting", 1),)),
    ],
)
def test_work_and_an_end_under_way_are_nothing_to_tell(progress):
    assert stands_still(progress) == ""


def test_a_framework_that_gets_on_says_nothing():
    assert said_in(120, None, moves=True) == []


def test_a_framework_that_is_idle_for_long_says_so_ever_more_rarely():
    assert [len(said_in(seconds, IDLE)) for seconds in (10, 75, 200, 3600)] == [1, 2, 3, 6]


def test_a_scheduler_that_is_stuck_does_not_stop_the_broker_from_being_asked():
    told: list[str] = []

    async def watch():
        async with ActorSystem() as system:
            system.spawn(Scheduler, None, stuck=True, name="scheduler")
            system.spawn(Broker, False, name="offers")
            await first_of(asyncio.sleep(30), say_why_tasks_wait(system, told.append))

    run_virtual(watch())
    assert len(told) == 1
