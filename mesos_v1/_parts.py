"""Small parts that the values of `values` have in common: labels, URLs, containers."""

from mesos_v1 import pb
from mesos_v1._texts import text

Labels = tuple[tuple[str, str | None], ...]
"""Pairs of key and value, in order; Mesos allows a key more than once, and a label without value."""


def labels_of(proto: pb.mesos.Labels) -> Labels:
    """Read labels."""
    return tuple(
        (text(label.key), text(label.value) if label.HasField("value") else None) for label in proto.labels
    )


def print_url(url: pb.mesos.URL) -> str:
    """Return a URL of the API as text."""
    host = text(url.address.hostname or url.address.ip)
    printed = f"{text(url.scheme)}://{host}:{url.address.port}{text(url.path)}"
    if url.query:
        printed += "?" + "&".join(f"{text(each.key)}={text(each.value)}" for each in url.query)
    return printed + (f"#{text(url.fragment)}" if url.HasField("fragment") else "")


def containers_of(status: pb.mesos.ContainerStatus) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a container's id, then those of the containers it is nested in; and its addresses."""
    ids: list[str] = []
    if status.HasField("container_id"):
        container = status.container_id
        ids.append(text(container.value))
        while container.HasField("parent"):
            container = container.parent
            ids.append(text(container.value))
    addresses = [
        text(each.ip_address)
        for info in status.network_infos
        for each in info.ip_addresses
        if each.ip_address
    ]
    return tuple(ids), tuple(addresses)
