"""LAUNCH: one operation for everything that was placed on an agent's offers."""

from __future__ import annotations

from actors.offers.executor_infos import ExecutorBook
from actors.offers.matching import AgentOffers
from mesos_v1 import pb


def launch_operation(agent: AgentOffers, book: ExecutorBook) -> bytes:
    """Return the serialized operation that launches an agent's placements."""
    operation = pb.mesos.Offer.Operation(type=pb.mesos.Offer.Operation.LAUNCH)
    infos = operation.launch.task_infos
    for demand, resources, executor_id in agent.placements:
        info = infos.add()
        info.MergeFromString(demand.info)
        info.agent_id.value = agent.agent_id
        info.resources.extend(resources.to_proto())
        if executor_id is not None:
            info.executor.CopyFrom(book.info(executor_id))
        elif demand.ports:
            _announce_ports(info, [port for begin, end in resources.ports for port in range(begin, end + 1)])
    return operation.SerializeToString()


def _announce_ports(info: pb.mesos.TaskInfo, ports: list[int]) -> None:
    """Tell a command its ports, as PORT0, PORT1, … and PORTS."""
    variables = info.command.environment.variables
    for number, port in enumerate(ports):
        variables.add(name=f"PORT{number}", value=str(port))
    variables.add(name="PORTS", value=",".join(map(str, ports)))
