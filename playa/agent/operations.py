"""The agent's resources, and the operations that change them: reservations and persistent volumes.

An operation is applied at once and checkpointed; one with an id is reported with a uuid and reported again until the
scheduler has acknowledged it (Mesos documentation, "Operations"). A destroyed volume loses its data.
"""

import logging
from pathlib import Path

from google.protobuf.message import Message

from mesos_v1 import pb
from mesos_v1.errors import MesosError
from mesos_v1.resources import Resources
from playa.agent.containers.sandbox import link_volume, remove
from playa.agent.context import AgentContext
from playa.agent.messages import ResendDue
from playa.agent.recovery import checkpoint
from playa.agent.recovery.records import Recovered
from playa.agent.updates.streams import PendingUpdate, UpdateStreams
from playa.messages import ApplyOperation, OperationAcknowledged, OperationUpdate, ReconcileOperations

log = logging.getLogger(__name__)

Operation = pb.mesos.Offer.Operation


class Operations:
    """The part of an agent that keeps its resources."""

    def __init__(self, context: AgentContext, total: Resources) -> None:
        self._context = context
        self.total = total
        self.operations: dict[bytes, pb.mesos.Operation] = {}
        settings = context.settings
        self._streams = UpdateStreams(
            settings.status_update_retry_interval_min, settings.status_update_retry_interval_max
        )

    def apply(self, message: ApplyOperation) -> None:
        """Apply an operation and say how that went."""
        info = Operation.FromString(message.operation)
        status = pb.mesos.OperationStatus(state=pb.mesos.OPERATION_FINISHED)
        plain = Operation()
        plain.CopyFrom(info)
        strip_allocation(plain)
        try:
            self.total = self.total.apply(plain)
        except MesosError as error:
            log.warning("operation %s failed: %s", info.id.value, error)
            status.state = pb.mesos.OPERATION_FAILED
            status.message = str(error)
        else:
            self._change_volumes(plain)
            protos = tuple(r.SerializeToString() for r in self.total.to_proto())
            self._context.ledger.write(checkpoint.RESOURCES, protos)
        status.agent_id.value = self._context.agent_id
        if info.HasField("id"):
            status.operation_id.CopyFrom(info.id)
            status.uuid.value = self._context.uuid()
        self._report(message, info, status)

    def _report(self, message: ApplyOperation, info: Operation, status: pb.mesos.OperationStatus) -> None:
        data = status.SerializeToString()
        if not info.HasField("id"):
            self._send(message.framework_id, message.operation_uuid, data)
            return
        operation = pb.mesos.Operation(info=info, latest_status=status)
        if message.framework_id:
            operation.framework_id.value = message.framework_id
        operation.agent_id.value = self._context.agent_id
        operation.statuses.append(status)
        operation.uuid.value = message.operation_uuid
        self.operations[message.operation_uuid] = operation
        self._context.ledger.write(
            checkpoint.OPERATION, message.operation_uuid, operation.SerializeToString()
        )
        self._queue(message.framework_id, message.operation_uuid, status)

    def _queue(self, framework_id: str, operation_uuid: bytes, status: pb.mesos.OperationStatus) -> None:
        update = PendingUpdate(
            framework_id, operation_uuid.hex(), status.uuid.value, status.SerializeToString(), terminal=True
        )
        if self._streams.add(update, self._context.now()) is not None:
            self._send(framework_id, operation_uuid, update.status)
            self._arm()

    def acknowledged(self, message: OperationAcknowledged) -> None:
        """The scheduler has seen an operation's status."""
        key = message.operation_uuid
        done = self._streams.acknowledge(
            message.framework_id, key.hex(), message.status_uuid, self._context.now()
        )
        if done is not None and self.operations.pop(key, None) is not None:
            self._context.ledger.write(checkpoint.OPERATION_ACKNOWLEDGED, key)
            self._context.less_is_here()

    def reconcile(self, message: ReconcileOperations) -> None:
        """Operations that never got here are OPERATION_DROPPED."""
        for uuid in message.operation_uuids:
            if uuid not in self.operations:
                status = pb.mesos.OperationStatus(state=pb.mesos.OPERATION_DROPPED)
                status.agent_id.value = self._context.agent_id
                status.uuid.value = self._context.uuid()
                self._send("", uuid, status.SerializeToString())

    def resend(self) -> None:
        """Send again what has waited long enough."""
        for update in self._streams.due(self._context.now()):
            self._send(update.framework_id, bytes.fromhex(update.task_id), update.status)
        self._arm()

    def resume(self) -> None:
        """The master is there (again)."""
        for update in self._streams.resume(self._context.now()):
            self._send(update.framework_id, bytes.fromhex(update.task_id), update.status)
        self._arm()

    def pause(self) -> None:
        """The master is gone."""
        self._streams.pause()

    def recover(self, recovered: Recovered) -> None:
        """Take up what an agent before this one had."""
        if recovered.resources is not None:
            self.total = Resources.from_proto(pb.mesos.Resource.FromString(r) for r in recovered.resources)
        for uuid, data in recovered.operations.items():
            operation = pb.mesos.Operation.FromString(data)
            self.operations[uuid] = operation
            self._queue(operation.framework_id.value, uuid, operation.latest_status)

    def unknown_to_agent(self, resources: "list[pb.mesos.Resource]") -> bool:
        """Whether dynamically reserved resources or volumes are not what the agent has."""
        if not any(resource.reservations for resource in resources):
            return False
        plain = Resources.from_proto(resources).unallocate()
        reserved = plain.where(
            lambda r: any(
                x.type == pb.mesos.Resource.ReservationInfo.DYNAMIC for x in r.to_proto().reservations
            )
        )
        return bool(reserved) and not self.total.contains(reserved)

    def volumes_of(self, resources: "list[pb.mesos.Resource]") -> tuple[tuple[str, str], ...]:
        """The persistent volumes among resources: where their data is, and their path in a sandbox."""
        out = []
        for resource in resources:
            disk = resource.disk
            path = disk.volume.container_path
            if disk.HasField("persistence") and path and "/" not in path:
                role = resource.reservations[-1].role if resource.reservations else resource.role
                out.append((str(self._context.layout.volume(role, disk.persistence.id)), path))
        return tuple(out)

    def link_volumes(self, sandbox: str, resources: "list[pb.mesos.Resource]") -> None:
        """Make the volumes of a task appear in the sandbox of an executor that is there already."""
        for volume, path in self.volumes_of(resources):
            try:
                link_volume(Path(volume), Path(sandbox), path)
            except (OSError, ValueError) as error:
                log.warning("volume %s cannot be linked: %s", path, error)

    def _change_volumes(self, operation: Operation) -> None:
        if operation.type == Operation.CREATE:
            for resource in operation.create.volumes:
                self._volume(resource).mkdir(parents=True, exist_ok=True)
        elif operation.type == Operation.DESTROY:
            for resource in operation.destroy.volumes:
                remove(self._volume(resource))

    def _volume(self, resource: pb.mesos.Resource) -> Path:
        role = resource.reservations[-1].role if resource.reservations else resource.role
        return self._context.layout.volume(role, resource.disk.persistence.id)

    def _send(self, framework_id: str, operation_uuid: bytes, status: bytes) -> None:
        self._context.to_master(
            OperationUpdate(
                agent_id=self._context.agent_id,
                framework_id=framework_id,
                operation_uuid=operation_uuid,
                status=status,
                latest_status=status,
            )
        )

    def _arm(self) -> None:
        deadline = self._streams.next_deadline()
        if deadline is not None:
            self._context.after(max(deadline - self._context.now(), 0.0), ResendDue())


def strip_allocation(message: Message) -> None:
    """Remove `allocation_info` from every resource in a message: an agent's own resources have none."""
    if isinstance(message, pb.mesos.Resource):
        message.ClearField("allocation_info")
        return
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        for part in value if field.is_repeated else (value,):
            if isinstance(part, Message):
                strip_allocation(part)
