"""Frameworks: subscribing, failing over, disconnecting, changing, and being removed.

Mesos documentation, "Scheduler HTTP API" (SUBSCRIBE, TEARDOWN, UPDATE_FRAMEWORK), "High Availability Framework Guide". A
subscription that is refused gets an ERROR event and its stream is closed. A framework that disconnects keeps its tasks for
its failover timeout; a second subscription with the same id takes the framework over.
"""

from collections import deque
from collections.abc import Collection

from mesos_v1 import pb
from playa import messages
from playa.master.allocation import offer_constraints, offers
from playa.master.operator_api import views
from playa.master.records import Framework, new
from playa.master.scheduler_api import tasks
from playa.master.state import MasterState
from playa.master.validation import calls as validation
from playa.master.validation.rules import within
from playa.web import refuse

Call = pb.scheduler.Call
_Change = Call.Subscribe | Call.UpdateFramework


def subscribe(m: MasterState, call: Call.Subscribe, stream_id: str, principal: str | None) -> None:
    """SUBSCRIBE on a new stream."""
    info = call.framework_info
    known = bool(info.id.value)
    m.counts["messages_reregister_framework" if known else "messages_register_framework"] += 1
    removed = "Framework has been removed" if info.id.value in m.completed_frameworks else None
    wrong = validation.framework_info(info, m.settings.roles) or removed or _options_problem(call)
    if wrong is not None:
        error = new(pb.scheduler.Event, type="ERROR", error={"message": wrong})
        m.ports.to_stream(stream_id, error)
        m.ports.close_stream(stream_id)
        return
    if principal is not None and not info.HasField("principal"):
        info.principal = principal
    if not info.id.value:
        info.id.value = m.new_id()
    framework = m.frameworks.get(info.id.value)
    if framework is None:
        framework = add_framework(m, info)
    else:  # the subscription that it still has ends, and its offers, of which the new one knows nothing
        info.user, info.checkpoint = framework.info.user, framework.info.checkpoint  # these may not change
        m.send(framework, "error", message="Framework failed over")
        _close(m, framework)
        offers.end_all(m, framework, tell=False)
        framework.reregistered_time = m.ports.now()
        framework.recovered = False
    _update(framework, call)
    framework.counts.update(("calls", "calls/subscribe"))
    framework.stream_id = stream_id
    framework.active = True
    interval = m.settings.heartbeat_interval
    m.send(
        framework, "subscribed", framework_id=info.id, heartbeat_interval_seconds=interval, master_info=m.info
    )
    heartbeat(m, framework.id, stream_id)
    if known:
        _tell_agents(m, framework)
    _publish(m, "framework_updated" if known else "framework_added", framework)
    offers.allocate(m)


def _options_problem(call: _Change) -> str | None:
    roles = validation.roles_of(call.framework_info)
    wrong = validation.suppressed_roles(call.suppressed_roles, roles)
    return wrong or offer_constraints.problem(call.offer_constraints, roles)


def _publish(m: MasterState, kind: str, framework: Framework) -> None:
    m.publish(kind, lambda: {"framework": views.framework(m, framework)})


def add_framework(m: MasterState, info: pb.mesos.FrameworkInfo) -> Framework:
    """Take a framework on, not connected yet."""
    now = m.ports.now()
    framework = m.frameworks[info.id.value] = Framework(
        info,
        validation.roles_of(info),
        validation.capabilities_of(info),
        registered_time=now,
        reregistered_time=now,
        completed_tasks=deque(maxlen=m.settings.max_completed_tasks_per_framework),
    )
    return framework


def _close(m: MasterState, framework: Framework) -> None:
    if framework.stream_id is not None:
        m.ports.close_stream(framework.stream_id)
        framework.stream_id = None


def _update(framework: Framework, call: _Change) -> None:
    framework.info = pb.mesos.FrameworkInfo()
    framework.info.CopyFrom(call.framework_info)
    framework.roles = validation.roles_of(framework.info)
    framework.capabilities = validation.capabilities_of(framework.info)
    framework.suppressed = set(call.suppressed_roles)
    framework.offer_constraints = call.offer_constraints if call.HasField("offer_constraints") else None


def heartbeat(m: MasterState, framework_id: str, stream_id: str) -> None:
    """HEARTBEAT, now and again after the interval, as long as the subscription lasts."""
    framework = m.frameworks.get(framework_id)
    if framework is not None and framework.stream_id == stream_id:
        m.send(framework, "heartbeat")
        m.ports.later(m.settings.heartbeat_interval, "heartbeat", framework_id, stream_id)


