"""The forms in which Mesos writes resources, and their order in offers.

Since reservation refinement (Mesos documentation, "Reservation") there are three: the new one, `reservations`, for frameworks
with that capability and between master and agents (`Resources.to_proto` gives it); the old one, `role` and `reservation`, for
frameworks without it; and both together, for the operator API's totals.
"""

from collections.abc import Iterable

from mesos_v1 import pb
from mesos_v1.resource import Kind, Resource
from mesos_v1.resources import Resources

_SCALAR_ORDER = {"cpus": 0, "mem": 1, "disk": 2}
_ReservationInfo = pb.mesos.Resource.ReservationInfo


def offered(resources: Resources, capabilities: frozenset[str]) -> list[pb.mesos.Resource]:
    """Resources as they stand in an offer: in Mesos's order, in the form that the framework reads."""
    protos = [entry.to_proto() for entry in in_offer_order(resources) for _ in range(entry.count)]
    for proto in protos:
        if "RESERVATION_REFINEMENT" not in capabilities:
            _downgrade(proto)
        if "MULTI_ROLE" not in capabilities:
            proto.ClearField("allocation_info")
    return protos


def in_offer_order(resources: Resources) -> list[Resource]:
    """Ranges and sets first, then what is reserved, then the rest; the usual scalars in the usual order."""

    def rank(entry: Resource) -> tuple[int, int]:
        if entry.kind is not Kind.SCALAR:
            return 0, 0
        return 1 if entry.facts.reservations else 2, _SCALAR_ORDER.get(entry.name, len(_SCALAR_ORDER))

    return sorted(resources, key=rank)


def both_forms(resources: Resources) -> list[pb.mesos.Resource]:
    """With `reservations`, and with `role` and `reservation` where one reservation can say it."""
    protos = resources.to_proto()
    for proto in protos:
        stack = list(proto.reservations)
        _downgrade(proto)
        proto.reservations.extend(stack)
    return protos


def to_new_form(protos: Iterable[pb.mesos.Resource]) -> None:
    """Change messages in place, as they come from a framework."""
    for proto in protos:
        if not proto.reservations and proto.HasField("role") and proto.role != "*":
            kind = _ReservationInfo.DYNAMIC if proto.HasField("reservation") else _ReservationInfo.STATIC
            added = proto.reservations.add()
            added.MergeFrom(proto.reservation)
            added.type, added.role = kind, proto.role
        proto.ClearField("role")
        proto.ClearField("reservation")


def _downgrade(proto: pb.mesos.Resource) -> None:
    if not proto.reservations:
        proto.role = "*"
        return
    if len(proto.reservations) > 1:
        return  # there is no old form of a refined reservation
    only = proto.reservations[0]
    proto.role = only.role
    if only.type == _ReservationInfo.DYNAMIC:
        proto.reservation.CopyFrom(only)
        proto.reservation.ClearField("type")
        proto.reservation.ClearField("role")
    del proto.reservations[:]
