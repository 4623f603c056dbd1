"""Reliable messages over real processes: each number arrives once and in order, or its sender is told, whatever dies in between.

The scheduler's own book may have a line twice where the process died inside the hook; what it sent there was sent once all the same.
"""

import os
import signal

import pytest

from tests.system.conftest import HERE, Ledger

pytestmark = pytest.mark.slow
COUNT, AHEAD = 100, 10


class Talk(Ledger):
    configuration = HERE / "talk.toml"

    def heard(self, by: str) -> list[int]:
        return [int(number) for number, *_ in self.lines(by)]

    def by(self) -> list[str]:
        """The processes that have heard something, in order."""
        return [*dict.fromkeys(by for _, by in self.lines("executor"))]

    def is_ahead(self) -> bool:
        """Whether the executor has answered all that it heard, and the scheduler has said more."""
        heard = self.heard("executor")
        return bool(heard) and heard[-1] in self.heard("scheduler")

    async def until_heard(self, count: int) -> None:
        await self.until(lambda: len(set(self.heard("executor"))) >= count, f"{count} messages")

    async def over(self) -> None:
        await self.end()
        assert self.heard("executor") == [*range(1, COUNT + 1)]
        told = self.heard("scheduler")
        assert [*dict.fromkeys(told)] == [*range(COUNT + 1)]
        again = len(told) - (COUNT + 1)  # those whose hook had run, and was not stored yet
        assert again <= AHEAD * (self.starts - 1), "told twice though the process lived"
        assert not self.lines("undelivered")
        assert "Traceback" not in self.terminal.read_text(), self.story()


@pytest.fixture
def talk(ledger_on):
    return lambda **settings: ledger_on(
        made_by=Talk, agents=1, scheduler__tasks=COUNT, scheduler__ahead=AHEAD, **settings
    )


async def test_what_mesos_loses_and_doubles_arrives_once_and_in_order(talk):
    async with talk() as (framework, cluster):
        for count in range(1, COUNT, 20):
            await framework.until_heard(count)
            await cluster.faults.set(drop_messages=3, duplicate_messages=5)
        await framework.over()


async def test_a_scheduler_killed_again_and_again_goes_on_with_what_was_said(talk):
    async with talk() as (framework, cluster):
        for count in (5, 25, 50, 75):
            await framework.until_heard(count)
            await cluster.faults.set(drop_messages=2)
            await framework.kill()
            await framework.start()
        await framework.over()


async def test_an_agent_that_restarts_costs_no_message(talk):
    async with talk() as (framework, cluster):
        for count in (5, 40):
            await framework.until_heard(count)
            await cluster.faults.kill_agent()
            await cluster.faults.start_agent()
        await framework.over()


async def test_what_a_killed_executor_has_not_acknowledged_is_told_and_the_next_one_is_not_given_it(talk):
    async with talk() as (framework, _):
        await framework.until_heard(10)
        (first,) = framework.pids()
        os.kill(first, signal.SIGSTOP)
        await framework.until(framework.is_ahead, "what is on its way")
        os.kill(first, signal.SIGKILL)
        await framework.until(lambda: len(framework.lines("undelivered")) >= AHEAD, "what is undelivered")
        await framework.end()
        heard = {
            pid: [int(n) for n, by in framework.lines("executor") if by == pid] for pid in framework.by()
        }
        before, after = (heard[pid] for pid in framework.by())
        assert before == [*range(1, len(before) + 1)]
        assert after == [*range(1, COUNT + 1)], (
            "the next executor begins anew, and hears nothing that was not for it"
        )
        undelivered = [int(line[0]) for line in framework.lines("undelivered")]
        assert undelivered == [*range(undelivered[0], len(before) + AHEAD + 1)]
        assert undelivered[0] <= len(before) + 1, "neither heard nor told"
        reasons = {" ".join(line[1:]) for line in framework.lines("undelivered")}
        assert reasons <= {"its executor has ended", "another process of its executor has taken its place"}
