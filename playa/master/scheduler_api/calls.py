"""The scheduler API's calls: who may make them, and which part of the master carries them out.

Mesos documentation, "Scheduler HTTP API". What is checked comes in Mesos's order, as a call that is wrong in two ways gets one
answer. Everything but SUBSCRIBE is answered 202 before its effect shows.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mesos_v1 import pb
from playa.master.allocation import offering
from playa.master.operations import operating
from playa.master.records import Framework
from playa.master.registration import draining
from playa.master.scheduler_api import accepting, subscribing, tasks
from playa.master.state import MasterState

_Call = pb.scheduler.Call


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call is answered."""

    status: int
    text: str = ""


ACCEPTED = Answer(202)


def handle(m: MasterState, call: pb.scheduler.Call, stream_id: str | None, principal: str | None) -> Answer:
    """Carry out a call other than SUBSCRIBE that is valid in itself."""
    framework = m.framework(call.framework_id.value)
    if framework is None:
        return Answer(400, "Framework cannot be found")
    name = _Call.Type.Name(call.type).lower()
    framework.counts["calls"] += 1
    framework.counts[f"calls/{name}"] += 1
    if principal is not None and principal != framework.info.principal:
        text = (
            f"Authenticated principal '{principal}' does not match principal "
            f"'{framework.info.principal}' set in `FrameworkInfo`"
        )
        return Answer(400, text)
    if not framework.connected:
        return Answer(403, "Framework is not subscribed")
    if stream_id is None:
        return Answer(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header")
    if stream_id != framework.stream_id:
        text = (
            f"The stream ID '{stream_id}' included in this request didn't match the stream ID currently "
            f"associated with framework ID {framework.id}"
        )
        return Answer(400, text)
    if call.type == _Call.UPDATE_FRAMEWORK:
        wrong = subscribing.update_framework(m, framework, call.update_framework)
        return Answer(200) if wrong is None else Answer(400, wrong)
    carry_out = _HANDLERS.get(call.type)
    if carry_out is None:
        return Answer(501)
    carry_out(m, framework, call)
    return ACCEPTED


def _acknowledge(m: MasterState, framework: Framework, call: pb.scheduler.Call) -> None:
    tasks.acknowledge(m, framework, call.acknowledge)
    _drained(m, call.acknowledge.agent_id.value)


def _acknowledge_operation(m: MasterState, framework: Framework, call: pb.scheduler.Call) -> None:
    operating.acknowledge(m, framework, call.acknowledge_operation_status)
    _drained(m, call.acknowledge_operation_status.agent_id.value)


def _drained(m: MasterState, agent_id: str) -> None:
    """See whether that was the last thing that a draining agent waited for."""
    agent = m.agents.get(agent_id)
    if agent is not None:
        draining.check(m, agent)


def _request(m: MasterState, _framework: Framework, _call: pb.scheduler.Call) -> None:
    """REQUEST: the hierarchical allocator of Mesos does not act on it either."""
    m.counts["messages_resource_request"] += 1


def _teardown(m: MasterState, framework: Framework, _call: pb.scheduler.Call) -> None:
    m.counts["messages_unregister_framework"] += 1
    subscribing.remove(m, framework)


def _answer_inverse(m: MasterState, _framework: Framework, call: pb.scheduler.Call) -> None:
    if call.type == _Call.ACCEPT_INVERSE_OFFERS:
        accepted = call.accept_inverse_offers
        offering.answer_inverse_offers(m, accepted.inverse_offer_ids, accepted.filters, accepted=True)
    else:
        declined = call.decline_inverse_offers
        offering.answer_inverse_offers(m, declined.inverse_offer_ids, declined.filters, accepted=False)


_HANDLERS: dict[int, Callable[[MasterState, Framework, pb.scheduler.Call], None]] = {
    _Call.TEARDOWN: _teardown,
    _Call.ACCEPT: lambda m, f, call: accepting.accept(m, f, call.accept),
    _Call.DECLINE: lambda m, f, call: offering.decline(m, f, call.decline),
    _Call.ACCEPT_INVERSE_OFFERS: _answer_inverse,
    _Call.DECLINE_INVERSE_OFFERS: _answer_inverse,
    _Call.REVIVE: lambda m, f, call: subscribing.revive(m, f, call.revive),
    _Call.SUPPRESS: lambda m, f, call: subscribing.suppress(m, f, call.suppress),
    _Call.KILL: lambda m, f, call: tasks.kill(m, f, call.kill),
    _Call.SHUTDOWN: lambda m, f, call: tasks.shutdown_executor(m, f, call.shutdown),
    _Call.ACKNOWLEDGE: _acknowledge,
    _Call.ACKNOWLEDGE_OPERATION_STATUS: _acknowledge_operation,
    _Call.RECONCILE: lambda m, f, call: tasks.reconcile(m, f, call.reconcile),
    _Call.RECONCILE_OPERATIONS: lambda m, f, call: operating.reconcile(m, f, call.reconcile_operations),
    _Call.MESSAGE: lambda m, f, call: tasks.send_message(m, f, call.message),
    _Call.REQUEST: _request,
}
