"""Maintenance of machines: the schedule, machines that drain, machines that are down.

Mesos documentation, "Maintenance Primitives". A machine in the schedule drains: its offers carry the unavailability, and
frameworks with something on it get inverse offers. START_MAINTENANCE takes its agents away, STOP_MAINTENANCE ends it.
Each function that changes something returns what is wrong with the request, or None.
"""

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import replace

from mesos_v1 import content, pb
from playa import messages
from playa.master.allocation import offering
from playa.master.records import Machine
from playa.master.registration import removing
from playa.master.state import MasterState


def machine_of(machine_id: pb.mesos.MachineID) -> Machine:
    """A machine's id as a value (host names do not tell upper from lower case)."""
    return Machine(machine_id.hostname.lower(), machine_id.ip)


def recover(m: MasterState) -> None:
    """Start with what the registry knows."""
    m.down_machines = {Machine(*machine) for machine in m.registry.down_machines}
    _note_unavailability(m, m.registry.maintenance_schedule())


def update_schedule(m: MasterState, schedule: pb.maintenance.Schedule) -> str | None:
    """UPDATE_MAINTENANCE_SCHEDULE: replace the schedule."""
    wrong = _schedule_problem(m, schedule)
    if wrong is not None:
        return wrong
    before = dict(m.unavailability)
    _note_unavailability(m, schedule)
    m.registry = replace(m.registry, schedule=schedule.SerializeToString())
    m.ports.save()
    for agent in m.agents.values():
        if m.unavailability.get(agent.machine) != before.get(agent.machine):
            for offer in list(agent.offers.values()):
                offering.rescind(m, offer)
            for inverse in list(agent.inverse_offers.values()):
                offering.remove_inverse_offer(m, inverse, tell=True)
            m.allocator.set_unavailable(agent.id, agent.machine in m.unavailability)
    offering.allocate(m)
    return None


def _note_unavailability(m: MasterState, schedule: pb.maintenance.Schedule) -> None:
    m.unavailability = {
        machine_of(machine_id): window.unavailability
        for window in schedule.windows
        for machine_id in window.machine_ids
    }


def _schedule_problem(m: MasterState, schedule: pb.maintenance.Schedule) -> str | None:
    seen: set[Machine] = set()
    for window in schedule.windows:
        if not window.machine_ids:
            return "List of machines in the maintenance window is empty"
        if window.unavailability.duration.nanoseconds < 0:
            return "Unavailability 'duration' is negative"
        wrong = _machines_problem(window.machine_ids, seen)
        if wrong is not None:
            return wrong
    for machine in sorted(m.down_machines - seen):
        return f"Machine '{_printed(machine)}' is deactivated and cannot be removed from the schedule"
    return None


def _machines_problem(machine_ids: Iterable[pb.mesos.MachineID], seen: set[Machine]) -> str | None:
    for machine_id in machine_ids:
        if not machine_id.hostname and not machine_id.ip:
            return "Both 'hostname' and 'ip' for a machine are empty"
        if machine_id.ip:
            try:
                ipaddress.ip_address(machine_id.ip)
            except ValueError:
                return f"Failed to parse IP address '{machine_id.ip}'"
        machine = machine_of(machine_id)
        if machine in seen:
            return f"Machine '{_printed(machine)}' appears more than once in the schedule"
        seen.add(machine)
    return None


def _printed(machine: Machine) -> str:
    return json.dumps({"hostname": machine.hostname, "ip": machine.ip}, separators=(",", ":"))


def start(m: MasterState, machine_ids: Iterable[pb.mesos.MachineID]) -> str | None:
    """START_MAINTENANCE: these machines go down now, with their agents."""
    machines, wrong = _named(machine_ids)
    if wrong is not None:
        return wrong
    for machine in machines:
        if machine not in m.unavailability:
            return f"Machine '{_printed(machine)}' is not part of a maintenance schedule"
        if machine in m.down_machines:
            return f"Machine '{_printed(machine)}' is not in DRAINING mode and cannot be brought down"
    m.down_machines.update(machines)
    _save(m)
    for agent in [a for a in m.agents.values() if a.machine in machines]:
        m.to_agent(agent, messages.ShutdownAgent("Operator initiated 'Machine DOWN'"))
        removing.remove_for_good(m, agent, "operator initiated 'Machine DOWN'")
    return None


def stop(m: MasterState, machine_ids: Iterable[pb.mesos.MachineID]) -> str | None:
    """STOP_MAINTENANCE: these machines may come back; they leave the schedule."""
    machines, wrong = _named(machine_ids)
    if wrong is not None:
        return wrong
    for machine in machines:
        if machine not in m.down_machines:
            return f"Machine '{_printed(machine)}' is not in DOWN mode and cannot be brought up"
    m.down_machines.difference_update(machines)
    schedule = pb.maintenance.Schedule()
    for window in m.registry.maintenance_schedule().windows:
        left = [i for i in window.machine_ids if machine_of(i) not in machines]
        if left:
            kept = schedule.windows.add()
            kept.machine_ids.extend(left)
            kept.unavailability.CopyFrom(window.unavailability)
    m.registry = replace(m.registry, schedule=schedule.SerializeToString())
    _note_unavailability(m, schedule)
    _save(m)
    return None


def _named(machine_ids: Iterable[pb.mesos.MachineID]) -> tuple[list[Machine], str | None]:
    listed = list(machine_ids)
    if not listed:
        return [], "List of machines is empty"
    return [machine_of(machine_id) for machine_id in listed], _machines_problem(listed, set())


def _save(m: MasterState) -> None:
    m.registry = replace(m.registry, down_machines=tuple((d.hostname, d.ip) for d in sorted(m.down_machines)))
    m.ports.save()


def status(m: MasterState) -> pb.maintenance.ClusterStatus:
    """GET_MAINTENANCE_STATUS: which machines drain or are down, and what frameworks say to it."""
    result = pb.maintenance.ClusterStatus()
    for machine in m.unavailability:
        if machine in m.down_machines:
            continue
        draining = result.draining_machines.add()
        _write(draining.id, machine)
        for agent in m.agents.values():
            if agent.machine == machine:
                draining.statuses.extend(m.allocator.inverse_statuses(agent.id))
    for machine in sorted(m.down_machines):
        _write(result.down_machines.add(), machine)
    return result


def _write(machine_id: pb.mesos.MachineID, machine: Machine) -> None:
    if machine.hostname:
        machine_id.hostname = machine.hostname
    if machine.ip:
        machine_id.ip = machine.ip


def schedule_as_json(m: MasterState) -> dict[str, object]:
    """The schedule, as `/maintenance/schedule` prints it."""
    return content.to_json(m.registry.maintenance_schedule())
