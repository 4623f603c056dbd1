"""For authors' own tests: a cluster in the test's process that can be told to misbehave, and frameworks run against it.

```python
async def test_a_killed_agent_loses_no_work():
    async with cluster(agents=2) as mesos, running("framework.toml", mesos) as framework:
        await framework.wait_for("Launched")
        await mesos.faults.kill_agent(1, restart_after=1.0)
        outcome = await framework.outcome()
    assert outcome.exit_code == 0
```

Nothing here needs pytest; `mesostic.pytest_plugin` has the same as fixtures. What is waited for is a message in the
framework's trace, so that tests need no sleeps. Single actors are tested under virtual time with `run_virtual`,
an executor's methods without any cluster with `run_task` and `ExecutorUnderTest`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actors.composition import run as run_composition
from actors.framework_settings import Composition
from actors.messages import Outcome, ShutdownRequested
from actors.runtime import ActorRef, ActorSystem, TraceRecord
from actors.runtime.testing import ListTrace, ManualIds, run_virtual
from executor.testing import ExecutorUnderTest, run_task
from mesostic.config.compose import Configuration, load_configuration
from mesostic.credential import draw, logged_in
from mesostic.tracing.records import Filters, contents, mentions
from mesostic.waiting import begun
from playa import AgentSettings, Cluster, ClusterSettings

__all__ = [
    "AgentSettings",
    "Cluster",
    "ClusterSettings",
    "ExecutorUnderTest",
    "ListTrace",
    "ManualIds",
    "Outcome",
    "Run",
    "RunningFramework",
    "cluster",
    "contents",
    "run",
    "run_task",
    "run_virtual",
    "running",
]

_ALLOCATION_INTERVAL = 0.05
_PATIENCE = 30.0


@asynccontextmanager
async def cluster(
    agents: int | Sequence[AgentSettings] = 1,
    *,
    resources: str = "cpus:4;mem:4096;disk:10000;ports:[31000-32000]",
    attributes: str = "",
    **settings: Any,
) -> AsyncIterator[Cluster]:
    """A cluster on this event loop, gone with all its processes at the end of the block.

    Args:
        agents: how many, or the settings of each.
        resources: of each agent, as Mesos's `--resources`.
        attributes: of each agent, as Mesos's `--attributes`.
        settings: further fields of `playa.ClusterSettings`. Offers come every 50 ms unless `allocation_interval` is given. It
            asks everyone for a credential that was drawn for it, which `run` and `running` hand to the framework, unless
            `credentials` are given: `credentials=()` lets everyone in.

    Yields:
        The cluster: `.url`, `.headers` for your own requests to it, and `.faults` for misbehaviour on demand.
    """
    if isinstance(agents, int):
        agents = (AgentSettings(resources=resources, attributes=attributes),) * agents
    chosen = {"allocation_interval": _ALLOCATION_INTERVAL, "credentials": (draw(),), **settings}
    async with Cluster(ClusterSettings(agents=tuple(agents), **chosen)) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Run:
    """A framework that has run to its end: how, and every message between its actors (`contents(record)`: its fields)."""

    outcome: Outcome
    records: tuple[TraceRecord, ...]


async def run(
    framework: str | Path | Configuration | Composition,
    on: Cluster,
    *,
    sets: Sequence[str] = (),
    timeout: float = _PATIENCE,  # noqa: ASYNC109 - what the reader of a test looks for
) -> Run:
    """Run a framework, given as in `running`, to its end: ConfigError for a bad one, TimeoutError after `timeout` seconds."""
    async with running(framework, on, sets=sets) as started:
        outcome = await started.outcome(timeout=timeout)
        return Run(outcome, tuple(started.records()))


@asynccontextmanager
async def running(
    framework: str | Path | Configuration | Composition, on: Cluster, *, sets: Sequence[str] = ()
) -> "AsyncIterator[RunningFramework]":
    """A framework that runs while the block does; at its end it is stopped, if it has not ended by itself.

    Args:
        framework: a configuration file, or what was made of one.
        on: the cluster, whatever the configuration says.
        sets: as `--set key=value`; ConfigError when the configuration has problems.
    """
    if isinstance(framework, str | Path):
        framework = load_configuration(framework, sets)
    composition = framework if isinstance(framework, Composition) else framework.composition
    master = replace(composition.framework, master=on.url)
    composition = replace(composition, framework=logged_in(master, on.settings))
    trace = _WatchedTrace(composition.framework.name)
    async with (
        ActorSystem(composition.framework.name, trace=trace) as system,
        begun(run_composition(composition, system=system)) as ending,
    ):
        yield RunningFramework(system, trace, ending)


class RunningFramework:
    """A framework under test, made by `running`; `system` are its actors."""

    def __init__(self, system: ActorSystem, trace: "_WatchedTrace", ending: asyncio.Future[Outcome]) -> None:
        self.system, self._trace, self._ending = system, trace, ending

    def actor(self, name: str) -> ActorRef[Any]:
        """An actor by its name, to tell it something: "scheduler", "offers", "task:…"."""
        return self.system.get(name)

    def ask_to_end(self, reason: str = "the test") -> None:
        """What Ctrl-C does."""
        self.actor("scheduler").tell(ShutdownRequested(reason))

    async def outcome(self, *, timeout: float = _PATIENCE) -> Outcome:  # noqa: ASYNC109
        """How it ended, once it has; TimeoutError if it did not in time."""
        async with asyncio.timeout(timeout):
            return await asyncio.shield(self._ending)

    def records(self, type: str = "*", *, actor: str = "*", contains: str = "") -> list[TraceRecord]:  # noqa: A002
        """The messages so far, in order: of this class's name, from or to this actor, with this text in it.

        In names, "*" stands for anything.
        """
        wanted = _wanted(type, actor, contains)
        return [record for record in self._trace.records if wanted(record)]

    async def wait_for(
        self,
        type: str,  # noqa: A002
        *,
        actor: str = "*",
        contains: str = "",
        count: int = 1,
        timeout: float = _PATIENCE,  # noqa: ASYNC109
    ) -> TraceRecord:
        """The `count`th of `records(type, actor=actor, contains=contains)`, as soon as it is handled; TimeoutError says how many there were in time."""
        wanted = _wanted(type, actor, contains)
        seen = found = 0
        try:
            async with asyncio.timeout(timeout):
                while True:
                    for record in self._trace.records[seen:]:
                        found += wanted(record)
                        if found == count:
                            return record
                    seen = len(self._trace.records)
                    self._trace.written.clear()
                    await self._trace.written.wait()
        except TimeoutError:
            of, with_ = f" of {actor}" if actor != "*" else "", f" with {contains!r}" if contains else ""
            raise TimeoutError(f"{found} of {count} messages {type}{of}{with_} in {timeout:g} s") from None


class _WatchedTrace(ListTrace):
    """A trace in memory whose records can be waited for."""

    def __init__(self, system_name: str) -> None:
        super().__init__(system_name)
        self.written = asyncio.Event()

    def write(self, *parts: Any) -> None:
        super().write(*parts)
        self.written.set()


def _wanted(type_: str, actor: str, contains: str) -> Callable[[TraceRecord], bool]:
    filters = Filters(types=() if type_ == "*" else (type_,), actors=() if actor == "*" else (actor,))
    return lambda record: filters.match(record) and (not contains or mentions(record, contains))
