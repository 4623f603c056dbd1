"""Frameworks: subscribing, failing over, disconnecting, changing, and being removed.

Mesos documentation, "Scheduler HTTP API" (SUBSCRIBE, TEARDOWN, UPDATE_FRAMEWORK), "High Availability Framework Guide". A
subscription that is refused gets an ERROR event and its stream is closed. A framework that disconnects keeps its tasks for
its failover timeout; a second subscription with the same id takes the framework over.
"""

from collections.abc import Iterable

from actors.runtime import message
from mesos_v1 import pb
from playa import messages
from playa.master.allocation import constraints, offering
from playa.master.operator_api import events as operator_events
from playa.master.operator_api import reading
from playa.master.records import Framework
from playa.master.scheduler_api import call_validation, events, tasks
from playa.master.state import MasterState


@message
class HeartbeatDue:
    """It is time for a HEARTBEAT on a stream."""

    framework_id: str
    stream_id: str


@message
class FailoverTimedOut:
    """A framework was away for longer than its failover timeout."""

    framework_id: str
    reregistered_time: float


def subscribe(
    m: MasterState, call: pb.scheduler.Call.Subscribe, stream_id: str, principal: str | None
) -> None:
    """SUBSCRIBE on a new stream."""
    info = call.framework_info
    known = bool(info.id.value)
    m.counts["messages_reregister_framework" if known else "messages_register_framework"] += 1
    wrong = _problem(m, call)
    if wrong is not None:
        m.ports.to_stream(stream_id, events.error(wrong))
        m.ports.close_stream(stream_id)
        return
    if principal is not None and not info.HasField("principal"):
        info.principal = principal
    if not info.id.value:
        info.id.value = m.new_framework_id()
    framework = m.framework(info.id.value)
    if framework is None:
        framework = add_framework(m, info)
        framework.suppressed = set(call.suppressed_roles)
        added = True
    else:
        _keep_what_may_not_change(framework.info, info)
        _take_over(m, framework)
        added = False
    _update(m, framework, call, keep_filters=not added)
    framework.counts["calls"] += 1
    framework.counts["calls/subscribe"] += 1
    _connect(m, framework, stream_id)
    if known:
        _tell_agents(m, framework)
        m.publish(lambda: operator_events.framework_updated(reading.framework(m, framework)))
    else:
        m.publish(lambda: operator_events.framework_added(reading.framework(m, framework)))
    offering.allocate(m)


def _problem(m: MasterState, call: pb.scheduler.Call.Subscribe) -> str | None:
    info = call.framework_info
    wrong = call_validation.framework_info(info, m.settings.roles)
    if wrong is not None:
        return wrong
    if info.id.value in m.completed_frameworks:
        return "Framework has been removed"
    return _options_problem(info, call.suppressed_roles, call.offer_constraints)


def _options_problem(
    info: pb.mesos.FrameworkInfo, suppressed: Iterable[str], wanted: pb.scheduler.OfferConstraints
) -> str | None:
    roles = call_validation.roles_of(info)
    return call_validation.suppressed_roles(suppressed, roles) or constraints.problem(wanted, roles)


def add_framework(m: MasterState, info: pb.mesos.FrameworkInfo) -> Framework:
    """Enter a framework into the books, not connected yet."""
    now = m.ports.now()
    framework = Framework(
        info=info,
        roles=call_validation.roles_of(info),
        capabilities=call_validation.capabilities_of(info),
        registered_time=now,
        reregistered_time=now,
    )
    m.frameworks[framework.id] = framework
    m.allocator.add_framework(
        framework.id, framework.roles, capabilities=framework.capabilities, active=False
    )
    return framework


def recover_framework(m: MasterState, info: pb.mesos.FrameworkInfo) -> Framework:
    """Enter a framework that an agent knows and this master does not; it has still to subscribe."""
    framework = add_framework(m, info)
    framework.recovered = True
    return framework


