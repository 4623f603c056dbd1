"""Whatever happens to the scheduler, the master, the agents, the executors or the bytes between them: each task is accounted for.

Up to a hundred tasks run in real processes; the books of `ledger.py` are compared at the end: each task is told as what it is,
none was told that never ran, nothing lives on, and the user has seen no traceback.
"""

import os
import random
import signal
import sqlite3

import pytest

from actors.store.backends import SqliteBackend
from mesostic.testing import cluster as mesos_cluster
from tests.system.conftest import until

pytestmark = pytest.mark.slow


async def test_on_a_good_day_each_task_runs_once_and_is_told_once(ledger_on):
    async with ledger_on() as (ledger, _):
        await ledger.end()
        ledger.audit()
        assert all(times == (2 if number % 10 == 7 else 1) for number, times in ledger.effects().items())


# --- the scheduler ----------------------------------------------------------------------------------------------


async def test_a_scheduler_killed_again_and_again_goes_on_with_the_same_store(ledger_on):
    async with ledger_on() as (ledger, _):
        for outcomes in (0, 15, 40, 70):
            await (ledger.until_told(outcomes) if outcomes else ledger.until_effects(1))
            await ledger.kill()
            await ledger.start()
        await ledger.end()
        ledger.audit(once=False)
        assert ledger.starts == 5


async def test_a_scheduler_killed_before_anything_is_launched_starts_over(ledger_on):
    async with ledger_on(scheduler__tasks=20) as (ledger, _):
        store = ledger.folder / "store.db"
        await ledger.until(store.exists, "the store")
        await ledger.kill()
        await ledger.start()
        await ledger.end()
        ledger.audit(once=False)


async def test_what_ends_while_no_scheduler_is_there_is_told_to_the_next(ledger_on):
    async with ledger_on(scheduler__gated=True, scheduler__commands=0, scheduler__tasks=40) as (ledger, _):
        await ledger.until_effects(40)
        await ledger.kill()
        assert not ledger.told()
        ledger.open_gate()
        await ledger.start()
        await ledger.end()
        ledger.audit()


async def test_hooks_that_always_raise_cost_nothing(ledger_on):
    async with ledger_on(scheduler__raising=True) as (ledger, cluster):
        await ledger.until_told(10)
        await cluster.faults.close_streams()
        await ledger.end()
        ledger.audit(traceback=True)  # the author's own, which the author wants to see


# --- the master -------------------------------------------------------------------------------------------------


async def test_masters_that_fail_over_get_their_agents_and_the_framework_back(ledger_on):
    async with ledger_on(scheduler__tasks=60) as (ledger, cluster):
        for outcomes in (5, 30):
            await ledger.until_told(outcomes)
            await cluster.faults.restart_master()
        await ledger.end()
        ledger.audit()


async def test_a_master_that_is_away_while_tasks_end_loses_none_of_their_ends(ledger_on):
    async with ledger_on(scheduler__gated=True, scheduler__commands=0) as (ledger, cluster):
        await ledger.until_effects(40)
        await cluster.faults.kill_master()
        ledger.open_gate()
        await until(lambda: ledger.lines("effects"), "some effects")
        await cluster.faults.start_master()
        await ledger.end()
        ledger.audit()


@pytest.mark.parametrize("fault", ["silent", "half_open"])
async def test_a_master_that_falls_silent_is_left_and_found_again(ledger_on, fault):
    no_answers = {"reconciler__period": 900.0}  # any record on the stream is a sign of life
    async with ledger_on(scheduler__gated=True, scheduler__tasks=40, **no_answers) as (ledger, cluster):
        await ledger.until_effects(10)
        await cluster.faults.set(**{fault: True})
        await ledger.until(
            lambda: "the subscription is gone" in ledger.terminal.read_text(), "the watchdog's bark"
        )
        ledger.open_gate()
        await cluster.faults.heal()
        await ledger.end()
        ledger.audit()


async def test_a_master_that_answers_503_is_asked_until_it_takes_the_framework(ledger_on):
    async with ledger_on(scheduler__gated=True, scheduler__tasks=40) as (ledger, cluster):
        await ledger.until_effects(10)
        await cluster.faults.set(answer_status=503)
        await cluster.faults.close_streams()
        await ledger.until(lambda: "503" in ledger.terminal.read_text(), "word of the 503")
        await cluster.faults.heal()
        ledger.open_gate()
        await ledger.end()
        ledger.audit()


