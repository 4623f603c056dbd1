"""Tasks that wait for long are explained in a paragraph, and not more often than one wants to read it."""

from actors.messages import OfferVerdict, PendingGroup, PendingReport, Shortfall, WhyPending
from actors.runtime import Actor, ActorSystem, receive
from actors.runtime.testing import run_virtual
from mesos_v1.values import AgentId, TaskId
from mesostic.waiting import first_of
from mesostic.why_waiting import explain, say_why_tasks_wait


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
        import asyncio

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
    assert len(told_in(10 + 60 + 1, moves=False)) == 2


def test_a_queue_that_moves_is_nothing_to_tell():
    assert told_in(120, moves=True) == []
