"""The agent's resources, and the operations that change them: reservations and persistent volumes.

An operation is applied at once and checkpointed; one with an id is reported with a uuid and reported again until the
scheduler has acknowledged it (Mesos documentation, "Operations"). A destroyed volume loses its data.
"""

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.message import Message

from actors.runtime import receive
from mesos_v1 import pb
from mesos_v1.errors import MesosError
from mesos_v1.resources import Resources
from playa.agent.checkpoint import Entry, Recovered
from playa.agent.containers.sandbox import link_volume, volume_path
from playa.agent.records import AgentContext
from playa.agent.update_streams import PendingUpdate, UpdateStreams
from playa.messages import ApplyOperation, OperationAcknowledged, OperationUpdate, ReconcileOperations

log = logging.getLogger(__name__)

Operation = pb.mesos.Offer.Operation
Status = pb.mesos.OperationStatus


class Operations:
    """The part of an agent that keeps its resources."""

    def __init__(self, context: AgentContext, total: Resources) -> None:
        self._context = context
        self.total = total
        self.operations: dict[bytes, pb.mesos.Operation] = {}
        self.streams = UpdateStreams(context.settings, context.after, self._resend, of_operations=True)

    @receive
    def handle_apply_operation(self, message: ApplyOperation) -> None:
        info = Operation.FromString(message.operation)
        status = Status(state=pb.mesos.OPERATION_FINISHED, agent_id=self._context.info.id)
        plain = Operation.FromString(message.operation)
        strip_allocation(plain)
        try:
            self.total = self.total.apply(plain)
        except MesosError as error:
            log.warning("operation %s failed: %s", info.id.value, error)
            status.state = pb.mesos.OPERATION_FAILED
            status.message = str(error)
        else:
            self._change_volumes(plain)
            self._context.ledger.write(Entry.RESOURCES, self.total_protos())
        if not info.HasField("id"):
            self._send(message.framework_id, message.operation_uuid, status.SerializeToString())
            return
        status.operation_id.CopyFrom(info.id)
        status.uuid.value = self._context.uuid()
        operation = pb.mesos.Operation(
            info=info,
            latest_status=status,
            statuses=[status],
            agent_id=status.agent_id,
            uuid=pb.mesos.UUID(value=message.operation_uuid),
        )
        if message.framework_id:
            operation.framework_id.value = message.framework_id
        self._context.ledger.write(Entry.OPERATION, message.operation_uuid, operation.SerializeToString())
        self._queue(message.operation_uuid, operation)

    def _queue(self, operation_uuid: bytes, operation: pb.mesos.Operation) -> None:
        self.operations[operation_uuid] = operation
        status, framework_id = operation.latest_status, operation.framework_id.value
        data = status.SerializeToString()
        self.streams.add(
            PendingUpdate(framework_id, operation_uuid.hex(), status.uuid.value, data, terminal=True)
        )

    @receive
    def handle_operation_acknowledged(self, message: OperationAcknowledged) -> None:
        key = message.operation_uuid
        done = self.streams.acknowledge(message.framework_id, key.hex(), message.status_uuid)
        if done is not None and self.operations.pop(key, None) is not None:
            self._context.ledger.write(Entry.OPERATION_ACKNOWLEDGED, key)
            self._context.less_is_here()

    @receive
    def handle_reconcile_operations(self, message: ReconcileOperations) -> None:
        for uuid in message.operation_uuids:
            if uuid not in self.operations:
                status = Status(state=pb.mesos.OPERATION_DROPPED, agent_id=self._context.info.id)
                status.uuid.value = self._context.uuid()
                self._send("", uuid, status.SerializeToString())

    def recover(self, recovered: Recovered) -> None:
        """Take up what an agent before this one had."""
        if recovered.resources is not None:
            self.total = Resources.from_proto(pb.mesos.Resource.FromString(r) for r in recovered.resources)
        for uuid, data in recovered.operations.items():
            self._queue(uuid, pb.mesos.Operation.FromString(data))

    def total_protos(self) -> tuple[bytes, ...]:
        """All resources, as the checkpoint and the master get them."""
        return packed(self.total.to_proto())

    def unknown_to_agent(self, resources: Iterable[pb.mesos.Resource]) -> bool:
        """Whether dynamically reserved resources or volumes are not what the agent has."""
        dynamic = pb.mesos.Resource.ReservationInfo.DYNAMIC
        reserved = [r for r in resources if any(x.type == dynamic for x in r.reservations)]
        return bool(reserved) and not self.total.contains(Resources.from_proto(reserved).unallocate())

    def volumes_of(self, resources: Iterable[pb.mesos.Resource]) -> tuple[tuple[str, str], ...]:
        """The persistent volumes among resources: where their data is, and their path in a sandbox."""
        return tuple(
            (str(volume_path(self._context.work_dir, resource)), path)
            for resource in resources
            if resource.disk.HasField("persistence")
            and (path := resource.disk.volume.container_path)
            and "/" not in path
        )

    def link_volumes(self, sandbox: str, resources: Iterable[pb.mesos.Resource]) -> None:
        """Make the volumes of a task appear in the sandbox of an executor that is there already."""
        for volume, path in self.volumes_of(resources):
            try:
                link_volume(Path(volume), Path(sandbox), path)
            except (OSError, ValueError) as error:
                log.warning("volume %s cannot be linked: %s", path, error)

    def _change_volumes(self, operation: Operation) -> None:
        if operation.type == Operation.CREATE:
            for resource in operation.create.volumes:
                volume_path(self._context.work_dir, resource).mkdir(parents=True, exist_ok=True)
        elif operation.type == Operation.DESTROY:
            for resource in operation.destroy.volumes:
                shutil.rmtree(volume_path(self._context.work_dir, resource), ignore_errors=True)

    def _resend(self, update: PendingUpdate) -> None:
        self._send(update.framework_id, bytes.fromhex(update.task_id), update.status)

    def _send(self, framework_id: str, operation_uuid: bytes, status: bytes) -> None:
        agent_id = self._context.agent_id
        self._context.to_master(OperationUpdate(agent_id, framework_id, operation_uuid, status, status))


def packed(messages: Iterable[Message]) -> tuple[bytes, ...]:
    """Messages of protobuf, to be sent or kept."""
    return tuple(message.SerializeToString() for message in messages)


def strip_allocation(message: Message) -> None:
    """Remove `allocation_info` from every resource in a message: an agent's own resources have none."""
    if isinstance(message, pb.mesos.Resource):
        message.ClearField("allocation_info")
        return
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in value if field.is_repeated else (value,):
                strip_allocation(part)
