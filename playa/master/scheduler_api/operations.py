"""Operations on resources: applying them, their status, acknowledgement and reconciliation.

Mesos documentation, "Operation Feedback", "Reservation", "Persistent Volumes". All operations that the embedded cluster
knows are speculative: the master takes for granted that the agent will apply them, and continues with the result.
An operation with an id is kept until its final status is acknowledged; one without is forgotten when it is final.
"""

from itertools import zip_longest

from mesos_v1 import pb
from playa import messages
from playa.master.records import TERMINAL_OPERATION_STATES, Agent, Framework, OperationRecord, new
from playa.master.state import MasterState

Operation = pb.mesos.Offer.Operation
Call = pb.scheduler.Call


def drop(m: MasterState, framework: Framework, operation: Operation, why: str) -> None:
    """Refuse an operation; the framework hears of it only if the operation has an id."""
    m.counts[f"operations/{operation_name(operation)}/error"] += 1
    if operation.HasField("id"):
        _tell(m, framework, _status("OPERATION_ERROR", why, operation_id=operation.id.value))


def operation_name(operation: Operation) -> str:
    """`reserve`, `create_disk`, … as metrics name them."""
    return Operation.Type.Name(operation.type).lower()


def _status(state: str, text: str, **ids: str | None) -> pb.mesos.OperationStatus:
    """A status of an operation that the master makes, without a uuid."""
    known = {name: {"value": value} for name, value in ids.items() if value is not None}
    return new(pb.mesos.OperationStatus, state=state, message=text, **known)


def _tell(m: MasterState, framework: Framework, status: pb.mesos.OperationStatus) -> None:
    m.send(framework, "update_operation_status", status=status)


def start(m: MasterState, framework: Framework | None, agent: Agent, operation: Operation) -> None:
    """Send an operation to its agent; its effect on the allocator is the caller's business."""
    uuid = m.ports.uuid_bytes()
    operation_id = operation.id if operation.HasField("id") else None
    proto = new(
        pb.mesos.Operation,
        framework_id=None if framework is None else {"value": framework.id},
        agent_id={"value": agent.id},
        info=operation,
        latest_status={"state": "OPERATION_PENDING", "operation_id": operation_id},
        uuid={"value": uuid},
    )
    if framework is not None:
        count(framework, operation)
    index(agent, framework, OperationRecord(proto, agent.id))
    message = messages.ApplyOperation(proto.framework_id.value, operation.SerializeToString(), uuid)
    m.to_agent(agent, message)


def count(framework: Framework, operation: Operation) -> None:
    """An operation of a framework was carried out."""
    framework.counts[f"operations/{operation_name(operation)}"] += 1
    framework.counts["operations"] += 1


def index(agent: Agent, framework: Framework | None, record: OperationRecord) -> None:
    """Make an operation findable by its agent and its framework."""
    agent.operations[record.uuid] = record
    if framework is not None:
        framework.operations[record.uuid] = record


def remove(m: MasterState, record: OperationRecord) -> None:
    """Forget an operation."""
    for holder in (m.agents.get(record.agent_id), m.frameworks.get(record.proto.framework_id.value)):
        if holder is not None:
            holder.operations.pop(record.uuid, None)


def operation_update(m: MasterState, message: messages.OperationUpdate) -> None:
    """An agent reports on an operation (perhaps again)."""
    m.counts["messages_operation_status_update"] += 1
    agent = m.agents.get(message.agent_id)
    record = agent.operations.get(message.operation_uuid) if agent is not None else None
    m.count_valid("operation_status_updates", record is not None)
    if agent is None:
        return
    status = pb.mesos.OperationStatus.FromString(message.status)
    of = message.framework_id if record is None else record.proto.framework_id.value
    framework = m.frameworks.get(of)
    if record is None:
        if framework is not None:
            _tell(m, framework, status)
        return
    _apply_status(m, record, pb.mesos.OperationStatus.FromString(message.latest_status))
    is_acknowledged = not status.HasField("uuid")  # or needs to be
    if record.id is not None and framework is not None and not record.orphan:
        status.operation_id.value = record.id
        _tell(m, framework, status)
    elif not is_acknowledged:  # by the master, as there is no scheduler that will
        is_acknowledged = True
        ids = (of, message.operation_uuid, status.uuid.value)
        m.to_agent(agent, messages.OperationAcknowledged(*ids))
    if is_acknowledged and record.proto.latest_status.state in TERMINAL_OPERATION_STATES:
        remove(m, record)


