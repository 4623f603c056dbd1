"""ACCEPT: operations in their order, each on what the ones before it left of the offers; the rest is declined.

Mesos documentation, "Scheduler HTTP API" (ACCEPT). What goes wrong is told per operation: TASK_ERROR, TASK_DROPPED or
TASK_LOST for launches, OPERATION_ERROR for others if they have an id.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mesos_v1 import pb
from mesos_v1.errors import OperationError
from mesos_v1.operations import consumed_by, inject_allocation
from mesos_v1.resources import Resources
from playa import messages
from playa.master.allocation import formats, offering
from playa.master.allocation.filters import refusal
from playa.master.operations import operating, operation_validation
from playa.master.records import Agent, Framework, OfferRecord
from playa.master.scheduler_api import events, task_validation, tasks
from playa.master.state import MasterState

_Operation = pb.mesos.Offer.Operation
_LAUNCHES = (_Operation.LAUNCH, _Operation.LAUNCH_GROUP)


@dataclass(slots=True)
class _Left:
    """What the next operation sees, and what comes back that was not offered like this."""

    remaining: Resources
    resized: Resources


def accept(m: MasterState, framework: Framework, call: pb.scheduler.Call.Accept) -> None:
    """Carry an ACCEPT out."""
    _count(m, call)
    wrong = _wrong_offers(m, framework, [o.value for o in call.offer_ids])
    if wrong is not None:
        _refuse_all(m, framework, call, wrong)
        return
    offers = [m.offers[offer_id.value] for offer_id in call.offer_ids]
    agent = m.agents[offers[0].agent_id]
    if not agent.connected:
        _agent_disconnected(m, framework, call)
        return
    offered = Resources()
    for offer in offers:
        offered = offered + offer.resources
        offering.forget_offer(m, offer)
    framework.counts["offers/accepted"] += len(offers)
    left = _Left(Resources(tuple(formats.in_offer_order(offered))), Resources())
    for operation in _readable(m, framework, call.operations, offers[0].role):
        _carry_out(m, framework, agent, operation, left)
    _give_back(m, framework, agent, left, offered=offered, filters=call.filters)


def _count(m: MasterState, call: pb.scheduler.Call.Accept) -> None:
    for operation in call.operations:
        if operation.type == _Operation.LAUNCH:
            has_tasks = bool(operation.launch.task_infos)
            m.counts["messages_launch_tasks" if has_tasks else "messages_decline_offers"] += 1


def _give_back(
    m: MasterState,
    framework: Framework,
    agent: Agent,
    left: _Left,
    *,
    offered: Resources,
    filters: pb.mesos.Filters,
) -> None:
    """Return what no operation used: what was offered is refused for a while, what is new is not."""
    everything = left.remaining + left.resized
    new = everything - offered
    declined = left.remaining - new
    now = m.ports.now()
    m.allocator.recover(framework.id, agent.id, new)
    m.allocator.recover(framework.id, agent.id, declined, now=now, refuse_seconds=refusal(filters))


# --- offers that are not valid --------------------------------------------------------------------------------


def _wrong_offers(m: MasterState, framework: Framework, offer_ids: list[str]) -> str | None:
    if not offer_ids:
        return "No offers specified"
    seen: set[str] = set()
    for offer_id in offer_ids:
        if offer_id in seen:
            return f"Duplicate offer {offer_id} in offer list"
        seen.add(offer_id)
    first: OfferRecord | None = None
    for offer_id in offer_ids:
        offer = m.offers.get(offer_id)
        if offer is None:
            return f"Offer {offer_id} is no longer valid"
        if offer.framework_id != framework.id:
            return (
                f"Offer {offer_id} has invalid framework {offer.framework_id} "
                f"while framework {framework.id} is expected"
            )
        first = first or offer
        if offer.role != first.role:
            return (
                f"Aggregated offers must be allocated to the same role. Offer {offer_id} uses role "
                f"'{offer.role} but another is using role '{first.role}"
            )
        if offer.agent_id != first.agent_id:
            return (
                f"Aggregated offers must belong to one single agent. Offer {offer_id} uses agent "
                f"{offer.agent_id} and agent {first.agent_id}"
            )
    return None


def _refuse_all(m: MasterState, framework: Framework, call: pb.scheduler.Call.Accept, wrong: str) -> None:
    for offer_id in call.offer_ids:
        offer = m.offers.get(offer_id.value)
        if offer is not None:
            offering.discard(m, offer)
    state = "TASK_DROPPED" if framework.partition_aware else "TASK_LOST"
    for operation in call.operations:
        if operation.type in _LAUNCHES:
            text = f"Task launched with invalid offers: {wrong}"
            _tell(m, framework, _tasks_of(operation), state, text=text, reason="REASON_INVALID_OFFERS")
        else:
            operating.drop(m, framework, operation, f"Operation attempted with invalid offers: {wrong}")


def _agent_disconnected(m: MasterState, framework: Framework, call: pb.scheduler.Call.Accept) -> None:
    state = "TASK_DROPPED" if framework.partition_aware else "TASK_LOST"
    for operation in call.operations:
        if operation.type in _LAUNCHES:
            infos = _tasks_of(operation)
            _tell(m, framework, infos, state, text="Agent disconnected", reason="REASON_AGENT_DISCONNECTED")
    for offer_id in call.offer_ids:
        offer = m.offers.get(offer_id.value)
        if offer is not None:
            offering.discard(m, offer)


def _tell(
    m: MasterState,
    framework: Framework,
    infos: Iterable[pb.mesos.TaskInfo],
    state: str,
    *,
    text: str,
    reason: str,
) -> None:
    for info in infos:
        m.counts[state.lower().replace("task_", "tasks_")] += 1
        status = events.task_status(
            task_id=info.task_id.value,
            state=state,
            now=m.ports.now(),
            text=text,
            reason=reason,
            agent_id=info.agent_id.value,
        )
        tasks.forward(m, framework, status)


def _tasks_of(operation: pb.mesos.Offer.Operation) -> list[pb.mesos.TaskInfo]:
    if operation.type == _Operation.LAUNCH:
        return list(operation.launch.task_infos)
    return list(operation.launch_group.task_group.tasks)


# --- operations -----------------------------------------------------------------------------------------------


def _readable(
    m: MasterState, framework: Framework, operations: Iterable[pb.mesos.Offer.Operation], role: str
) -> list[pb.mesos.Offer.Operation]:
    """The operations that can be read, completed with what the framework may leave out."""
    result = []
    for operation in operations:
        wrong = _unreadable(operation)
        if wrong is None:
            complete = inject_allocation(operation, role)
            _complete(complete, framework)
            result.append(complete)
        elif operation.type in _LAUNCHES:
            is_group = operation.type == _Operation.LAUNCH_GROUP
            reason = "REASON_TASK_GROUP_INVALID" if is_group else "REASON_TASK_INVALID"
            _tell(m, framework, _tasks_of(operation), "TASK_ERROR", text=wrong, reason=reason)
        elif operation.type != _Operation.UNKNOWN:
            text = f"Operation attempted with invalid resources: {wrong}"
            operating.drop(m, framework, operation, text)
    return result


def _unreadable(operation: pb.mesos.Offer.Operation) -> str | None:
    wrong = operation_validation.unreadable(operation)
    if wrong is not None:
        return wrong
    if operation.type in _LAUNCHES:
        name = _Operation.Type.Name(operation.type)
        return f"The `id` field cannot be set on {name} operations" if operation.HasField("id") else None
    if operation.reserve.source:
        return "Reservation updates are not yet implemented for the scheduler API."
    return None


def _complete(operation: pb.mesos.Offer.Operation, framework: Framework) -> None:
    """Fill in what frameworks may leave out, in place."""
    for info in operation.launch.task_infos:
        formats.to_new_form(info.resources)
        if info.HasField("executor"):
            formats.to_new_form(info.executor.resources)
            if not info.executor.HasField("framework_id"):
                info.executor.framework_id.value = framework.id
        check = info.health_check
        if info.HasField("health_check") and not check.HasField("type"):
            if check.HasField("command") and not check.HasField("http"):
                check.type = pb.mesos.HealthCheck.COMMAND
            elif check.HasField("http") and not check.HasField("command"):
                check.type = pb.mesos.HealthCheck.HTTP
    if operation.type == _Operation.LAUNCH_GROUP:
        executor = operation.launch_group.executor
        formats.to_new_form(executor.resources)
        for info in operation.launch_group.task_group.tasks:
            formats.to_new_form(info.resources)
            if not info.HasField("executor"):
                info.executor.CopyFrom(executor)


def _carry_out(
    m: MasterState, framework: Framework, agent: Agent, operation: pb.mesos.Offer.Operation, left: _Left
) -> None:
    if operation.type == _Operation.LAUNCH:
        for info in operation.launch.task_infos:
            _launch(m, framework, agent, info, left)
    elif operation.type == _Operation.LAUNCH_GROUP:
        _launch_group(m, framework, agent, operation.launch_group, left)
    else:
        _convert(m, framework, agent, operation, left)


def _launch(m: MasterState, framework: Framework, agent: Agent, info: pb.mesos.TaskInfo, left: _Left) -> None:
    wrong = task_validation.task(info, framework, agent, left.remaining)
    if wrong is not None:
        _tell(m, framework, [info], "TASK_ERROR", text=wrong, reason="REASON_TASK_INVALID")
        return
    if info.HasField("executor"):
        _ensure_executor(framework, agent, info.executor, left)
    _consume(m, framework, agent, tasks.add_task(m, framework, agent, info).resources, left)
    framework.counts["operations/launch"] += 1
    framework.counts["operations"] += 1
    m.to_agent(agent, messages.RunTask(framework.info.SerializeToString(), info.SerializeToString()))


def _launch_group(
    m: MasterState,
    framework: Framework,
    agent: Agent,
    launch: pb.mesos.Offer.Operation.LaunchGroup,
    left: _Left,
) -> None:
    wrong = task_validation.group(launch.executor, launch.task_group, framework, agent, left.remaining)
    if wrong is not None:
        _tell(
            m,
            framework,
            launch.task_group.tasks,
            "TASK_ERROR",
            text=wrong,
            reason="REASON_TASK_GROUP_INVALID",
        )
        return
    _ensure_executor(framework, agent, launch.executor, left)
    for info in launch.task_group.tasks:
        _consume(m, framework, agent, tasks.add_task(m, framework, agent, info).resources, left)
    framework.counts["operations/launch_group"] += 1
    framework.counts["operations"] += 1
    message = messages.RunTaskGroup(
        framework.info.SerializeToString(),
        launch.executor.SerializeToString(),
        launch.task_group.SerializeToString(),
    )
    m.to_agent(agent, message)


def _ensure_executor(framework: Framework, agent: Agent, info: pb.mesos.ExecutorInfo, left: _Left) -> None:
    if (framework.id, info.executor_id.value) not in agent.executors:
        left.remaining = left.remaining - tasks.add_executor(framework, agent, info).resources


def _consume(m: MasterState, framework: Framework, agent: Agent, used: Resources, left: _Left) -> None:
    """Take a task's resources; a shared volume stays there for the next task, as one more copy."""
    shared = used.shared()
    left.remaining = left.remaining - used + shared
    if shared:
        m.allocator.take(framework.id, agent.id, shared)


