"""The scheduler API's calls: who may make them, and which part of the master carries them out.

Mesos documentation, "Scheduler HTTP API". What is checked comes in Mesos's order, as a call that is wrong in two ways gets one
answer. Everything but SUBSCRIBE and UPDATE_FRAMEWORK is answered 202 before its effect shows.
"""

from collections.abc import Callable
from typing import Any

from mesos_v1 import pb
from playa.master.agents import draining
from playa.master.allocation import offers
from playa.master.records import Framework
from playa.master.requests import ApiRequest, SiteAnswer, StreamOpened
from playa.master.scheduler_api import accept, frameworks, operations, tasks
from playa.master.state import MasterState
from playa.master.validation.calls import other_principal, scheduler_call
from playa.master.validation.rules import Rows, validator, within
from playa.web import Refused, chosen_type, parse_message, refuse

Call = pb.scheduler.Call


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
    framework.counts.update(("calls", f"calls/{name}"))
    refuse(other_principal(principal, framework.info))
    if not framework.connected:
        raise Refused(403, "Framework is not subscribed")
    refuse(_stream_problem(framework, stream_id))
    if name not in _CALLS:
        raise Refused(501)
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


# By the name of the call's field, which is handed on (TEARDOWN has none); with the metric that counts it. The
# hierarchical allocator of Mesos does not act on a REQUEST either.
_CALLS: dict[str, tuple[Callable[[MasterState, Framework, Any], object], str | None]] = {
    "teardown": (lambda m, framework, _: frameworks.remove(m, framework), "unregister_framework"),
    "update_framework": (frameworks.update_framework, None),
    "accept": (accept.accept, None),
    "decline": (offers.decline, "decline_offers"),
    "accept_inverse_offers": (offers.answer_inverse_offers, None),
    "decline_inverse_offers": (offers.answer_inverse_offers, None),
    "revive": (frameworks.revive, "revive_offers"),
    "suppress": (frameworks.suppress, "suppress_offers"),
    "kill": (tasks.kill, "kill_task"),
    "shutdown": (tasks.shutdown_executor, None),
    "acknowledge": (tasks.acknowledge, "status_update_acknowledgement"),
    "acknowledge_operation_status": (
        operations.acknowledge,
        "operation_status_update_acknowledgement",
    ),
    "reconcile": (tasks.reconcile, "reconcile_tasks"),
    "reconcile_operations": (operations.reconcile, "reconcile_operations"),
    "message": (tasks.send_message, "framework_to_executor"),
    "request": (lambda *_: None, "resource_request"),
}
