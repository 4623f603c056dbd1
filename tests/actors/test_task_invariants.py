"""Whatever happens to a task, in whatever order: invariants that no sequence of events may break."""

from hypothesis import given, settings
from hypothesis import strategies as st

from actors import messages as m
from actors.framework_settings import RetryPolicy
from actors.messages import TERMINAL_PHASES, Launched
from actors.records import TaskHistory
from actors.task_actor import TaskActor
from mesos_v1.states import TaskState
from mesos_v1.values import AgentId, ExecutorId, TaskId
from tests.actors.test_task_actor import Task, spec
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


WITHIN = 120.0
POLICY = RetryPolicy(attempts=3, losses=2, backoff=10.0, factor=2.0, cap=60.0, jitter=0.0, within=WITHIN)
setbacks = st.lists(
    st.sampled_from(["fail", "lose", "restart", 0.73, 13.0, 55.0, 130.0]),
    max_size=30,
)


class Restarting(Task):
    """A task whose scheduler may go, and come back with what is stored; time does not pass meanwhile."""

    async def restart(self) -> None:
        stored, last = self.progress(), self.launched[-1] if self.launched else 0
        intent = Launched(TaskId(f"t.{last}"), AgentId("a"), None, "h") if last else None
        await self.task.stop(block=False)
        history = TaskHistory(spec(retry=POLICY), intent, stored[-1] if stored else None)
        self.task = self.system.spawn(TaskActor, history, name="task:t")
        await self.settle()

    launched: tuple[int, ...] = ()


async def life(sequence, *, restarts):
    """What became of a task: after each step the attempts that were demanded, and the outcome."""
    seen = []
    async with system() as running:
        task = Restarting(running, TaskHistory(spec(retry=POLICY)))
        await task.settle()
        for step in sequence:
            demanded = max(int(each.attempt_id.rpartition(".")[2]) for each in task.of("offers", m.Demand))
            if step in {"fail", "lose"} and demanded not in task.launched:
                task.launched = (*task.launched, demanded)
                await task.launch(demanded)
                await task.update("TASK_FAILED" if step == "fail" else "TASK_LOST", demanded)
            elif step == "restart" and restarts:
                await task.restart()
            elif isinstance(step, float):
                await task.settle(step)
            known = {each.attempt_id for each in task.of("offers", m.Demand)}
            outcomes = {(each.phase, each.attempts, each.message) for each in task.done}
            seen.append((sorted(known), sorted(outcomes)))
    return seen


def given_up(sequence):
    """The same by arithmetic: whether the policy lets it go on to the end."""
    now, due = 0.0, 0.0
    past: list[tuple[float, str]] = []
    for step in sequence:
        if isinstance(step, float):
            now += step
        elif step != "restart" and now >= due:
            past = [(at, was) for at, was in past if now - at < WITHIN] + [(now, step)]
            failures, losses = (sum(was == kind for _, was in past) for kind in ("fail", "lose"))
            if failures >= POLICY.attempts or losses > POLICY.losses:
                return True
            due = now + POLICY.delay(failures + losses, 1.0)
    return False


@given(setbacks)
@settings(max_examples=150, deadline=None)
def test_restarts_change_neither_how_often_a_task_is_tried_nor_when(sequence):
    steady, restarted = (virtually(life(sequence, restarts=restarts)) for restarts in (False, True))
    assert restarted == steady
    assert bool(steady and steady[-1][1]) is given_up(sequence)
