"""`Cluster`: the embedded cluster as an async context manager, and the actor that starts and kills its parts.

The actor named "cluster" plays the part of the machines' service managers: it starts the master ("master") and the agents
("agent:1", …) and, when a fault says so, kills and restarts them. Master and agents know nothing of it.
"""

import asyncio
import base64
import errno
import logging
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from actors.runtime import Actor, ActorRef, ActorSystem, ChildFailed, message, receive
from playa import faults
from playa.agent.agent_actor import AgentActor
from playa.agent.containers.processes import PROCESSES
from playa.agent.messages import AgentCannotStart
from playa.faults import Faults
from playa.master.master_actor import CountAgents, Listen, MasterActor
from playa.messages import Silence
from playa.settings import ClusterSettings

MASTER = "master"
SETTLE_SECONDS = 10.0
RESTART_SECONDS = 1.0
LONGEST_RESTART = 30.0
STEADY_SECONDS = 60.0
"""What has run that long since it was started again is well: the next crash is the first one."""

log = logging.getLogger(__name__)


@message
class StartAll:
    """Start the master and all agents. Answered with the master's port."""


@message
class GetProblems:
    """Answered with a tuple of sentences: why agents could not start."""


class ClusterActor(Actor):
    """Starts, kills and restarts the master and the agents; everything is kept in the directory."""

    def __init__(self, settings: ClusterSettings, directory: str) -> None:
        self._settings = settings
        self._directory = directory
        self._port = settings.port
        self._plan = faults.FaultPlan()
        self._problems: tuple[str, ...] = ()
        self._crashes: dict[str, tuple[int, float]] = {}

    @receive
    def handle_agent_cannot_start(self, message: AgentCannotStart) -> None:
        # whoever waits for the agents asks why; one that crashed before is tried again
        self._problems += (message.why,)
        if message.agent in self._crashes:
            self._start_again(message.agent, message.why)

    @receive
    def handle_get_problems(self, _message: GetProblems) -> tuple[str, ...]:
        return self._problems

    @receive
    async def handle_start_all(self, _message: StartAll) -> int:
        await self._start_master()
        for index in range(1, len(self._settings.agents) + 1):
            self._start_agent(index)
        return self._port

    async def _start_master(self) -> None:
        master = self.spawn(MasterActor, self._settings, self._directory, self._port, self._plan, name=MASTER)
        self._port = await master.ask(Listen(), block=False)

    def _start_agent(self, index: int) -> None:
        settings = self._settings.agent(index)
        self.spawn(AgentActor, settings, index, self._directory, name=f"agent:{index}")

    @receive
    def handle_child_failed(self, message: ChildFailed) -> None:
        # as a machine's service manager would: such a bug must not end the cluster
        self._start_again(message.name, message.error)

    def _start_again(self, name: str, error: str) -> None:
        """In a second, and less and less often while it crashes again; only the first of such crashes is an error to be told."""
        now = self.clock.now()
        crashes, due = self._crashes.get(name, (0, now))
        if now - due > STEADY_SECONDS:
            crashes = 0
        pause = min(LONGEST_RESTART, RESTART_SECONDS * 2.0**crashes)
        self._crashes[name] = (min(crashes + 1, 16), now + pause)
        hint = ""
        if os.strerror(errno.ENOSPC) in error or os.strerror(errno.EDQUOT) in error:
            hint = f" (make room on the disk of {self._directory}; what was not checkpointed is lost)"
        level = logging.INFO if crashes else logging.ERROR
        log.log(level, "%s failed and is started again: %s%s", name, error, hint)
        if name == MASTER:
            self.timers.after(pause, faults.StartMaster())
        elif name.startswith("agent:"):
            self.timers.after(pause, faults.StartAgent(int(name.partition(":")[2])))

    def _alive(self, name: str) -> "ActorRef[Any] | None":
        ref: ActorRef[Any] | None = self.system.find(name)
        return ref if ref is not None and ref.is_alive() else None

    @receive
    async def handle_kill_master(self, message: faults.KillMaster) -> bool:
        return await self._kill(MASTER, message.restart_after, faults.StartMaster())

    @receive
    async def handle_kill_agent(self, message: faults.KillAgent) -> bool:
        start = faults.StartAgent(message.index)
        return await self._kill(f"agent:{message.index}", message.restart_after, start)

    async def _kill(self, name: str, restart_after: float | None, start: object) -> bool:
        ref = self._alive(name)
        if ref is None:
            return False
        if name == MASTER:
            self._plan = await ref.ask(faults.GetFaults(), block=False)
        await ref.stop(block=False)
        if restart_after is not None:
            self.timers.after(restart_after, start)
        return True

    @receive
    async def handle_start_master(self, _message: faults.StartMaster) -> bool:
        if self._alive(MASTER) is not None:
            return False
        try:
            await self._start_master()
        except (OSError, ValueError) as error:
            half_started = self._alive(MASTER)
            if half_started is not None:
                await half_started.stop(block=False)
            self._start_again(MASTER, f"{type(error).__name__}: {error}")
            return False
        return True

    @receive
    def handle_start_agent(self, message: faults.StartAgent) -> bool:
        exists = 1 <= message.index <= len(self._settings.agents)
        starts = exists and self._alive(f"agent:{message.index}") is None
        if starts:
            self._start_agent(message.index)
        return starts

    @receive
    def handle_silence_agent(self, message: faults.SilenceAgent) -> bool:
        agent = self._alive(f"agent:{message.index}")
        if agent is not None:
            agent.tell(Silence(message.seconds))
        return agent is not None

    @receive
    async def handle_what_the_master_does(
        self,
        message: faults.SetFaults
        | faults.GetFaults
        | faults.RemoveFramework
        | faults.RescindOffers
        | faults.CloseStreams
        | faults.SendRaw,
    ) -> faults.FaultPlan | int:
        """While there is no master, the plan is kept for the next one."""
        if isinstance(message, faults.SetFaults):
            self._plan = message.plan
        master = self._alive(MASTER)
        if master is not None:
            answer: faults.FaultPlan | int = await master.ask(message, block=False)
            return answer
        return self._plan if isinstance(message, faults.SetFaults | faults.GetFaults) else 0


