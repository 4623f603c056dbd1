"""Operations without an offer in hand: what is reserved, the persistent volumes, and what was leaked.

Each operation is an actor (`operation:<id>`), as each task is. It is stored with what else the hook that asked for it has
launched; its outcome, the holding that it leaves behind and what the hook of the outcome launches are one transaction.
"""

import logging
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from actors import messages as m
from actors import records as r
from actors.changes import labels_for, surplus
from actors.framework_settings import Composition, Volume
from actors.operation_actor import OperationActor
from actors.runtime import ActorRef, ChildFailed, message, receive
from actors.scheduler.base_scheduler import BaseScheduler
from actors.scheduler.launching import CHECKS, disk_of, volume_disk
from mesos_v1 import events
from mesos_v1.resource import to_millis
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, OperationId, OperationStatus, TaskId

logger = logging.getLogger("actors.scheduler")

K = m.ChangeKind
NOTHING = Resources()
FREE_PATIENCE = 10.0  # seconds that the volumes of tasks get to be destroyed at the end
Texts = Iterable[str]
Pairs = Mapping[str, str] | Iterable[tuple[str, str]]


@message
class FreeingOverdue:
    """The volumes of tasks were given time to be destroyed before the framework ends."""


class Where(NamedTuple):
    """Where something new is to be."""

    role: str
    hosts: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    agent_id: AgentId | None


class Followed(NamedTuple):
    """An operation under way, and the actor that follows it."""

    spec: r.OperationSpec
    ref: ActorRef[OperationActor]


