"""An agent and its master: registering, pings, silence; simulated agents, on virtual time, to the second."""

import asyncio
import itertools
from typing import Any

from actors.runtime import Actor, ActorSystem
from actors.runtime.testing import run_virtual
from mesos_v1 import pb
from playa.agent.agent_actor import AgentActor
from playa.messages import (
    AgentRegistered,
    AgentReregistered,
    AgentUpdate,
    Ping,
    Pong,
    RegisterAgent,
    ReregisterAgent,
    RunTask,
    ShutdownAgent,
    Silence,
    UnregisterAgent,
)
from playa.settings import AgentSettings


class Master(Actor):
    """Notes what it hears and when; says only what it is told to say."""

    def __init__(self, notes: list[tuple[float, Any]]) -> None:
        super().__init__()
        self._notes = notes

    def on_receive(self, message: Any) -> Any:
        self._notes.append((self.clock.now(), message))


class Stage:
    def __init__(self, system: ActorSystem, directory: str, **settings: Any) -> None:
        self.notes: list[tuple[float, Any]] = []
        system.spawn(Master, self.notes, name="master")
        self.agent = system.spawn(
            AgentActor, AgentSettings(simulate=True, **settings), 1, directory, name="agent:1"
        )

    def times(self, cls: type) -> list[float]:
        return [time for time, note in self.notes if isinstance(note, cls)]

    def of(self, cls: type) -> list[Any]:
        return [note for _, note in self.notes if isinstance(note, cls)]

    async def registered(self, ping_timeout: float = 75.0) -> None:
        await asyncio.sleep(0)
        self.agent.tell(AgentRegistered(agent_id="S0", total_ping_timeout=ping_timeout))
        await asyncio.sleep(0)

    def run(self, task_id: str = "t") -> None:
        framework = pb.mesos.FrameworkInfo(user="", name="f")
        framework.id.value = "F"
        task = pb.mesos.TaskInfo(name="t")
        task.task_id.value, task.agent_id.value, task.command.value = task_id, "S0", "x"
        self.agent.tell(RunTask(framework_info=framework.SerializeToString(), task=task.SerializeToString()))


def played(directory, script, **settings) -> Stage:
    """Run a script on virtual time with an agent and a master that only notes."""

    async def main() -> Stage:
        async with ActorSystem("stage") as system:
            stage = Stage(system, str(directory), **settings)
            await script(stage)
            return stage

    return run_virtual(main())


def test_an_agent_registers_again_and_again_with_growing_pauses_of_at_most_a_minute(tmp_path):
    async def script(stage):
        await asyncio.sleep(600)

    times = played(tmp_path, script).times(RegisterAgent)
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert times[0] == 0.0
    for n, pause in enumerate(pauses):
        longest = min(2.0**n, 60.0)
        assert longest / 2 <= pause <= longest


def test_a_registered_agent_is_quiet_and_answers_pings(tmp_path):
    async def script(stage):
        await stage.registered()
        for _ in range(10):
            await asyncio.sleep(15)
            stage.agent.tell(Ping(connected=True))
        await asyncio.sleep(1)

    stage = played(tmp_path, script)
    assert len(stage.of(RegisterAgent)) == 1
    assert len(stage.of(Pong)) == 10
    assert not stage.of(ReregisterAgent)


def test_an_agent_that_hears_no_ping_re_registers_when_the_ping_timeout_is_over(tmp_path):
    async def script(stage):
        await stage.registered(ping_timeout=75.0)
        await asyncio.sleep(50)
        stage.agent.tell(Ping(connected=True))
        await asyncio.sleep(80)

    assert played(tmp_path, script).times(ReregisterAgent)[0] == 125.0


def test_an_agent_that_the_master_takes_for_lost_re_registers_at_once(tmp_path):
    async def script(stage):
        await stage.registered()
        await asyncio.sleep(5)
        stage.agent.tell(Ping(connected=False))
        await asyncio.sleep(0.1)

    assert played(tmp_path, script).times(ReregisterAgent) == [5.0]