class Cluster:
    """A Mesos cluster in this process, on this event loop.

    ```python
    async with Cluster(ClusterSettings(port=0)) as cluster:
        print(cluster.url)  # http://127.0.0.1:43521
    ```

    By default it has one agent. Entering waits until all agents are registered, unless told otherwise.
    """

    faults: Faults  # misbehaviour on demand

    def __init__(self, settings: ClusterSettings | None = None, *, wait_for_agents: bool = True) -> None:
        self.settings = settings or ClusterSettings()
        self._wait_for_agents = wait_for_agents
        self._system: ActorSystem | None = None
        self.port = self.settings.port  # the master's
        self._temporary: Path | None = None
        self._directory = ""

    @property
    def url(self) -> str:
        """The master's base URL."""
        return f"http://{self.settings.hostname or self.settings.ip}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """What a request to master or agents needs: the first of the credentials, if there are any."""
        if not self.settings.credentials:
            return {}
        text = ":".join(self.settings.credentials[0])
        return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}

    @property
    def directory(self) -> Path:
        """Where registry, sandboxes and checkpoints are."""
        return Path(self._directory)

    async def __aenter__(self) -> Self:
        """Start everything.

        A SettingsError says that it would be open to a whole network without being marked insecure, an OSError that a port
        cannot be had or an agent has no folder to work in, a RegistryError that the work_dir's registry cannot be read.
        """
        self.settings.check_who_gets_in()
        mode = 0o711 if os.geteuid() == 0 else 0o700  # tasks of other users have to get to their sandboxes
        self._directory = self.settings.work_dir
        if not self._directory:
            self._temporary = Path(tempfile.mkdtemp(prefix="playa-"))
            self._temporary.chmod(mode)
            self._directory = str(self._temporary)
        await asyncio.to_thread(os.makedirs, self._directory, mode, exist_ok=True)
        settings = replace(self.settings, work_dir=self._directory)
        self._system = ActorSystem("playa")
        await self._system.__aenter__()
        try:
            actor = self._system.spawn(ClusterActor, settings, self._directory, name="cluster")
            self.port = await actor.ask(StartAll(), block=False)
            self.faults = Faults(actor)
            if self._wait_for_agents:
                await self._all_registered(actor)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _all_registered(self, actor: "ActorRef[ClusterActor]") -> None:
        count = len(self.settings.agents)
        master = actor.system.ref(MASTER)
        async with asyncio.timeout(SETTLE_SECONDS + count / 20):
            while await master.ask(CountAgents(), block=False) < count:
                if problems := await actor.ask(GetProblems(), block=False):
                    raise OSError("; ".join(problems))
                await asyncio.sleep(0.01)

    async def __aexit__(self, *_: object) -> None:
        """End everything: executors and tasks too."""
        if self._system is not None:
            master = self._system.find(MASTER)
            if master is not None and master.is_alive():  # first, so that nobody tells it of agents that stop
                await master.stop(block=False)
            await self._system.stop()
            self._system = None
        for directory in {self._directory, *(agent.work_dir for agent in self.settings.agents)} - {""}:
            await PROCESSES.end_all(directory)
        if self._temporary is not None:
            await asyncio.to_thread(shutil.rmtree, self._temporary, ignore_errors=True)
            self._temporary = None