class OperatingScheduler(BaseScheduler):
    """The part of `SchedulerActor` that reserves, makes volumes and frees them; see the head of this module."""

    # --- hooks for authors ------------------------------------------------------------------------------------

    def on_operation_update(self, status: OperationStatus) -> Any:
        """News of an operation that carries an id; stored and acknowledged. Of what you asked for, the next two tell the outcome."""

    def on_operation_finished(self, done: m.OperationFinished) -> Any:
        """An operation that you asked for has been carried out; `done.holding` is the reservation or volume as it is now."""

    def on_operation_failed(self, failed: m.OperationFailure) -> Any:
        """An operation has failed, or was cancelled; nothing has changed on the cluster."""

    _hooks = BaseScheduler._hooks | {name for name in locals() if name.startswith("on_")}

    def __init__(self, composition: Composition, settings: Any = None) -> None:
        super().__init__(composition, settings)
        self._operations: dict[OperationId, Followed] = {}
        self._holdings: dict[str, m.Holding] = {}
        self._operations_before: tuple[r.OperationHistory, ...] = ()
        self._volumes: dict[TaskId, str] = {}  # of tasks that have one
        self._freeing = False
        self._leaked: dict[str, m.Holding] = {}

    # --- commands for authors ---------------------------------------------------------------------------------

    @property
    def holdings(self) -> tuple[m.Holding, ...]:
        """The reservations and volumes that the framework has, oldest first."""
        return tuple(self._holdings.values())

    @property
    def active_operations(self) -> dict[OperationId, m.ChangeKind]:
        """The operations that you asked for and that have no outcome yet."""
        changes = ((known, followed.spec.change) for known, followed in self._operations.items())
        return {known: change.kind for known, change in changes if change.task_id is None}

    def reserve(
        self,
        *,
        cpus: float = 0.0,
        mem: float = 0.0,
        disk: float = 0.0,
        gpus: float = 0.0,
        resources: Resources | None = None,
        role: str | None = None,
        hosts: Texts = (),
        attributes: Pairs = (),
        agent_id: AgentId | None = None,
    ) -> OperationId:
        """Reserve resources of one agent for a role, as soon as an offer has them: they are offered to that role alone.

        The framework's tasks of that role use what is reserved first.

        Args:
            cpus: and mem, disk (in MB), gpus: how much.
            resources: anything beyond; replaces those.
            role: the framework's first role if left out; "*" cannot be reserved for.
            hosts: host names to choose from; attributes: names and values that the agent must have.
            agent_id: the only agent that will do.

        Returns:
            The operation's id, which is the id of the reservation, too: `unreserve` takes it.

        Raises:
            ValueError: A mistake of the caller in one sentence; nothing is asked for.
        """
        amounts = {"cpus": cpus, "mem": mem, "disk": disk, "gpus": gpus}
        if resources is None:
            wanted = Resources.of(**{name: CHECKS[name](name, value) for name, value in amounts.items()})
        else:
            wanted = CHECKS["resources"]("resources", resources)
        if not wanted:
            raise ValueError("there is nothing to reserve: cpus, mem, disk and gpus are all 0")
        if any(entry.facts.reservations or entry.facts.persistence_id for entry in wanted):
            raise ValueError(f"what is to be reserved must not be reserved yet: {wanted}")
        where = self._where(role, hosts, attributes, agent_id)
        return self._make(K.RESERVE, "reservation", wanted, where)

    def unreserve(self, reservation: str) -> OperationId:
        """Give a reservation back as soon as no task uses any of it; ValueError if there is none of that id."""
        return self._alter(K.UNRESERVE, self._known(reservation, volume=False))

    def create_volume(
        self,
        *,
        size: float,
        path: str,
        role: str | None = None,
        hosts: Texts = (),
        attributes: Pairs = (),
        agent_id: AgentId | None = None,
    ) -> OperationId:
        """Make a persistent volume on one agent: its disk is reserved for a role, and what is on it stays until it is destroyed.

        Args:
            size: in MB.
            path: where a task finds it, relative to its sandbox: one name, as "data".

        Returns:
            The operation's id, which is the volume's, too: `launch(volume=…)` takes it, and `destroy_volume`.

        Raises:
            ValueError: As of `reserve`, which also says what the other arguments are.
        """
        disk = volume_disk(size, path)
        where = self._where(role, hosts, attributes, agent_id)
        return self._make(K.CREATE_VOLUME, "volume", disk, where, path=path)

    def destroy_volume(self, volume: str) -> OperationId:
        """Delete a volume with all that is on it, and give its disk back, as soon as no task uses it."""
        return self._alter(K.DESTROY_VOLUME, self._known(volume, volume=True))

    def grow_volume(self, volume: str, by: float) -> OperationId:
        """Make a volume larger by so many MB of its agent's disk, as soon as no task uses it and there are so many."""
        return self._alter(K.GROW_VOLUME, self._known(volume, volume=True), more=disk_of("by", by))

    def shrink_volume(self, volume: str, by: float) -> OperationId:
        """Make a volume smaller by so many MB, as soon as no task uses it; a further operation gives them back."""
        known = self._known(volume, volume=True)
        less = disk_of("by", by).disk
        if to_millis(less) >= known.resources.millis("disk"):
            raise ValueError(f"by must be less than the volume has, {known.resources.disk:g} MB: {by}")
        return self._alter(K.SHRINK_VOLUME, known, less=less)

    def leaked(self) -> tuple[m.Holding, ...]:
        """What agents have offered that bears the framework's label and belongs to no task, holding or operation of it.

        Left by a run whose store is lost, or on an agent that was given up; `free_leaked` frees it.
        """
        return tuple(self._leaked.values())

    def free_leaked(self) -> tuple[OperationId, ...]:
        """Destroy and unreserve what is `leaked`; the operations that do so."""
        asked = []
        for lost in self.leaked():
            del self._leaked[lost.holding_id]
            holding = self._holdings[lost.holding_id] = replace(lost, task_id=None)
            self._put(r.HOLDING.record(holding.holding_id, holding))
            asked.append(self._alter(K.DESTROY_VOLUME if holding.is_volume else K.UNRESERVE, holding))
        return tuple(asked)

    def cancel(self, operation_id: str) -> bool:
        """Give up an operation that still waits for an offer; `on_operation_failed` tells when that is so.

        Returns:
            Whether there is such an operation. One whose ACCEPT has left goes on to its outcome.
        """
        followed = self._operations.get(OperationId(operation_id))
        if followed is not None:
            self.tell(followed.ref, m.CancelOperation())
        return followed is not None

    def _where(
        self, role: str | None, hosts: Texts, attributes: Pairs, agent_id: AgentId | None = None
    ) -> Where:
        """Check where something new is to be (ValueError: it cannot be there)."""
        roles = self.framework.roles
        role = roles[0] if role is None else CHECKS["role"]("role", role)
        if role not in roles:
            raise ValueError(f"the framework has no role {role!r} (it has {', '.join(roles)})")
        if role == "*":
            raise ValueError(
                "nothing can be reserved for the role '*': give the framework one of its own, as roles = "
                f'["{self.framework.name}"] in [framework]'
            )
        if agent_id is not None:
            agent_id = AgentId(CHECKS["role"]("agent_id", agent_id))
        return Where(
            role, CHECKS["hosts"]("hosts", hosts), CHECKS["attributes"]("attributes", attributes), agent_id
        )

    def _make(
        self, kind: m.ChangeKind, word: str, wanted: Resources, where: Where, **more: Any
    ) -> OperationId:
        """Ask for something new: a reservation or a volume."""
        order, drawn = self._drawn(word)
        labels = labels_for(self.framework.name, drawn)
        change = m.Change(kind, drawn, self.framework.principal or None, labels, **more)
        return self._ask(r.OperationSpec(drawn, order, where.role, change, wanted, *where[1:]))

    # --- volumes of tasks -------------------------------------------------------------------------------------

    def _check_volume(self, volume: Volume | str, role: str) -> None:
        """Refuse a task whose volume cannot be (ValueError)."""
        if isinstance(volume, Volume):
            self._where(role, (), ())
            return
        asked = (followed.spec for followed in self._operations.values())
        made = {spec.operation_id: spec.role for spec in asked if spec.change.kind is K.CREATE_VOLUME}
        whose = self._holdings[volume].role if volume in self._holdings else made.get(OperationId(volume))
        if whose is None:
            self._known(volume, volume=True)
        elif volume in self._holdings and self._holdings[volume].task_id is not None:
            raise ValueError(f"{volume} ends with its task {self._holdings[volume].task_id}")
        elif whose != role:
            raise ValueError(f"{volume} is reserved for the role {whose!r}, and the task is for {role!r}")

    def _volume_for(self, spec: r.TaskSpec, volume: Volume, room: Resources) -> r.OperationSpec:
        """What makes the volume of a task; nothing is asked for yet."""
        labels = labels_for(self.framework.name, spec.volume, spec.task_id)
        what = K.CREATE_VOLUME, spec.volume, self.framework.principal or None, labels, volume.path
        whose = None if volume.keep else spec.task_id
        change = m.Change(*what, 0.0, room, whose, volume.replace_after)
        disk = volume_disk(volume.size, volume.path)
        place = OperationId(spec.volume), spec.order, spec.role
        return r.OperationSpec(*place, change, disk, spec.hosts, spec.attributes)

    def _room_for(self, resources: Resources, executor: str) -> Resources:
        """What a task and its executor need beside the volume."""
        own = self.composition.executor(executor)
        return (
            resources + Resources.of(cpus=own.cpus, mem=own.mem, disk=own.disk)
            if own is not None
            else resources
        )

    def _free_volumes(self) -> None:
        """Destroy the volumes whose tasks have ended, unless they are kept; and give up making such ones."""
        for holding in self.holdings:
            if self._is_over(holding) and self._changing(holding.holding_id) is None:
                self._alter(K.DESTROY_VOLUME, holding)
        for spec, ref in self._operations.values():
            if spec.change.kind is K.CREATE_VOLUME and self._is_over(spec.change):
                self.tell(ref, m.CancelOperation())

    def _is_over(self, volume: m.Holding | m.Change) -> bool:
        whose = volume.task_id
        return whose is not None and self._volumes.get(whose) != volume.holding_id

    def _tear_down(self) -> None:
        """Free the volumes of tasks first: nobody could once the framework is gone and its store is cleared."""
        if not self._owned():
            super()._tear_down()
            return
        self.tell("offers", m.StopLaunching())
        self._freeing = True
        for task_id in tuple(self._volumes):
            self.kill(task_id)
        self._free_volumes()
        self.timers.after(FREE_PATIENCE, FreeingOverdue())

    def _owned(self) -> list[str]:
        """The volumes that end with their tasks, also those that are being made."""
        made = [
            spec.change.holding_id for spec, _ in self._operations.values() if spec.change.task_id is not None
        ]
        return [*made, *(each.holding_id for each in self.holdings if each.task_id is not None)]

    def _stop_freeing_if_done(self) -> None:
        if self._freeing and not self._owned():
            self._freeing = False
            super()._tear_down()

    @receive
    def handle_freeing_overdue(self, _due: FreeingOverdue) -> None:
        if self._freeing:
            self._freeing = False
            super()._tear_down()

    def _tell_what_stays(self) -> None:
        if self._holdings:
            what = ", ".join(f"{each.holding_id} on {each.hostname}" for each in self.holdings)
            logger.warning(
                "the framework has ended, and this stays reserved: %s. `mesostic uninstall` with the same configuration frees it",
                what,
            )

    @abstractmethod
    def kill(self, task_id: str, grace: float | None = None) -> bool:
        """End a task."""

    @receive
    def handle_leaked(self, told: m.Leaked) -> None:
        holding = told.holding
        while (
            holding.holding_id in self._holdings
        ):  # some of it is being freed already, and this was in use then
            holding = replace(holding, holding_id=f"more of {holding.holding_id}")
        self._leaked[holding.holding_id] = holding
        what = f"{holding.resources} on {holding.hostname} (agent {holding.agent_id})"
        if self.framework.leaked == "free":
            logger.warning("%s belongs to nothing of this framework, and is freed", what)
            self.free_leaked()
        else:
            logger.warning(
                "%s bears this framework's name and belongs to nothing of it; `free_leaked()`, [framework] leaked = "
                '"free" or `mesostic uninstall` frees it',
                what,
            )

    @receive
    def handle_holding_missing(self, told: m.HoldingMissing) -> None:
        """Make a new volume in place of one whose agent has gone; should it come back, its volume is found as leaked."""
        holding = self._holdings.get(told.holding_id)
        if holding is None or self._changing(told.holding_id) is not None:
            return
        logger.warning(
            "volume %s is lost: agent %s (%s) has offered nothing for %g s; its task gets a new, empty one",
            told.holding_id,
            holding.agent_id,
            holding.hostname,
            holding.replace_after or 0.0,
        )
        del self._holdings[told.holding_id]
        labels = holding.resources.entries[0].facts.reservations[-1].labels
        what = K.CREATE_VOLUME, told.holding_id, self.framework.principal or None, labels, holding.path
        change = m.Change(*what, 0.0, told.room, holding.task_id, holding.replace_after)
        order, drawn = self._drawn("volume")
        disk = Resources.of(disk=holding.resources.disk)
        spec = r.OperationSpec(drawn, order, holding.role, change, disk, told.hosts, told.attributes)
        records = (r.OPERATION_SPEC.record(spec.operation_id, spec),)
        self.tell("store", m.Write(records, (r.HOLDING.key(told.holding_id),)))
        self._follow(r.OperationHistory(spec.operation_id, spec))

    def _alter(
        self, kind: m.ChangeKind, holding: m.Holding, more: Resources = NOTHING, less: float = 0.0
    ) -> OperationId:
        """Ask for a change of something that there is, where it is."""
        order, drawn = self._drawn(kind.value.replace("_", "-"))
        change = m.Change(
            kind, holding.holding_id, self.framework.principal or None, less=less, task_id=holding.task_id
        )
        return self._ask(r.OperationSpec(drawn, order, holding.role, change, more, agent_id=holding.agent_id))

    def _drawn(self, word: str) -> tuple[int, OperationId]:
        """A place in the queue, and an id: also a framework of the same name whose store is lost has not used it."""
        order = self._next_order()
        return order, OperationId(f"{word}-{order}-{self.ids.uuid()[:8]}")

    def _known(self, holding_id: str, *, volume: bool) -> m.Holding:
        word = "volume" if volume else "reservation"
        known = self._holdings.get(CHECKS["role"](word, holding_id))
        if known is None or known.is_volume is not volume:
            there = ", ".join(each.holding_id for each in self.holdings if each.is_volume is volume)
            raise ValueError(f"there is no {word} {holding_id!r} (there are: {there or 'none'})")
        users = [task_id for task_id, volume in self._volumes.items() if volume == holding_id]
        if known.task_id is not None or users:
            raise ValueError(
                f"{holding_id} is the volume of task {known.task_id or users[0]}, which has not ended"
            )
        if (busy := self._changing(holding_id)) is not None:
            raise ValueError(f"{holding_id} is being changed by {busy}, which has no outcome yet")
        return known

    def _changing(self, holding_id: str) -> OperationId | None:
        specs = (followed.spec for followed in self._operations.values())
        return next((spec.operation_id for spec in specs if spec.change.holding_id == holding_id), None)

    @abstractmethod
    def _next_order(self) -> int:
        """The next place in the queue of demands."""

    @abstractmethod
    def _put(self, *records: m.Record) -> None:
        """Store something, together with the call of the hook that is running."""

    @abstractmethod
    def _see_if_done(self) -> None:
        """An operation has ended: it may have been the last thing that there was to do."""

    @abstractmethod
    def _tell_tasks_of_volume(self, holding_id: str, reason: str) -> None:
        """A volume cannot be made: its tasks have failed."""

    @abstractmethod
    def _store_called(self, *records: m.Record, gone: tuple[tuple[str, str], ...] = ()) -> None:
        """Store what the hook that has run has launched, with these changes."""

    @abstractmethod
    def _call_stored(
        self, hook: Callable[[Any], Any], event: object, called: Callable[[], None]
    ) -> Coroutine[Any, Any, None] | None:
        """Call a hook, then `called`, which stores that with what the hook launched."""

    # --- the life of operations -------------------------------------------------------------------------------

    def _ask(self, spec: r.OperationSpec) -> OperationId:
        self._put(r.OPERATION_SPEC.record(spec.operation_id, spec))
        self._follow(r.OperationHistory(spec.operation_id, spec))
        return spec.operation_id

    def _follow(self, history: r.OperationHistory) -> None:
        spec = history.spec
        assert spec is not None
        name = f"{m.OPERATION_PREFIX}{spec.operation_id}"
        self._tell_broker(spec.change.holding_id, changing=True)
        self._operations[spec.operation_id] = Followed(spec, self.spawn(OperationActor, history, name=name))

    def _tell_broker(self, holding_id: str, *, changing: bool) -> None:
        if self.system.find("offers") is not None:  # else it is told when it starts
            self.tell("offers", m.KnowHolding(holding_id, self._holdings.get(holding_id), changing))

    def _take_operations_over(self, records: tuple[m.Record, ...]) -> None:
        self._operations_before = r.operation_histories(records)
        self._holdings = r.HOLDING.read(records)

    def _continue_operations(self) -> None:
        self._tell_broker_all()
        known, self._operations_before = self._operations_before, ()
        for history in known:
            self._follow(history)
        self._free_volumes()

    def _tell_broker_all(self) -> None:
        """After its start: what there is, and what is about to change."""
        changed = {followed.spec.change.holding_id for followed in self._operations.values()}
        for holding_id in {*self._holdings, *changed}:
            self._tell_broker(holding_id, changing=holding_id in changed)

    def _tell_operations(self, news: object) -> None:
        for followed in self._operations.values():
            self.tell(followed.ref, news)

    def _operation_stored(self, status: OperationStatus) -> Any:
        """Acknowledge, then tell the author, and the operation's actor; what was not told is told by the next run."""
        self._acknowledge_operation(status)
        split = r.split_attempt_id(TaskId(status.operation_id or ""))
        followed = self._operations.get(OperationId(split[0])) if split is not None else None

        def called() -> None:
            if followed is not None:  # what is stored of it goes with its outcome
                self._store_called()
                self.tell(followed.ref, events.UpdateOperationStatus(status))
            else:
                known = status.operation_id
                self._store_called(gone=() if known is None else (r.OPERATION.key(known),))

        return self._call_stored(self.on_operation_update, status, called)

    @receive
    def handle_operation_done(self, done: m.OperationDone) -> Any:
        """Tell the author the outcome; then, in one transaction, forget the operation and store what there is now."""
        followed = self._operations.pop(done.operation_id, None)
        if followed is None:
            return None
        spec, change = followed.spec, followed.spec.change
        followed.ref.stop(block=False)
        finished = done.phase == r.OperationPhase.FINISHED.value
        records: tuple[m.Record, ...] = ()
        gone = r.all_records_of_operation(done.operation_id, done.attempts)
        if finished and done.holding is not None:
            self._holdings[change.holding_id] = done.holding
            records = (r.HOLDING.record(change.holding_id, done.holding),)
        elif finished:
            self._holdings.pop(change.holding_id, None)
            gone = (*gone, r.HOLDING.key(change.holding_id))
        elif (kept := self._holdings.get(change.holding_id)) is not None and kept.task_id is not None:
            # It cannot be destroyed: from now on it is the author's, and not tried again and again.
            kept = self._holdings[change.holding_id] = replace(kept, task_id=None)
            records = (r.HOLDING.record(change.holding_id, kept),)
        self._tell_broker(change.holding_id, changing=self._changing(change.holding_id) is not None)

        def called() -> None:
            if done.holding is not None and change.kind is K.SHRINK_VOLUME:
                self._give_surplus_back(spec, done.holding)
            self._free_volumes()
            self._store_called(*records, gone=gone)
            self._see_if_done()
            self._stop_freeing_if_done()

        what, where = (done.operation_id, change.kind, change.holding_id), (done.agent_id, done.hostname)
        hook: Callable[[Any], Any] = self.on_operation_finished
        event: m.OperationFinished | m.OperationFailure = m.OperationFinished(*what, done.holding, *where)
        if not finished:
            why = done.message or f"Mesos says {done.state or 'nothing'} of it"
            logger.warning("%s failed: %s", done.operation_id, why)
            hook, event = self.on_operation_failed, m.OperationFailure(*what, *where, done.state, why)
            if change.kind is K.CREATE_VOLUME:
                self._tell_tasks_of_volume(change.holding_id, f"its volume cannot be made: {why}")
        if change.task_id is not None:  # the author hears of the task
            return self._call_stored(lambda _event: None, event, called)
        return self._call_stored(hook, event, called)

    def _give_surplus_back(self, spec: r.OperationSpec, shrunk: m.Holding) -> None:
        rest = surplus(shrunk, spec.change.less, spec.operation_id)
        self._holdings[rest.holding_id] = rest
        self._put(r.HOLDING.record(rest.holding_id, rest))
        self._alter(K.UNRESERVE, rest)

    def _operation_lost(self, operation_id: OperationId, failure: ChildFailed) -> Any:
        """An operation's actor has failed: what became of it nobody will know."""
        logger.error("%s failed: %s\n%s", failure.name, failure.error, failure.traceback_text)
        if operation_id in self._operations:
            why = f"its actor failed: {failure.error}"
            lost = m.OperationDone(operation_id, r.OperationPhase.LOST.value, message=why)
            self.tell(self.actor_ref, lost)
        return self._call(self.on_error, f"{failure.name} failed: {failure.error}")