async def test_a_master_that_does_not_lead_sends_all_calls_to_the_one_that_does(ledger_on):
    async with (
        mesos_cluster(0, credentials=()) as follower,
        ledger_on(framework__master=follower.url, scheduler__tasks=40) as (ledger, leader),
    ):
        await follower.faults.set(redirect_to=leader.url)
        await ledger.end()
        ledger.audit()


# --- the bytes between ------------------------------------------------------------------------------------------


async def test_records_may_be_cut_at_every_byte_or_come_together(ledger_on):
    async with ledger_on() as (ledger, cluster):
        await cluster.faults.set(shape="split")
        await ledger.until_told(40)
        await cluster.faults.set(shape="coalesce")
        await ledger.end()
        ledger.audit()


async def test_streams_that_break_in_the_middle_of_a_record_cost_nothing(ledger_on):
    async with ledger_on() as (ledger, cluster):
        for outcomes in (1, 20, 40, 60):
            await ledger.until_told(outcomes)
            await cluster.faults.set(shape="held")
            await cluster.faults.close_streams(abort=True)
            await cluster.faults.set(shape="normal")
        await ledger.end()
        ledger.audit()


async def test_garbage_on_the_stream_costs_nothing(ledger_on):
    garbage = [b"garbage\n", b"99999999999999\n", b"5\n\xff\xff\xff\xff\xff", b"100\nhalf", b"\n\n", b"0\n"]
    async with ledger_on(scheduler__gated=True, scheduler__commands=0, scheduler__tasks=40) as (
        ledger,
        cluster,
    ):
        for number, data in enumerate(garbage):
            await ledger.until_effects(1 + number * 2)
            await cluster.faults.send_raw(data)
        ledger.open_gate()
        await ledger.end()
        ledger.audit()


async def test_an_accept_that_is_lost_is_found_out(ledger_on):
    held_for_ever = {"offer_timeout": 1.0}  # else the master waits for an answer that it has had
    async with ledger_on(cluster=held_for_ever) as (ledger, cluster):
        await cluster.faults.set(lose_accepts=2)
        await ledger.end()
        ledger.audit()


async def test_offers_rescinded_while_their_accept_is_on_its_way_are_made_up_for(ledger_on):
    async with ledger_on(scheduler__tasks=60) as (ledger, cluster):
        await cluster.faults.set(rescind_accepts=3)
        await ledger.until_told(1)
        await cluster.faults.rescind_offers()
        await ledger.end()
        ledger.audit()


async def test_updates_may_be_lost_doubled_and_late(ledger_on):
    async with ledger_on(scheduler__tasks=60) as (ledger, cluster):
        await cluster.faults.set(drop_updates=40, duplicate_updates=60, delay_updates=0.3)
        await ledger.end()
        ledger.audit()


async def test_garbage_from_executors_is_an_error_in_the_log_and_of_the_task_that_sent_it(ledger_on):
    async with ledger_on(scheduler__garbage=True, scheduler__tasks=40) as (ledger, _):
        await ledger.end()
        ledger.audit()
        assert any("cannot be read" in " ".join(words) for words in ledger.lines("notes"))
        reasons = [" ".join(words) for words in ledger.lines("told") if words[0] == "failed"]
        assert all("the result cannot be read" in reason for reason in reasons)


# --- agents and executors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpoint", [True, False])
async def test_an_agent_that_is_killed_comes_back(ledger_on, checkpoint):
    async with ledger_on(framework__checkpoint=checkpoint, scheduler__gated=True) as (ledger, cluster):
        await ledger.until_effects(40)
        await cluster.faults.kill_agent(1)
        await cluster.faults.start_agent(1)
        ledger.open_gate()
        await ledger.end()
        ledger.audit()
        if checkpoint:  # its executors went on without it
            assert all(
                times == (2 if n % 10 == 7 else 1) for n, times in ledger.effects().items() if n % 10 != 3
            )


async def test_what_ran_on_an_agent_that_never_comes_back_is_done_elsewhere(ledger_on):
    async with ledger_on(
        scheduler__unreachable_timeout=0.3, framework__checkpoint=False, scheduler__gated=True
    ) as (
        ledger,
        cluster,
    ):
        await ledger.until_effects(60)
        await cluster.faults.kill_agent(1)
        ledger.open_gate()
        await ledger.end()
        ledger.audit()


