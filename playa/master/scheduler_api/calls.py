"""The scheduler API's calls: who may make them, what carries each of them out, and ACCEPT.

Mesos documentation, "Scheduler HTTP API". What is checked comes in Mesos's order, as a call that is wrong in two ways gets one
answer. Everything but SUBSCRIBE and UPDATE_FRAMEWORK is answered 202 before its effect shows. The operations of an ACCEPT
are carried out in their order, each on what the ones before it left of the offers; the rest is declined. What goes wrong is
told per operation: TASK_ERROR, TASK_DROPPED or TASK_LOST for launches, OPERATION_ERROR for others if they have an id.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mesos_v1 import pb
from mesos_v1.errors import OperationError
from mesos_v1.operations import inject_allocation
from mesos_v1.resources import Resources, consumed_by, tasks_of
from playa import messages
from playa.master.agents import draining
from playa.master.allocation import offers, resource_forms
from playa.master.http_site import ApiRequest, SiteAnswer, StreamOpened
from playa.master.records import Agent, Framework
from playa.master.scheduler_api import frameworks, operations, tasks
from playa.master.state import MasterState
from playa.master.validation import operations as operation_validation
from playa.master.validation.calls import other_principal, scheduler_call
from playa.master.validation.rules import Rows, validator, within
from playa.web import Refused, chosen_type, parse_message, refuse

Call = pb.scheduler.Call
Operation = pb.mesos.Offer.Operation
_LAUNCHES = (Operation.LAUNCH, Operation.LAUNCH_GROUP)
_INVALID = {Operation.LAUNCH: "REASON_TASK_INVALID", Operation.LAUNCH_GROUP: "REASON_TASK_GROUP_INVALID"}


def handle(m: MasterState, request: ApiRequest) -> SiteAnswer | StreamOpened:
    """Answer a call."""
    call = parse_message(request.body, request.content_type, Call)
    refuse(within("Failed to validate scheduler::Call", scheduler_call(call, request.principal)))
    if call.type == Call.SUBSCRIBE:
        content_type = chosen_type(request.accept)
        if request.stream_id is not None:
            raise Refused(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header")
        stream_id = m.ports.open_stream(content_type)
        frameworks.subscribe(m, call.subscribe, stream_id, request.principal)
        return StreamOpened(stream_id)
    if call.type == Call.RECONCILE_OPERATIONS:
        chosen_type(request.accept)
    if call.type == Call.ACCEPT and _goes_wrong(m, call.accept):
        return SiteAnswer(202)
    return carry_out(m, call, request.stream_id, request.principal)


def _goes_wrong(m: MasterState, call: Call.Accept) -> bool:
    """Faults of an ACCEPT on its way; returns whether the call is lost."""
    if m.ports.count_down("lose_accepts"):
        return True
    if m.ports.count_down("rescind_accepts"):
        for offer_id in call.offer_ids:
            offers.offer_timed_out(m, offer_id.value)
    return False


def carry_out(m: MasterState, call: Call, stream_id: str | None, principal: str | None) -> SiteAnswer:
    """Carry out a call other than SUBSCRIBE that is valid in itself."""
    framework = m.frameworks.get(call.framework_id.value)
    if framework is None:
        raise Refused(400, "Framework cannot be found")
    name = Call.Type.Name(call.type).lower()
    framework.counts["calls"] += 1
    framework.counts[f"calls/{name}"] += 1
    refuse(other_principal(principal, framework.info))
    if not framework.connected:
        raise Refused(403, "Framework is not subscribed")
    refuse(_stream_problem(framework, stream_id))
    act, counted = _CALLS[name]
    if counted is not None:
        m.counts[f"messages_{counted}"] += 1
    asked: Any = getattr(call, name, None)
    act(m, framework, asked)
    if name.startswith("acknowledge") and asked.agent_id.value in m.agents:
        draining.check(m, m.agents[asked.agent_id.value])  # it may have waited for this
    return SiteAnswer(200 if name == "update_framework" else 202)


@validator
def _stream_problem(framework: Framework, stream_id: str | None) -> Rows:
    yield stream_id is None and "All non-subscribe calls should include the 'Mesos-Stream-Id' header"
    yield stream_id != framework.stream_id and (
        f"The stream ID '{stream_id}' included in this request didn't match the stream ID currently "
        f"associated with framework ID {framework.id}"
    )


_Tasks = Iterable[pb.mesos.TaskInfo]


@dataclass(slots=True)
class _Acceptance:
    """Whose it is and where, what the next operation sees, and what comes back that was not offered like this."""

    m: MasterState
    framework: Framework
    agent: Agent
    remaining: Resources
    resized: Resources


def _accept(m: MasterState, framework: Framework, call: Call.Accept) -> None:
    """Carry an ACCEPT out."""
    for operation in call.operations:
        if operation.type == Operation.LAUNCH:
            has_tasks = bool(operation.launch.task_infos)
            m.counts["messages_launch_tasks" if has_tasks else "messages_decline_offers"] += 1
    wrong = _wrong_offers(m, framework, [o.value for o in call.offer_ids])
    if wrong is not None:
        _refuse_all(m, framework, call, f"with invalid offers: {wrong}")
        return
    accepted = [m.offers[offer_id.value] for offer_id in call.offer_ids]
    agent = m.agents[accepted[0].agent_id]
    offered = sum((offer.resources for offer in accepted), Resources())
    for offer in accepted:
        offers.forget_offer(m, offer)
    framework.counts["offers/accepted"] += len(accepted)
    in_order = Resources(tuple(resource_forms.in_offer_order(offered)))
    acceptance = _Acceptance(m, framework, agent, in_order, Resources())
    for operation in _readable(m, framework, call.operations, accepted[0].role):
        _carry_out(acceptance, operation)
    # What was offered is refused for a while, what is new is not.
    new, now = acceptance.remaining + acceptance.resized - offered, m.ports.now()
    refused, seconds = acceptance.remaining - new, offers.refusal(call.filters)
    m.allocator.recover(framework.id, agent.id, new)
    m.allocator.recover(framework.id, agent.id, refused, now=now, refuse_for=seconds)


@validator
def _wrong_offers(m: MasterState, framework: Framework, offer_ids: list[str]) -> Rows:
    yield not offer_ids and "No offers specified"
    seen: set[str] = set()
    for offer_id in offer_ids:
        yield offer_id in seen and f"Duplicate offer {offer_id} in offer list"
        seen.add(offer_id)
    for offer_id in offer_ids:
        offer = m.offers.get(offer_id)
        if offer is None:
            yield f"Offer {offer_id} is no longer valid"
            return
        yield offer.framework_id != framework.id and (
            f"Offer {offer_id} has invalid framework {offer.framework_id} "
            f"while framework {framework.id} is expected"
        )
        first = m.offers[offer_ids[0]]
        yield offer.role != first.role and (
            f"Aggregated offers must be allocated to the same role. Offer {offer_id} uses role "
            f"'{offer.role} but another is using role '{first.role}"
        )
        yield offer.agent_id != first.agent_id and (
            f"Aggregated offers must belong to one single agent. Offer {offer_id} uses agent "
            f"{offer.agent_id} and agent {first.agent_id}"
        )


def _refuse_all(m: MasterState, framework: Framework, call: Call.Accept, why: str) -> None:
    """Drop all operations, and discard those offers that there are."""
    for offer_id in call.offer_ids:
        if offer_id.value in m.offers:
            offers.discard(m, m.offers[offer_id.value])
    state = "TASK_DROPPED" if framework.partition_aware else "TASK_LOST"
    for operation in call.operations:
        if operation.type in _LAUNCHES:
            text = f"Task launched {why}"
            _tell(m, framework, tasks_of(operation), state, text, reason="REASON_INVALID_OFFERS")
        else:
            operations.drop(m, framework, operation, f"Operation attempted {why}")


def _tell(m: MasterState, framework: Framework, infos: _Tasks, state: str, text: str, *, reason: str) -> None:
    for info in infos:
        m.counts[state.lower().replace("task_", "tasks_")] += 1
        task_id, agent_id = info.task_id.value, info.agent_id.value
        status = tasks.task_status(m, state, text, reason, task_id=task_id, agent_id=agent_id)
        tasks.forward(m, framework, status)


def _readable(m: MasterState, framework: Framework, asked: Iterable[Operation], role: str) -> list[Operation]:
    """The operations that can be read, completed with what the framework may leave out."""
    result = []
    for operation in asked:
        wrong = _unreadable(operation)
        if wrong is None:
            result.append(_complete(inject_allocation(operation, role), framework))
        elif operation.type in _LAUNCHES:
            _tell(m, framework, tasks_of(operation), "TASK_ERROR", wrong, reason=_INVALID[operation.type])
        elif operation.type != Operation.UNKNOWN:
            text = f"Operation attempted with invalid resources: {wrong}"
            operations.drop(m, framework, operation, text)
    return result


@validator
def _unreadable(operation: Operation) -> Rows:
    yield operation_validation.unreadable(operation)
    if operation.type in _LAUNCHES:
        name = Operation.Type.Name(operation.type)
        yield operation.HasField("id") and f"The `id` field cannot be set on {name} operations"
    elif operation.reserve.source:
        yield "Reservation updates are not yet implemented for the scheduler API."


def _complete(operation: Operation, framework: Framework) -> Operation:
    """Fill in what frameworks may leave out, in place."""
    for info in tasks_of(operation):
        resource_forms.to_new_form(info.resources)
    for info in operation.launch.task_infos:
        resource_forms.to_new_form(info.executor.resources)
        if info.HasField("executor") and not info.executor.HasField("framework_id"):
            info.executor.framework_id.value = framework.id
        check = info.health_check
        if check.HasField("command") != check.HasField("http") and not check.HasField("type"):
            is_command = check.HasField("command")
            check.type = pb.mesos.HealthCheck.COMMAND if is_command else pb.mesos.HealthCheck.HTTP
    group = operation.launch_group
    resource_forms.to_new_form(group.executor.resources)
    for info in group.task_group.tasks:
        if not info.HasField("executor"):
            info.executor.CopyFrom(group.executor)
    return operation


def _carry_out(left: _Acceptance, operation: Operation) -> None:
    if operation.type not in _LAUNCHES:
        _convert(left, operation)
    elif operation.type == Operation.LAUNCH_GROUP:
        launch = operation.launch_group
        wrong = operation_validation.group(launch, left.framework, left.agent, left.remaining)
        _launch(left, operation, tasks_of(operation), launch.executor, wrong)
    else:
        for info in operation.launch.task_infos:
            wrong = operation_validation.task(info, left.framework, left.agent, left.remaining)
            _launch(left, operation, [info], info.executor if info.HasField("executor") else None, wrong)


def _launch(
    left: _Acceptance,
    operation: Operation,
    infos: list[pb.mesos.TaskInfo],
    executor: pb.mesos.ExecutorInfo | None,
    wrong: str | None,
) -> None:
    """Launch a task, or a task group, with an executor that may be there already."""
    m, framework, agent = left.m, left.framework, left.agent
    if wrong is not None:
        _tell(m, framework, infos, "TASK_ERROR", wrong, reason=_INVALID[operation.type])
        return
    if executor is not None and (framework.id, executor.executor_id.value) not in agent.executors:
        left.remaining = left.remaining - tasks.add_executor(framework, agent, executor).resources
    for info in infos:
        used = tasks.add_task(m, framework, agent, info).resources
        shared = used.shared()  # stays there for the next task, as one more copy
        left.remaining = left.remaining - used + shared
        if shared:
            m.allocator.take(framework.id, agent.id, shared)
    operations.count(framework, operation)
    owner = framework.info.SerializeToString()
    if operation.type == Operation.LAUNCH:
        m.to_agent(agent, messages.RunTask(owner, infos[0].SerializeToString()))
    else:
        launch = operation.launch_group
        group = (launch.executor.SerializeToString(), launch.task_group.SerializeToString())
        m.to_agent(agent, messages.RunTaskGroup(owner, *group))


def _convert(left: _Acceptance, operation: Operation) -> None:
    """RESERVE … DESTROY_DISK: what is there becomes something else."""
    m, framework, agent = left.m, left.framework, left.agent
    principal = framework.info.principal if framework.info.HasField("principal") else None
    wrong = operation_validation.problem(operation, framework, agent, principal)
    if wrong is not None:
        operations.drop(m, framework, operation, f"{wrong}; on agent {agent.printed}")
        return
    if operation.type == Operation.DESTROY:  # shared volumes may be in others' offers
        volumes = Resources.from_proto(operation.destroy.volumes).unallocate()
        for offer in list(agent.offers.values()):
            if any(offer.resources.unallocate().contains(volume) for volume in volumes):
                offers.rescind(m, offer)
    try:
        after = left.remaining.apply(operation)
    except OperationError as error:
        operations.drop(m, framework, operation, str(error))
        return
    consumed = consumed_by(operation)
    converted = after - (left.remaining - consumed)
    operations.start(m, framework, agent, operation)
    m.allocator.convert(framework.id, agent, consumed, converted)
    if operation.type in operation_validation.RESIZES:  # not for the operations after it (MESOS-4791)
        left.remaining = left.remaining - consumed
        left.resized = left.resized + converted
    else:
        left.remaining = after


# By the name of the call's field, which is handed on (TEARDOWN has none); with the metric that counts it. The
# hierarchical allocator of Mesos does not act on a REQUEST either.
_CALLS: dict[str, tuple[Callable[[MasterState, Framework, Any], object], str | None]] = {
    "teardown": (lambda m, framework, _: frameworks.remove(m, framework), "unregister_framework"),
    "update_framework": (frameworks.update_framework, None),
    "accept": (_accept, None),
    "decline": (offers.decline, "decline_offers"),
    "accept_inverse_offers": (offers.answer_inverse_offers, None),
    "decline_inverse_offers": (offers.answer_inverse_offers, None),
    "revive": (frameworks.revive, "revive_offers"),
    "suppress": (frameworks.suppress, "suppress_offers"),
    "kill": (tasks.kill, "kill_task"),
    "shutdown": (tasks.shutdown_executor, None),
    "acknowledge": (tasks.acknowledge, "status_update_acknowledgement"),
    "acknowledge_operation_status": (operations.acknowledge, "operation_status_update_acknowledgement"),
    "reconcile": (tasks.reconcile, "reconcile_tasks"),
    "reconcile_operations": (operations.reconcile, "reconcile_operations"),
    "message": (tasks.send_message, "framework_to_executor"),
    "request": (lambda *_: None, "resource_request"),
}
