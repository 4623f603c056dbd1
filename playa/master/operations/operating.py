"""Operations on resources: applying them, their status, acknowledgement and reconciliation.

Mesos documentation, "Operation Feedback", "Reservation", "Persistent Volumes". All operations that the embedded cluster
knows are speculative: the master takes for granted that the agent will apply them, and goes on with the result.
An operation with an id is kept until its final status is acknowledged; one without is forgotten when it is final.
"""

from mesos_v1 import pb
from mesos_v1.operations import consumed_by
from mesos_v1.resources import Resources
from playa import messages
from playa.master.records import TERMINAL_OPERATION_STATES, Agent, Framework, OperationRecord
from playa.master.scheduler_api import events
from playa.master.state import MasterState

_Operation = pb.mesos.Offer.Operation


def drop(m: MasterState, framework: Framework, operation: pb.mesos.Offer.Operation, why: str) -> None:
    """Refuse an operation; the framework hears of it only if the operation has an id."""
    m.counts[f"operations/{operation_name(operation)}/error"] += 1
    if operation.HasField("id"):
        status = events.operation_status("OPERATION_ERROR", operation.id.value, why)
        m.send(framework, events.update_operation_status(status))


def operation_name(operation: pb.mesos.Offer.Operation) -> str:
    """`reserve`, `create_disk`, … as metrics name them."""
    return _Operation.Type.Name(operation.type).lower()


def start(
    m: MasterState, framework: Framework | None, agent: Agent, operation: pb.mesos.Offer.Operation
) -> OperationRecord:
    """Send an operation to its agent; its effect on the allocator is the caller's business."""
    uuid = m.ports.uuid_bytes()
    proto = pb.mesos.Operation()
    proto.info.CopyFrom(operation)
    proto.agent_id.value = agent.id
    proto.uuid.value = uuid
    proto.latest_status.state = pb.mesos.OPERATION_PENDING
    if operation.HasField("id"):
        proto.latest_status.operation_id.CopyFrom(operation.id)
    framework_id = ""
    if framework is not None:
        framework_id = proto.framework_id.value = framework.id
        framework.counts[f"operations/{operation_name(operation)}"] += 1
        framework.counts["operations"] += 1
    record = OperationRecord(proto, agent.id, consumed_by(operation), is_speculative=True)
    agent.operations[uuid] = record
    if framework is not None:
        framework.operations[uuid] = record
    m.to_agent(agent, messages.ApplyOperation(framework_id, operation.SerializeToString(), uuid))
    return record


def remove(m: MasterState, record: OperationRecord) -> None:
    """Forget an operation."""
    agent = m.agents.get(record.agent_id)
    if agent is not None:
        agent.operations.pop(record.uuid, None)
    framework = m.framework(record.proto.framework_id.value)
    if framework is not None:
        framework.operations.pop(record.uuid, None)


def operation_update(m: MasterState, message: messages.OperationUpdate) -> None:
    """An agent reports on an operation (perhaps again)."""
    m.counts["messages_operation_status_update"] += 1
    agent = m.agents.get(message.agent_id)
    if agent is None:
        m.counts["invalid_operation_status_updates"] += 1
        return
    status = pb.mesos.OperationStatus.FromString(message.status)
    framework = m.framework(message.framework_id)
    record = agent.operations.get(message.operation_uuid)
    if record is None:
        m.counts["invalid_operation_status_updates"] += 1
        if framework is not None:
            m.send(framework, events.update_operation_status(status))
        return
    m.counts["valid_operation_status_updates"] += 1
    if record.id is not None:
        status.operation_id.value = record.id
    _apply_status(m, record, pb.mesos.OperationStatus.FromString(message.latest_status))
    is_final = record.proto.latest_status.state in TERMINAL_OPERATION_STATES
    if record.id is not None and framework is not None and not record.orphan:
        m.send(framework, events.update_operation_status(status))
        if is_final and not status.HasField("uuid"):
            remove(m, record)
    elif status.HasField("uuid"):  # nobody else will acknowledge it
        acknowledged = messages.OperationAcknowledged(
            message.framework_id, message.operation_uuid, status.uuid.value
        )
        m.to_agent(agent, acknowledged)
        if is_final:
            remove(m, record)
    elif is_final:
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