def test_a_silent_agent_says_nothing_until_the_silence_is_over(tmp_path):
    async def script(stage):
        await stage.registered()
        stage.agent.tell(Silence(seconds=30.0))
        stage.agent.tell(Ping(connected=True))
        stage.run()
        await asyncio.sleep(40)

    stage = played(tmp_path, script)
    assert not stage.of(Pong)
    assert stage.times(AgentUpdate)[0] == 30.0, "the update is sent again when it is due: 10, 30, 70 s"


def test_unacknowledged_updates_are_sent_after_10_30_and_70_seconds(tmp_path):
    async def script(stage):
        await stage.registered(ping_timeout=1000.0)
        stage.run()
        await asyncio.sleep(100)

    assert played(tmp_path, script).times(AgentUpdate) == [0.0, 10.0, 30.0, 70.0]


def test_the_first_update_goes_out_again_when_a_new_master_knows_the_agent(tmp_path):
    async def script(stage):
        await stage.registered()
        stage.run()
        await asyncio.sleep(1)
        stage.agent.tell(Ping(connected=False))
        await asyncio.sleep(1)
        stage.agent.tell(AgentReregistered(agent_id="S0", total_ping_timeout=75.0, reconcile=()))
        await asyncio.sleep(1)

    assert played(tmp_path, script).times(AgentUpdate) == [0.0, 2.0]


def test_tasks_that_the_master_has_and_the_agent_does_not_are_dropped(tmp_path):
    async def script(stage):
        await stage.registered()
        stage.run("here")
        await asyncio.sleep(0.1)
        asked = (("F", "here"), ("F", "gone"), ("G", "other"))
        stage.agent.tell(AgentReregistered(agent_id="S0", total_ping_timeout=75.0, reconcile=asked))
        await asyncio.sleep(0.1)

    updates = [pb.mesos.TaskStatus.FromString(u.status) for u in played(tmp_path, script).of(AgentUpdate)]
    dropped = {u.task_id.value: u for u in updates if u.reason == pb.mesos.TaskStatus.REASON_RECONCILIATION}
    assert set(dropped) == {"gone", "other"}
    assert dropped["other"].state == pb.mesos.TASK_DROPPED
    assert dropped["gone"].state == pb.mesos.TASK_LOST, "that framework is not partition-aware"
    assert dropped["gone"].message == "Reconciliation: task unknown to the agent"


def test_an_answer_for_another_agent_is_ignored(tmp_path):
    async def script(stage):
        await stage.registered()
        stage.agent.tell(AgentRegistered(agent_id="S9", total_ping_timeout=1.0))
        await asyncio.sleep(10)
        stage.agent.tell(Ping(connected=True))
        await asyncio.sleep(0.1)

    assert played(tmp_path, script).of(Pong)[0].agent_id == "S0"


def test_an_agent_that_is_shut_down_unregisters_and_has_a_new_life_afterwards(tmp_path):
    async def script(stage):
        await stage.registered()
        stage.run()
        await asyncio.sleep(1)
        stage.agent.tell(ShutdownAgent(reason="test"))
        await asyncio.sleep(1)
        assert not stage.agent.is_alive()

    assert len(played(tmp_path, script).of(UnregisterAgent)) == 1

    async def again(stage):
        await asyncio.sleep(0.01)

    stage = played(tmp_path, again)
    assert stage.of(RegisterAgent)
    assert not stage.of(ReregisterAgent)


def test_an_agent_that_was_killed_keeps_its_id(tmp_path):
    async def script(stage):
        await stage.registered()

    played(tmp_path, script)

    async def again(stage):
        await asyncio.sleep(0.01)

    info = pb.mesos.AgentInfo.FromString(played(tmp_path, again).of(ReregisterAgent)[0].agent_info)
    assert info.id.value == "S0"