def _keep_what_may_not_change(old: pb.mesos.FrameworkInfo, new: pb.mesos.FrameworkInfo) -> None:
    new.user = old.user
    new.checkpoint = old.checkpoint


def _take_over(m: MasterState, framework: Framework) -> None:
    """End the subscription that a framework still has, and its offers, of which the new one knows nothing."""
    if framework.stream_id is not None:
        m.send(framework, events.error("Framework failed over"))
        m.ports.close_stream(framework.stream_id)
        framework.stream_id = None
    for offer in list(framework.offers.values()):
        offering.discard(m, offer)
    for inverse in list(framework.inverse_offers.values()):
        offering.remove_inverse_offer(m, inverse, tell=False)
    framework.reregistered_time = m.ports.now()
    framework.recovered = False


def _update(
    m: MasterState,
    framework: Framework,
    call: pb.scheduler.Call.Subscribe | pb.scheduler.Call.UpdateFramework,
    *,
    keep_filters: bool,
) -> None:
    info = pb.mesos.FrameworkInfo()
    info.CopyFrom(call.framework_info)
    framework.info = info
    framework.roles = call_validation.roles_of(info)
    framework.capabilities = call_validation.capabilities_of(info)
    framework.suppressed = set(call.suppressed_roles)
    has_constraints = call.HasField("offer_constraints")
    framework.offer_constraints = call.offer_constraints if has_constraints else None
    m.allocator.update_framework(
        framework.id,
        framework.roles,
        suppressed=framework.suppressed,
        capabilities=framework.capabilities,
        offer_constraints=framework.offer_constraints,
        keep_filters=keep_filters,
    )


def _connect(m: MasterState, framework: Framework, stream_id: str) -> None:
    framework.stream_id = stream_id
    framework.active = True
    m.allocator.activate_framework(framework.id)
    m.send(framework, events.subscribed(framework.id, m.settings.heartbeat_interval, m.info))
    heartbeat(m, framework.id, stream_id)


def heartbeat(m: MasterState, framework_id: str, stream_id: str) -> None:
    """HEARTBEAT, now and again after the interval, as long as the subscription lasts."""
    framework = m.framework(framework_id)
    if framework is not None and framework.stream_id == stream_id:
        m.send(framework, events.HEARTBEAT)
        m.ports.later(m.settings.heartbeat_interval, HeartbeatDue(framework_id, stream_id))


def update_framework(
    m: MasterState, framework: Framework, call: pb.scheduler.Call.UpdateFramework
) -> str | None:
    """UPDATE_FRAMEWORK; returns what is wrong with it, if anything is (the answer is then 400)."""
    info = call.framework_info
    wrong = call_validation.framework_info(info, m.settings.roles)
    if wrong is not None:
        return f"Supplied FrameworkInfo is not valid: {wrong}"
    wrong = call_validation.framework_update(framework.info, info)
    if wrong is not None:
        return f"FrameworkInfo update is not valid: {wrong}"
    wrong = _options_problem(info, call.suppressed_roles, call.offer_constraints)
    if wrong is not None:
        return f"'UpdateFramework' call is not valid: {wrong}"
    changed = framework.info != info
    dropped = set(framework.roles) - set(call_validation.roles_of(info))
    for offer in list(framework.offers.values()):
        if offer.role in dropped:
            offering.rescind(m, offer)
    _update(m, framework, call, keep_filters=True)
    if changed:
        _tell_agents(m, framework)
        m.publish(lambda: operator_events.framework_updated(reading.framework(m, framework)))
    offering.allocate(m)
    return None


def _tell_agents(m: MasterState, framework: Framework) -> None:
    message = messages.UpdateFramework(framework.info.SerializeToString())
    for agent in m.agents.values():
        m.to_agent(agent, message)


# --- leaving --------------------------------------------------------------------------------------------------