def _convert(
    m: MasterState, framework: Framework, agent: Agent, operation: pb.mesos.Offer.Operation, left: _Left
) -> None:
    """RESERVE … DESTROY_DISK: what is there becomes something else."""
    principal = framework.info.principal if framework.info.HasField("principal") else None
    wrong = operation_validation.problem(operation, framework, agent, principal)
    if wrong is not None:
        operating.drop(m, framework, operation, f"{wrong}; on agent {agent.printed}")
        return
    if operation.type == _Operation.DESTROY:
        _rescind_volumes(m, agent, operating.volumes_in(operation))
    try:
        after = left.remaining.apply(operation)
    except OperationError as error:
        operating.drop(m, framework, operation, str(error))
        return
    consumed = consumed_by(operation)
    converted = after - (left.remaining - consumed)
    operating.start(m, framework, agent, operation)
    m.allocator.convert(framework.id, agent.id, consumed, converted)
    agent.total = m.allocator.total(agent.id)
    if operation.type in operation_validation.RESIZES:  # not for the operations after it (MESOS-4791)
        left.remaining = left.remaining - consumed
        left.resized = left.resized + converted
    else:
        left.remaining = after


def _rescind_volumes(m: MasterState, agent: Agent, volumes: Resources) -> None:
    """Shared volumes may be in others' offers: take those back before a volume is destroyed."""
    for offer in list(agent.offers.values()):
        if any(offer.resources.unallocate().contains(volume) for volume in volumes.unallocate()):
            offering.rescind(m, offer)