def acknowledge(
    m: MasterState, framework: Framework, call: pb.scheduler.Call.AcknowledgeOperationStatus
) -> None:
    """ACKNOWLEDGE_OPERATION_STATUS."""
    m.counts["messages_operation_status_update_acknowledgement"] += 1
    agent = m.agents.get(call.agent_id.value)
    record = framework.operation_named(call.operation_id.value)
    if agent is None or not agent.connected or record is None or record.agent_id != agent.id:
        m.counts["invalid_operation_status_update_acknowledgements"] += 1
        return
    matching = next((s for s in record.proto.statuses if s.uuid.value == call.uuid), None)
    if matching is None:
        m.counts["invalid_operation_status_update_acknowledgements"] += 1
        return
    m.counts["valid_operation_status_update_acknowledgements"] += 1
    m.to_agent(agent, messages.OperationAcknowledged(framework.id, record.uuid, call.uuid))
    if matching.state in TERMINAL_OPERATION_STATES:
        remove(m, record)


def reconcile(m: MasterState, framework: Framework, call: pb.scheduler.Call.ReconcileOperations) -> None:
    """RECONCILE_OPERATIONS: those that it names, or (if it names none) all that the master knows."""
    m.counts["messages_reconcile_operations"] += 1
    if not call.operations:
        for record in list(framework.operations.values()):
            m.send(framework, events.update_operation_status(_latest(record)))
        return
    for entry in call.operations:
        record_or_none = framework.operation_named(entry.operation_id.value)
        if record_or_none is not None:
            status = _latest(record_or_none)
        else:
            agent_id = entry.agent_id.value if entry.HasField("agent_id") else None
            state, text = _unknown(m, agent_id)
            status = events.operation_status(state, entry.operation_id.value, text, agent_id)
        m.send(framework, events.update_operation_status(status))


def _latest(record: OperationRecord) -> pb.mesos.OperationStatus:
    status = pb.mesos.OperationStatus()
    proto = record.proto
    status.CopyFrom(proto.statuses[-1] if proto.statuses else proto.latest_status)
    status.ClearField("uuid")
    return status


def _unknown(m: MasterState, agent_id: str | None) -> tuple[str, str]:
    if agent_id is None:
        text = "Reconciliation: Operation is unknown and no 'agent_id' was provided"
        return "OPERATION_UNKNOWN", text
    if agent_id in m.recovered_agents:
        text = "Reconciliation: Agent is recovered but has not re-registered"
        return "OPERATION_RECOVERING", text
    if agent_id in m.agents:
        return "OPERATION_UNKNOWN", "Reconciliation: Operation is unknown"
    if agent_id in m.unreachable_agents:
        return "OPERATION_UNREACHABLE", "Reconciliation: Agent is unreachable"
    if agent_id in m.gone_agents:
        return "OPERATION_GONE_BY_OPERATOR", "Reconciliation: Agent marked gone by operator"
    return "OPERATION_UNKNOWN", "Reconciliation: Both operation and agent are unknown"


def tell_all(m: MasterState, agent: Agent, state: str, why: str) -> None:
    """Tell frameworks what became of their operations on an agent that is lost."""
    for record in agent.operations.values():
        framework = m.framework(record.proto.framework_id.value)
        if framework is not None and record.id is not None:
            status = events.operation_status(state, record.id, why, agent.id)
            m.send(framework, events.update_operation_status(status))


def volumes_in(operation: pb.mesos.Offer.Operation) -> Resources:
    """The volumes that a DESTROY names."""
    return Resources.from_proto(operation.destroy.volumes)