def stream_closed(m: MasterState, stream_id: str) -> None:
    """The connection of a subscription is gone."""
    framework = next((f for f in m.frameworks.values() if f.stream_id == stream_id), None)
    if framework is None:
        return
    _deactivate(m, framework)
    framework.stream_id = None
    timeout = max(framework.info.failover_timeout, 0.0)
    m.ports.later(timeout, FailoverTimedOut(framework.id, framework.reregistered_time))


def _deactivate(m: MasterState, framework: Framework) -> None:
    framework.active = False
    m.allocator.deactivate_framework(framework.id)
    for offer in list(framework.offers.values()):
        offering.discard(m, offer)
    for inverse in list(framework.inverse_offers.values()):
        offering.remove_inverse_offer(m, inverse, tell=False)


def failover_timed_out(m: MasterState, framework_id: str, reregistered_time: float) -> None:
    """Remove a framework that did not come back in time."""
    framework = m.framework(framework_id)
    if framework is None or framework.connected or framework.reregistered_time != reregistered_time:
        return
    remove(m, framework)


def remove(m: MasterState, framework: Framework) -> None:
    """TEARDOWN, or the failover timeout is over: shut everything of a framework down and forget it."""
    if framework.active:
        _deactivate(m, framework)
    for agent in m.agents.values():
        m.to_agent(agent, messages.ShutdownFramework(framework.id))
    for task in list(framework.tasks.values()):
        _kill_in_books(m, framework, task.id)
        tasks.remove_task(m, task)
    for task in list(framework.unreachable_tasks.values()):
        tasks.remember_completed(m, framework, task)
    framework.unreachable_tasks.clear()
    for agent_id, executor_id in list(framework.executors):
        if agent_id in m.agents:
            tasks.remove_executor(m, m.agents[agent_id], framework.id, executor_id)
    for operation in list(framework.operations.values()):
        operation.orphan = True
        framework.operations.pop(operation.uuid)
    if framework.stream_id is not None:
        m.ports.close_stream(framework.stream_id)
        framework.stream_id = None
    framework.unregistered_time = m.ports.now()
    del m.frameworks[framework.id]
    m.allocator.remove_framework(framework.id)
    m.completed_frameworks[framework.id] = framework
    while len(m.completed_frameworks) > m.settings.max_completed_frameworks:
        m.completed_frameworks.popitem(last=False)
    m.publish(lambda: operator_events.framework_removed(framework.info))


def _kill_in_books(m: MasterState, framework: Framework, task_id: str) -> None:
    task = framework.tasks[task_id]
    status = events.task_status(
        task_id=task.id,
        state="TASK_KILLED",
        now=m.ports.now(),
        text=f"Framework {framework.id} removed",
        reason="REASON_FRAMEWORK_REMOVED",
        agent_id=task.agent_id,
        executor_id=task.executor_id,
    )
    tasks.apply_status(m, task, status)


# --- suppressing ----------------------------------------------------------------------------------------------


def _chosen_roles(framework: Framework, roles: Iterable[str]) -> list[str] | None:
    """The roles that a call names (none: all of the framework's); None when it names others."""
    named = list(roles)
    if not set(named) <= set(framework.roles):
        return None
    return named or list(framework.roles)


def suppress(m: MasterState, framework: Framework, call: pb.scheduler.Call.Suppress) -> None:
    """SUPPRESS: no offers for these roles."""
    m.counts["messages_suppress_offers"] += 1
    roles = _chosen_roles(framework, call.roles)
    if roles is not None:
        framework.suppressed.update(roles)
        m.allocator.suppress(framework.id, roles)


def revive(m: MasterState, framework: Framework, call: pb.scheduler.Call.Revive) -> None:
    """REVIVE: offers for these roles again, at once, and their filters end."""
    m.counts["messages_revive_offers"] += 1
    roles = _chosen_roles(framework, call.roles)
    if roles is not None:
        framework.suppressed.difference_update(roles)
        m.allocator.revive(framework.id, roles)
        offering.allocate(m)
