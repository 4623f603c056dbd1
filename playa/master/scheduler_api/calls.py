"""The scheduler API's calls: who may make them, and which part of the master carries them out.

Mesos documentation, "Scheduler HTTP API". What is checked comes in Mesos's order, as a call that is wrong in two ways gets one
answer. Everything but SUBSCRIBE is answered 202 before its effect shows.
"""

from collections.abc import Callable
from typing import Any

from mesos_v1 import pb
from playa.master.agents import draining
from playa.master.allocation import offers
from playa.master.records import Framework
from playa.master.requests import SiteAnswer
from playa.master.scheduler_api import accept, frameworks, operations, tasks
from playa.master.state import MasterState
from playa.master.validation.calls import other_principal
from playa.master.validation.rules import Rows, validator

Call = pb.scheduler.Call


def handle(m: MasterState, call: Call, stream_id: str | None, principal: str | None) -> SiteAnswer:
    """Carry out a call other than SUBSCRIBE that is valid in itself."""
    framework = m.frameworks.get(call.framework_id.value)
    if framework is None:
        return SiteAnswer(400, "Framework cannot be found")
    name = Call.Type.Name(call.type).lower()
    framework.counts.update(("calls", f"calls/{name}"))
    wrong = other_principal(principal, framework.info)
    if wrong is None and not framework.connected:
        return SiteAnswer(403, "Framework is not subscribed")
    wrong = wrong or _stream_problem(framework, stream_id)
    if wrong is not None:
        return SiteAnswer(400, wrong)
    if name == "update_framework":
        wrong = frameworks.update_framework(m, framework, call.update_framework)
        return SiteAnswer(200) if wrong is None else SiteAnswer(400, wrong)
    carry_out = _CALLS.get(name)
    if carry_out is None:
        return SiteAnswer(501)
    carry_out(m, framework, getattr(call, name, None))
    return SiteAnswer(202)


@validator
def _stream_problem(framework: Framework, stream_id: str | None) -> Rows:
    yield stream_id is None and "All non-subscribe calls should include the 'Mesos-Stream-Id' header"
    yield stream_id != framework.stream_id and (
        f"The stream ID '{stream_id}' included in this request didn't match the stream ID currently "
        f"associated with framework ID {framework.id}"
    )


def _acknowledge(m: MasterState, framework: Framework, call: Call.Acknowledge) -> None:
    tasks.acknowledge(m, framework, call)
    _check_drained(m, call.agent_id)


def _acknowledge_operation(
    m: MasterState, framework: Framework, call: Call.AcknowledgeOperationStatus
) -> None:
    operations.acknowledge(m, framework, call)
    _check_drained(m, call.agent_id)


def _check_drained(m: MasterState, agent_id: pb.mesos.AgentID) -> None:
    """See whether that was the last thing that a draining agent waited for."""
    if agent_id.value in m.agents:
        draining.check(m, m.agents[agent_id.value])


def _request(m: MasterState, *_: object) -> None:
    """REQUEST: the hierarchical allocator of Mesos does not act on it either."""
    m.counts["messages_resource_request"] += 1


def _teardown(m: MasterState, framework: Framework, _: object) -> None:
    m.counts["messages_unregister_framework"] += 1
    frameworks.remove(m, framework)


# By the name of the call's field, which is handed on; TEARDOWN has none.
_CALLS: dict[str, Callable[[MasterState, Framework, Any], None]] = {
    "teardown": _teardown,
    "accept": accept.accept,
    "decline": offers.decline,
    "accept_inverse_offers": offers.answer_inverse_offers,
    "decline_inverse_offers": offers.answer_inverse_offers,
    "revive": frameworks.revive,
    "suppress": frameworks.suppress,
    "kill": tasks.kill,
    "shutdown": tasks.shutdown_executor,
    "acknowledge": _acknowledge,
    "acknowledge_operation_status": _acknowledge_operation,
    "reconcile": tasks.reconcile,
    "reconcile_operations": operations.reconcile,
    "message": tasks.send_message,
    "request": _request,
}
