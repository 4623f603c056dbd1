"""Maintenance of machines: the schedule, machines that drain, machines that are down.

Mesos documentation, "Maintenance Primitives". A machine in the schedule drains: its offers carry the unavailability, and
frameworks with something on it get inverse offers. START_MAINTENANCE takes its agents away, STOP_MAINTENANCE ends it.
"""

import ipaddress
import json
from collections.abc import Collection, Container

from mesos_v1 import pb
from playa import messages
from playa.master.agents import liveness
from playa.master.allocation import offers
from playa.master.records import Machine
from playa.master.state import MasterState
from playa.master.validation.rules import Rows, validator
from playa.web import refuse

MachineIDs = Collection[pb.mesos.MachineID]
_Known = tuple[Container[Machine], str]  # machines, and what is wrong with one that is not among them (or is)


def _machines(machine_ids: MachineIDs) -> list[Machine]:
    """Ids as values; host names do not tell upper from lower case."""
    return [Machine(machine_id.hostname.lower(), machine_id.ip) for machine_id in machine_ids]


def recover(m: MasterState) -> None:
    """Start with what the registry knows."""
    _schedule(m, m.registry.schedule)


def _schedule(m: MasterState, schedule: pb.maintenance.Schedule) -> None:
    m.registry.schedule = schedule
    m.unavailability = {
        machine: window.unavailability
        for window in schedule.windows
        for machine in _machines(window.machine_ids)
    }


def update_schedule(m: MasterState, schedule: pb.maintenance.Schedule) -> None:
    """UPDATE_MAINTENANCE_SCHEDULE: replace the schedule."""
    refuse(_schedule_problem(m, schedule))
    before = m.unavailability
    _schedule(m, schedule)
    m.ports.save()
    for agent in m.agents.values():
        if m.unavailability.get(agent.machine) != before.get(agent.machine):
            offers.end_all(m, agent, tell=True)
            m.allocator.forget_answers(agent)
    offers.allocate(m)


def start(m: MasterState, machine_ids: MachineIDs) -> None:
    """START_MAINTENANCE: these machines go down now, with their agents."""
    not_scheduled = "is not part of a maintenance schedule"
    is_down = "is not in DRAINING mode and cannot be brought down"
    refuse(_named_problem(machine_ids, (m.unavailability, not_scheduled), not_in=(m.down_machines, is_down)))
    machines = _machines(machine_ids)
    m.down_machines.update(machines)
    m.ports.save()
    for agent in [a for a in m.agents.values() if a.machine in machines]:
        m.to_agent(agent, messages.ShutdownAgent("Operator initiated 'Machine DOWN'"))
        liveness.remove_for_good(m, agent, "operator initiated 'Machine DOWN'")


def stop(m: MasterState, machine_ids: MachineIDs) -> None:
    """STOP_MAINTENANCE: these machines may come back; they leave the schedule."""
    refuse(_named_problem(machine_ids, (m.down_machines, "is not in DOWN mode and cannot be brought up")))
    machines = set(_machines(machine_ids))
    m.down_machines -= machines
    schedule = pb.maintenance.Schedule()
    for window in m.registry.schedule.windows:
        left = [i for i in window.machine_ids if machines.isdisjoint(_machines([i]))]
        if left:
            schedule.windows.add(machine_ids=left, unavailability=window.unavailability)
    _schedule(m, schedule)
    m.ports.save()


def status(m: MasterState) -> pb.maintenance.ClusterStatus:
    """GET_MAINTENANCE_STATUS: which machines drain or are down, and what frameworks say to it."""
    result = pb.maintenance.ClusterStatus()
    for hostname, ip in [machine for machine in m.unavailability if machine not in m.down_machines]:
        here = [agent for agent in m.agents.values() if agent.machine == (hostname, ip)]
        answers = [answer for agent in here for answer in agent.inverse_statuses.values()]
        result.draining_machines.add(id={"hostname": hostname or None, "ip": ip or None}, statuses=answers)
    for hostname, ip in sorted(m.down_machines):
        result.down_machines.add(hostname=hostname or None, ip=ip or None)
    return result


@validator
def _schedule_problem(m: MasterState, schedule: pb.maintenance.Schedule) -> Rows:
    seen: set[Machine] = set()
    for window in schedule.windows:
        yield not window.machine_ids and "List of machines in the maintenance window is empty"
        yield window.unavailability.duration.nanoseconds < 0 and "Unavailability 'duration' is negative"
        yield _machines_problem(window.machine_ids, seen)
    for machine in sorted(m.down_machines - seen):
        yield f"Machine '{_printed(machine)}' is deactivated and cannot be removed from the schedule"


@validator
def _machines_problem(machine_ids: MachineIDs, seen: set[Machine]) -> Rows:
    for machine_id in machine_ids:
        if not machine_id.hostname and not machine_id.ip:
            yield "Both 'hostname' and 'ip' for a machine are empty"
        try:
            ipaddress.ip_address(machine_id.ip or "0.0.0.0")
        except ValueError:
            yield f"Failed to parse IP address '{machine_id.ip}'"
        (machine,) = _machines([machine_id])
        yield machine in seen and f"Machine '{_printed(machine)}' appears more than once in the schedule"
        seen.add(machine)


@validator
def _named_problem(machine_ids: MachineIDs, known: _Known, *, not_in: _Known = ((), "")) -> Rows:
    yield not machine_ids and "List of machines is empty"
    yield _machines_problem(machine_ids, set())
    for machine in _machines(machine_ids):
        yield machine not in known[0] and f"Machine '{_printed(machine)}' {known[1]}"
        yield machine in not_in[0] and f"Machine '{_printed(machine)}' {not_in[1]}"


def _printed(machine: Machine) -> str:
    return json.dumps(machine._asdict(), separators=(",", ":"))
