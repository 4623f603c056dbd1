"""`Faults`: misbehaviour of an embedded cluster on demand, for tests in Python. By HTTP: `playa.faults.api`.

```python
async with Cluster() as cluster:
    await cluster.faults.kill_agent(1, restart_after=2.0)
    await cluster.faults.set(silent=True)
    await cluster.faults.heal()
```
"""

from dataclasses import replace
from typing import Any

from actors.runtime import ActorRef
from playa import faults


class Faults:
    """Each method returns when the fault is in force. `set` takes the fields of `playa.faults.FaultPlan`."""

    def __init__(self, cluster: "ActorRef[Any]") -> None:
        self._cluster = cluster

    async def _ask(self, message: object) -> Any:
        return await self._cluster.ask(message, block=False)

    async def plan(self) -> faults.FaultPlan:
        """What is in force, with counters run down."""
        plan: faults.FaultPlan = await self._ask(faults.GetFaults())
        return plan

    async def set(self, **changes: Any) -> faults.FaultPlan:
        """Misbehave from now on, besides what is in force.

        Raises:
            TypeError: No such field.
            ValueError: A value that cannot be right.
        """
        if "shape" in changes:
            changes["shape"] = faults.shape_of(changes["shape"])
        wanted = faults.checked(replace(await self.plan(), **changes))
        plan: faults.FaultPlan = await self._ask(faults.SetFaults(wanted))
        return plan

    async def heal(self) -> None:
        """End all that lasts."""
        await self._ask(faults.SetFaults(faults.FaultPlan()))

    # --- machines ---------------------------------------------------------------------------------------------

    async def kill_agent(self, index: int = 1, *, restart_after: float | None = None) -> bool:
        """`kill -9` of an agent; its executors go on if their framework checkpoints."""
        return bool(await self._ask(faults.KillAgent(index, restart_after)))

    async def start_agent(self, index: int = 1) -> bool:
        """Start an agent that was killed."""
        return bool(await self._ask(faults.StartAgent(index)))

    async def silence_agent(self, index: int = 1, *, seconds: float | None = None) -> bool:
        """Cut an agent off from the master."""
        return bool(await self._ask(faults.SilenceAgent(index, seconds)))

    async def kill_master(self, *, restart_after: float | None = None) -> bool:
        """Kill the master: its connections break, its port is closed."""
        return bool(await self._ask(faults.KillMaster(restart_after)))

    async def start_master(self) -> bool:
        """Start a new master on the same port, with the old one's registry."""
        return bool(await self._ask(faults.StartMaster()))

    async def restart_master(self) -> None:
        """A failover: the master is gone for a moment."""
        await self.kill_master()
        await self.start_master()

    # --- once -------------------------------------------------------------------------------------------------

    async def remove_framework(self, framework_id: str = "") -> int:
        """ERROR "Framework has been removed", and it is; without an id: to all frameworks."""
        return int(await self._ask(faults.RemoveFramework(framework_id)))

    async def rescind_offers(self) -> int:
        """Take all outstanding offers back."""
        return int(await self._ask(faults.RescindOffers()))

    async def close_streams(self, *, abort: bool = False) -> int:
        """Close all subscriptions; with `abort` in the middle of a record, if one is being written."""
        return int(await self._ask(faults.CloseStreams(abort)))

    async def send_raw(self, data: bytes) -> int:
        """Send bytes that are no record on all subscriptions of schedulers."""
        return int(await self._ask(faults.SendRaw(data)))