def update_framework(m: MasterState, framework: Framework, call: Call.UpdateFramework) -> None:
    """UPDATE_FRAMEWORK."""
    info = call.framework_info
    refuse(within("Supplied FrameworkInfo is not valid", validation.framework_info(info, m.settings.roles)))
    refuse(within("FrameworkInfo update is not valid", validation.framework_update(framework.info, info)))
    refuse(within("'UpdateFramework' call is not valid", _options_problem(call)))
    changed = framework.info != info
    for offer in list(framework.offers.values()):
        if offer.role not in validation.roles_of(info):
            offers.rescind(m, offer)
    _update(framework, call)
    if changed:
        _tell_agents(m, framework)
        _publish(m, "framework_updated", framework)
    offers.allocate(m)


def _tell_agents(m: MasterState, framework: Framework) -> None:
    message = messages.UpdateFramework(framework.info.SerializeToString())
    for agent in m.agents.values():
        m.to_agent(agent, message)


def stream_taken(m: MasterState, stream_id: str) -> None:
    """Give up a subscription whose client went away before it was answered."""
    stream = m.ports.stream(stream_id)
    if stream is not None and not stream.taken:
        stream_closed(m, stream_id)


def stream_closed(m: MasterState, stream_id: str) -> None:
    """The connection of a subscription is gone."""
    m.ports.forget_stream(stream_id)
    framework = next((f for f in m.frameworks.values() if f.stream_id == stream_id), None)
    if framework is not None:
        _deactivate(m, framework)
        framework.stream_id = None
        timeout = max(framework.info.failover_timeout, 0.0)
        m.ports.later(timeout, "failover", framework.id, framework.reregistered_time)


def _deactivate(m: MasterState, framework: Framework) -> None:
    framework.active = False
    framework.filters.forget()  # its successor did not make them
    framework.inverse_filters.clear()
    offers.end_all(m, framework, tell=False)


def failover_timed_out(m: MasterState, framework_id: str, reregistered_time: float) -> None:
    """Remove a framework that did not come back in time."""
    framework = m.frameworks.get(framework_id)
    if framework and not framework.connected and framework.reregistered_time == reregistered_time:
        remove(m, framework)


def remove(m: MasterState, framework: Framework) -> None:
    """TEARDOWN, or the failover timeout is over: shut everything of a framework down and forget it."""
    if framework.active:
        _deactivate(m, framework)
    for agent in m.agents.values():
        m.to_agent(agent, messages.ShutdownFramework(framework.id))
    for task in list(framework.tasks.values()):
        text = f"Framework {framework.id} removed"
        killed = tasks.status_of(m, task, "TASK_KILLED", text, "REASON_FRAMEWORK_REMOVED")
        tasks.apply_status(m, task, killed)
        tasks.remove_task(m, task)
    framework.completed_tasks.extend(framework.unreachable_tasks.values())
    framework.unreachable_tasks.clear()
    for agent_id, executor_id in list(framework.executors):
        if agent_id in m.agents:
            tasks.remove_executor(m, m.agents[agent_id], framework.id, executor_id)
    for operation in framework.operations.values():
        operation.orphan = True
    framework.operations.clear()
    _close(m, framework)
    framework.unregistered_time = m.ports.now()
    del m.frameworks[framework.id]
    m.allocator.remove_framework(framework.id)
    m.completed_frameworks[framework.id] = framework
    while len(m.completed_frameworks) > m.settings.max_completed_frameworks:
        m.completed_frameworks.popitem(last=False)
    m.publish("framework_removed", lambda: {"framework_info": framework.info})


def _chosen_roles(framework: Framework, named: Collection[str]) -> Collection[str]:
    """The roles that a call names (none: all of the framework's); nothing when it names others."""
    return (named or framework.roles) if set(named) <= set(framework.roles) else ()


def suppress(_m: MasterState, framework: Framework, call: Call.Suppress) -> None:
    """SUPPRESS: no offers for these roles."""
    framework.suppressed.update(_chosen_roles(framework, call.roles))


def revive(m: MasterState, framework: Framework, call: Call.Revive) -> None:
    """REVIVE: offers for these roles again, at once, and their filters end."""
    roles = _chosen_roles(framework, call.roles)
    if roles:
        m.allocator.revive(framework, roles)
        offers.allocate(m)
