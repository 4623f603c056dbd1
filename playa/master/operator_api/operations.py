"""The operator's operations on resources: RESERVE_RESOURCES, UNRESERVE_RESOURCES, volumes made, destroyed and resized.

The same operations as those of a framework's ACCEPT, checked by the same rules and carried out by the same code; but
on what no framework holds. Offers are rescinded until what is needed is free (Mesos documentation, "Reservation",
"Persistent Volumes").
"""

from mesos_v1 import pb
from mesos_v1.errors import MesosError, OperationError
from mesos_v1.operations import consumed_by, resources_of
from mesos_v1.resources import Resources
from playa.master.allocation import formats, offering
from playa.master.operations import operating, operation_validation
from playa.master.records import Agent
from playa.master.site import SiteAnswer
from playa.master.state import MasterState

_Call = pb.master.Call
_Operation = pb.mesos.Offer.Operation

# Which operation a call asks for; the fields of their messages have the same names.
KINDS: dict[int, _Operation.Type.ValueType] = {
    _Call.RESERVE_RESOURCES: _Operation.RESERVE,
    _Call.UNRESERVE_RESOURCES: _Operation.UNRESERVE,
    _Call.CREATE_VOLUMES: _Operation.CREATE,
    _Call.DESTROY_VOLUMES: _Operation.DESTROY,
    _Call.GROW_VOLUME: _Operation.GROW_VOLUME,
    _Call.SHRINK_VOLUME: _Operation.SHRINK_VOLUME,
}
_NAMES_NO_AGENT = (_Operation.UNRESERVE, _Operation.DESTROY)  # in what is wrong with it


def carry_out(m: MasterState, call: pb.master.Call, principal: str | None) -> SiteAnswer:
    """Carry an operation out, or say why not."""
    operation, agent_id = _operation(call)
    agent = m.agents.get(agent_id)
    if agent is None:
        return SiteAnswer(400, "No agent found with specified ID")
    wrong = operation_validation.unreadable(operation)
    if wrong is not None:
        return SiteAnswer(400, wrong)
    formats.to_new_form(resources_of(operation))
    wrong = operation_validation.problem(operation, None, agent, principal)
    if wrong is not None:
        where = "" if operation.type in _NAMES_NO_AGENT else f" on agent {agent.printed}"
        return SiteAnswer(400, f"Invalid {_Operation.Type.Name(operation.type)} operation{where}: {wrong}")
    try:
        needed = consumed_by(operation)
    except MesosError as error:
        return SiteAnswer(400, str(error))
    _take_offers_back(m, agent, operation, needed)
    try:
        m.allocator.apply(agent.id, operation)
    except OperationError as error:
        return SiteAnswer(409, str(error))
    agent.total = m.allocator.total(agent.id)
    operating.start(m, None, agent, operation)
    return SiteAnswer(202)


def _operation(call: pb.master.Call) -> tuple[pb.mesos.Offer.Operation, str]:
    """The operation that a call asks for, and on which agent."""
    operation = _Operation(type=KINDS[call.type])
    asked = getattr(call, _Call.Type.Name(call.type).lower())
    body = getattr(operation, _Operation.Type.Name(operation.type).lower())
    body.SetInParent()
    for field, value in asked.ListFields():
        if field.name != "agent_id":
            (getattr(body, field.name).extend if field.is_repeated else getattr(body, field.name).CopyFrom)(
                value
            )
    return operation, asked.agent_id.value


def _take_offers_back(
    m: MasterState, agent: Agent, operation: pb.mesos.Offer.Operation, missing: Resources
) -> None:
    """Rescind offers of what the operation needs, until they would suffice."""
    recovered = Resources()
    for offer in list(agent.offers.values()):
        offered = offer.resources.unallocate()
        left = missing - offered
        if left == missing:
            continue
        missing, recovered = left, recovered + offered
        offering.rescind(m, offer, pb.mesos.Filters())  # its framework does not get them right back
        try:
            recovered.apply(operation)
        except OperationError:
            continue
        return