def _apply_status(m: MasterState, record: OperationRecord, status: pb.mesos.OperationStatus) -> None:
    proto = record.proto
    if record.id is not None:
        status.operation_id.value = record.id
    if proto.latest_status.state not in TERMINAL_OPERATION_STATES:
        proto.latest_status.CopyFrom(status)
        if status.state in TERMINAL_OPERATION_STATES:
            kind = pb.mesos.OperationState.Name(status.state).removeprefix("OPERATION_").lower()
            m.counts[f"operations/{operation_name(proto.info)}/{kind}"] += 1
    if not proto.statuses or proto.statuses[-1] != status:
        proto.statuses.add().CopyFrom(status)


def acknowledge(m: MasterState, framework: Framework, call: Call.AcknowledgeOperationStatus) -> None:
    """ACKNOWLEDGE_OPERATION_STATUS."""
    valid = False
    record = framework.operation_named(call.operation_id.value)
    statuses = record.proto.statuses if record is not None else ()
    matching = next((s for s in statuses if s.uuid.value == call.uuid), None)
    if record is not None and matching is not None and record.agent_id == call.agent_id.value:
        message = messages.OperationAcknowledged(framework.id, record.uuid, call.uuid)
        valid = m.to_agent(record.agent_id, message)
        if valid and matching.state in TERMINAL_OPERATION_STATES:
            remove(m, record)
    m.count_valid("operation_status_update_acknowledgements", valid)


def reconcile(m: MasterState, framework: Framework, call: Call.ReconcileOperations) -> None:
    """RECONCILE_OPERATIONS: those that it names, or (if it names none) all that the master knows."""
    named = [framework.operation_named(entry.operation_id.value) for entry in call.operations]
    for record, entry in zip_longest(named or [*framework.operations.values()], call.operations):
        if record is not None:
            latest = [record.proto.latest_status, *record.proto.statuses][-1]
            status = new(pb.mesos.OperationStatus)
            status.CopyFrom(latest)
            status.ClearField("uuid")
        else:
            agent_id = entry.agent_id.value if entry.HasField("agent_id") else None
            state, text = _unknown(m, agent_id)
            ids = {"operation_id": entry.operation_id.value, "agent_id": agent_id}
            status = _status(state, f"Reconciliation: {text}", **ids)
        _tell(m, framework, status)


def _unknown(m: MasterState, agent_id: str | None) -> tuple[str, str]:
    if agent_id is None:
        return "OPERATION_UNKNOWN", "Operation is unknown and no 'agent_id' was provided"
    if agent_id in m.recovered_agents:
        return "OPERATION_RECOVERING", "Agent is recovered but has not re-registered"
    if agent_id in m.agents:
        return "OPERATION_UNKNOWN", "Operation is unknown"
    if agent_id in m.unreachable_agents:
        return "OPERATION_UNREACHABLE", "Agent is unreachable"
    if agent_id in m.gone_agents:
        return "OPERATION_GONE_BY_OPERATOR", "Agent marked gone by operator"
    return "OPERATION_UNKNOWN", "Both operation and agent are unknown"


def tell_all(m: MasterState, agent: Agent, state: str, why: str) -> None:
    """Tell frameworks the fate of their operations on an agent that is lost."""
    for record in agent.operations.values():
        framework = m.frameworks.get(record.proto.framework_id.value)
        if framework is not None and record.id is not None:
            _tell(m, framework, _status(state, why, operation_id=record.id, agent_id=agent.id))
