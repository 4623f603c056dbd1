"""Changes to the reservations of a resource: push (reserve or refine), pop (unreserve), clear.

Each changes the protobuf message that it is given, which is always a private copy of a resource's metadata.
"""

from mesos_v1 import pb
from mesos_v1.errors import ResourceError
from mesos_v1.resource_meta import Reservation, modernise


def push(proto: pb.mesos.Resource, reservation: Reservation) -> None:
    """Add a reservation on top; the role must lie below the one it refines (Mesos: Reservation, "Refinement")."""
    modernise(proto)
    if reservation.role == "*":
        raise ResourceError("nothing can be reserved for the role '*'")
    if proto.reservations:
        outer = proto.reservations[-1].role
        if not reservation.role.startswith(outer + "/"):
            raise ResourceError(
                f"the role {reservation.role!r} does not refine {outer!r}: it must begin with {outer}/"
            )
        if not reservation.dynamic:
            raise ResourceError("a reservation that refines another must be dynamic")
    proto.reservations.append(reservation.to_proto())


def pop(proto: pb.mesos.Resource) -> None:
    """Remove the innermost reservation."""
    modernise(proto)
    if not proto.reservations:
        raise ResourceError("it is not reserved")
    del proto.reservations[-1]


def clear(proto: pb.mesos.Resource) -> None:
    """Remove all reservations."""
    modernise(proto)
    del proto.reservations[:]
