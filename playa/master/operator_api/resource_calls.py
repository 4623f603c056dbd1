"""The operator's operations on resources: RESERVE_RESOURCES, UNRESERVE_RESOURCES, volumes made, destroyed and resized.

The same operations as those of a framework's ACCEPT, checked by the same rules and carried out by the same code; but
on what no framework holds. Offers are rescinded until what is needed is free (Mesos documentation, "Reservation",
"Persistent Volumes").
"""

from mesos_v1 import pb
from mesos_v1.errors import MesosError, OperationError
from mesos_v1.operations import resources_of
from mesos_v1.resources import Resources, consumed_by
from playa.master.allocation import offers, resource_forms
from playa.master.records import Agent, new
from playa.master.requests import SiteAnswer
from playa.master.scheduler_api import operations
from playa.master.state import MasterState
from playa.master.validation import operations as validation

_Operation = pb.mesos.Offer.Operation

# Which operation a call asks for; the fields of their messages have the same names.
KINDS = {
    "reserve_resources": "RESERVE",
    "unreserve_resources": "UNRESERVE",
    "create_volumes": "CREATE",
    "destroy_volumes": "DESTROY",
    "grow_volume": "GROW_VOLUME",
    "shrink_volume": "SHRINK_VOLUME",
}
_NAMES_NO_AGENT = ("UNRESERVE", "DESTROY")  # in what is wrong with it


def carry_out(m: MasterState, call: pb.master.Call, principal: str | None) -> SiteAnswer:
    """Carry an operation out, or say why not."""
    name = pb.master.Call.Type.Name(call.type).lower()
    kind, asked = KINDS[name], getattr(call, name)
    body = {field.name: value for field, value in asked.ListFields() if field.name != "agent_id"}
    operation = new(_Operation, type=kind, **{kind.lower(): body})
    agent = m.agents.get(asked.agent_id.value)
    if agent is None:
        return SiteAnswer(400, "No agent found with specified ID")
    wrong = validation.unreadable(operation)
    if wrong is not None:
        return SiteAnswer(400, wrong)
    resource_forms.to_new_form(resources_of(operation))
    wrong = validation.problem(operation, None, agent, principal)
    if wrong is not None:
        where = "" if kind in _NAMES_NO_AGENT else f" on agent {agent.printed}"
        return SiteAnswer(400, f"Invalid {kind} operation{where}: {wrong}")
    try:
        needed = consumed_by(operation)
    except MesosError as error:
        return SiteAnswer(400, str(error))
    _take_offers_back(m, agent, operation, needed)
    try:
        m.allocator.apply(agent, operation)
    except OperationError as error:
        return SiteAnswer(409, str(error))
    operations.start(m, None, agent, operation)
    return SiteAnswer(202)


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
        offers.rescind(m, offer, pb.mesos.Filters())  # its framework does not get them right back
        try:
            recovered.apply(operation)
        except OperationError:
            continue
        return