async def test_an_agent_cut_off_for_a_while_is_not_counted_twice(ledger_on):
    async with ledger_on(scheduler__unreachable_timeout=0.3, scheduler__gated=True) as (ledger, cluster):
        await ledger.until_effects(60)
        await cluster.faults.silence_agent(1)
        await ledger.until_effects(70)  # elsewhere
        ledger.open_gate()
        await cluster.faults.silence_agent(1, seconds=0.01)
        await ledger.end()
        ledger.audit()


async def test_executors_killed_in_the_middle_of_their_tasks_cost_attempts_only(ledger_on):
    async with ledger_on(scheduler__gated=True) as (ledger, _):
        await ledger.until_effects(40)
        for pid in ledger.pids()[:1]:
            os.kill(pid, signal.SIGKILL)
        ledger.open_gate()
        await ledger.end()
        ledger.audit()


# --- the store --------------------------------------------------------------------------------------------------


async def test_nothing_is_acknowledged_while_the_store_cannot_write(ledger_on):
    async with ledger_on(scheduler__gated=True, scheduler__commands=0, scheduler__tasks=40) as (
        ledger,
        _,
    ):
        await ledger.until_effects(30)
        lock = sqlite3.connect(ledger.settings["store.path"], isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        ledger.open_gate()
        await ledger.until(
            lambda: any("cannot write" in " ".join(w) for w in ledger.lines("notes")), "a clear error"
        )
        assert not ledger.told(), "told before it was stored"
        await ledger.kill()  # all that was not stored is not acknowledged, so it comes again
        lock.execute("ROLLBACK")
        lock.close()
        await ledger.start()
        await ledger.end()
        ledger.audit()


async def test_a_store_that_cannot_be_opened_is_one_clear_sentence(ledger_on, tmp_path):
    (tmp_path / "store.db").write_bytes(b"this is no database, " * 100)
    with pytest.raises(AssertionError, match="cannot be used as a store"):
        async with ledger_on(scheduler__tasks=1) as (ledger, _):
            await ledger.end()
    text = (tmp_path / "terminal").read_text()
    assert "Traceback" not in text
    assert "store.db" in text


async def test_a_store_that_another_process_has_is_one_clear_sentence(ledger_on, tmp_path):
    """Two runs with one store told every result twice, and the first to finish erased the other's records."""
    first = SqliteBackend(str(tmp_path / "store.db"))
    first.open()
    try:
        with pytest.raises(AssertionError, match=f"in use by process {os.getpid()} on "):
            async with ledger_on(scheduler__tasks=1) as (ledger, _):
                await ledger.end()
        assert ledger.process.returncode == 2
    finally:
        first.close()
    assert "Traceback" not in (tmp_path / "terminal").read_text()
    async with ledger_on(scheduler__tasks=1) as (ledger, _):
        await ledger.end()


# --- several at once --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1])
async def test_all_of_it_at_random_costs_nothing(ledger_on, seed):
    dice = random.Random(seed)
    async with ledger_on(scheduler__unreachable_timeout=0.5, cluster={"offer_timeout": 1.0}) as (
        ledger,
        cluster,
    ):
        faults = cluster.faults

        async def scheduler_dies():
            await ledger.kill()
            await ledger.start()

        async def executor_dies():
            for pid in ledger.pids()[:1]:
                os.kill(pid, signal.SIGKILL)

        async def agent_dies():
            index = dice.randint(1, 2)
            await faults.kill_agent(index)
            await faults.start_agent(index)

        disasters = [
            scheduler_dies,
            agent_dies,
            executor_dies,
            faults.restart_master,
            faults.rescind_offers,
            lambda: faults.close_streams(abort=dice.random() < 0.5),
            lambda: faults.send_raw(dice.randbytes(dice.randint(1, 40))),
            lambda: faults.set(lose_accepts=dice.randint(0, 2), rescind_accepts=dice.randint(0, 2)),
            lambda: faults.set(drop_updates=dice.randint(0, 20), duplicate_updates=dice.randint(0, 20)),
            lambda: faults.set(
                shape=dice.choice(["split", "coalesce", "normal"]), delay_updates=dice.random() / 4
            ),
        ]
        for outcomes in range(0, 90, 10):
            await ledger.until_told(outcomes)
            for disaster in dice.sample(disasters, 2):
                await disaster()
        await faults.heal()
        await ledger.end()
        ledger.audit(once=False)
