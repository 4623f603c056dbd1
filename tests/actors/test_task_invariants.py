"""Whatever happens to a task, in whatever order: invariants that no sequence of events may break."""

from hypothesis import given, settings
from hypothesis import strategies as st

from actors import messages as m
from actors.messages import TERMINAL_PHASES
from mesos_v1.states import TaskState
from mesos_v1.values import AgentId, ExecutorId, TaskId
from tests.actors.test_task_actor import Task
from tests.support.actor_bench import system, virtually

steps = st.one_of(
    st.tuples(st.just("update"), st.sampled_from(list(TaskState)), st.integers(1, 3), st.integers(0, 4)),
    st.sampled_from(
        [
            ("launched",),
            ("not launched",),
            ("uncertain",),
            ("withdrawn",),
            ("broker restarted",),
            ("kill",),
            ("stored",),
            ("wait", 1.0),
            ("wait", 700.0),
        ]
    ),
)


@given(st.lists(steps, max_size=25))
@settings(max_examples=150, deadline=None)
def test_no_sequence_of_events_breaks_the_order_of_storing_acknowledging_and_telling(sequence):
    async def work():
        async with system() as running:
            task = Task(running, store_answers=False)
            await task.settle()
            confirmed: set[int] = set()
            for step in sequence:
                present = task.of("offers", m.Demand)[-1].attempt_id
                if step[0] == "update":
                    _, state, attempt, number = step
                    await task.update(
                        state, attempt, uuid=f"u{attempt}{number}{state}".encode()[:16].ljust(16)
                    )
                elif step[0] == "stored":
                    for write in task.of("store", m.Write):
                        if write.reference not in confirmed:
                            confirmed.add(write.reference)
                            task.task.tell(m.Stored(write.reference))
                            break
                elif step[0] == "wait":
                    await task.settle(step[1])
                else:
                    task.task.tell(
                        {
                            "launched": m.Launched(present, AgentId("a"), ExecutorId("e"), "h"),
                            "not launched": m.NotLaunched(present, "x"),
                            "uncertain": m.LaunchUncertain(present, "x"),
                            "withdrawn": m.Withdrawn(present),
                            "broker restarted": m.BrokerRestarted(),
                            "kill": m.KillTask(),
                        }[step[0]]
                    )
                await task.settle()
                assert task.task.is_alive()
                done = task.done
                assert len(done) <= 1, "the outcome is told once"
                assert not done or done[0].phase in TERMINAL_PHASES
                unconfirmed = [w for w in task.of("store", m.Write) if w.reference not in confirmed]
                assert not (done and unconfirmed and unconfirmed[0].reference <= max(confirmed, default=0)), (
                    "the outcome is told only after it is stored"
                )
                attempts = [d.attempt_id for d in task.of("offers", m.Demand)]
                assert attempts == sorted(attempts, key=lambda name: int(TaskId(name).rpartition(".")[2]))
            for write in task.of("store", m.Write):
                if write.reference not in confirmed:
                    task.task.tell(m.Stored(write.reference))
            await task.settle()
            updates = {step[1:] for step in sequence if step[0] == "update"}
            assert len(set(task.acknowledged)) <= len(updates)
            sent = {f"u{a}{n}{s}".encode()[:16].ljust(16) for s, a, n in updates}
            assert set(task.acknowledged) == sent, "every update with a uuid is acknowledged in the end"

    virtually(work())
