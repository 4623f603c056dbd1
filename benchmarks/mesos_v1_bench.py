"""How fast the Mesos V1 API is read and written; run: python benchmarks/mesos_v1_bench.py

Each line: what is done, how often a second, and what it is that is counted.
"""

import time
from collections.abc import Callable, Iterator
from itertools import cycle

from mesos_v1 import calls, content, events, pb, recordio, task_infos
from mesos_v1.content import ContentType
from mesos_v1.resources import Reservation, Resources
from mesos_v1.values import AgentId, OfferId, TaskId

SECONDS = 0.3


def rate(work: Callable[[], object], things: int = 1) -> float:
    """Return how many things a second `work` gets done; the best of three rounds."""
    for _ in range(60):
        work()
    best = 0.0
    for _ in range(3):
        done = 0
        began = time.perf_counter()
        while time.perf_counter() - began < SECONDS / 3:
            work()
            done += things
        best = max(best, done / (time.perf_counter() - began))
    return best


def offers_event(agents: int, distinct: bool, first: int = 0) -> pb.scheduler.Event:
    event = pb.scheduler.Event(type=pb.scheduler.Event.OFFERS)
    for number in range(first, first + agents):
        offer = event.offers.offers.add(hostname=f"host-{number}")
        offer.id.value = f"16b0aeb5-f5d3-42de-b0a9-99e2e9625b85-O{number}"
        offer.framework_id.value = "16b0aeb5-f5d3-42de-b0a9-99e2e9625b85-0000"
        offer.agent_id.value = f"16b0aeb5-f5d3-42de-b0a9-99e2e9625b85-S{number}"
        offer.allocation_info.role = "*"
        offer.url.scheme = "http"
        offer.url.address.hostname = f"host-{number}"
        offer.url.address.port = 5051
        for name, value in (("rack", "r1"), ("zone", "eu")):
            attribute = offer.attributes.add(name=name, type=pb.mesos.Value.TEXT)
            attribute.text.value = value
        have = Resources.of(
            cpus=4 + (number / 1000 if distinct else 0),
            mem=4096 + (number if distinct else 0),
            disk=10000,
            ports=[(31000, 32000 + (number if distinct else 0))],
        )
        offer.resources.extend(have.allocate("*").to_proto())
    return event


def update_event() -> pb.scheduler.Event:
    event = pb.scheduler.Event(type=pb.scheduler.Event.UPDATE)
    status = event.update.status
    status.task_id.value = "crawl-17"
    status.state = pb.mesos.TASK_FINISHED
    status.source = pb.mesos.TaskStatus.SOURCE_EXECUTOR
    status.agent_id.value = "16b0aeb5-f5d3-42de-b0a9-99e2e9625b85-S0"
    status.executor_id.value = "crawl-1"
    status.uuid = b"0123456789abcdef"
    status.timestamp = 1795202544.985551
    status.data = b"x" * 300
    status.container_status.container_id.value = "ec95c5aa-9f26-4fcc-9368-916e55ac2da7"
    return event


def main() -> None:
    rows: list[tuple[str, float, str]] = []

    small = recordio.encode(update_event().SerializeToString()) * 1000
    pieces = [small[i : i + 65536] for i in range(0, len(small), 65536)]
    tiny = [small[i : i + 100] for i in range(0, len(small), 100)]

    def decode(parts: list[bytes]) -> None:
        decoder = recordio.Decoder()
        for part in parts:
            decoder.feed(part)

    rows.append(("RecordIO, 64 KiB pieces", rate(lambda: decode(pieces), 1000), "records"))
    rows.append(("RecordIO, 64 KiB pieces", rate(lambda: decode(pieces), len(small)) / 1e6, "MB"))
    rows.append(("RecordIO, 100-byte pieces", rate(lambda: decode(tiny), 1000), "records"))

    for content_type in ContentType:
        kind = content_type.name.lower()
        update = content.serialize(update_event(), content_type)

        def read_update(data: bytes = update, how: ContentType = content_type) -> None:
            events.parse(data, how)

        rows.append((f"UPDATE, {kind} bytes to value", rate(read_update), "updates"))
        for distinct in (False, True):
            # so many different ones that nothing is remembered from the last time around
            bodies = cycle(
                content.serialize(offers_event(100, distinct, first), content_type)
                for first in range(0, 5000 if distinct else 100, 100)
            )

            def read_offers(bodies: Iterator[bytes] = bodies, how: ContentType = content_type) -> None:
                events.parse(next(bodies), how)

            which = "all different" if distinct else "all alike"
            rows.append((f"OFFERS of 100, {which}, {kind} bytes to values", rate(read_offers, 100), "offers"))

    have = (
        Resources.of(cpus=16, mem=65536, disk=100000, ports=[(31000, 32000)])
        + Resources.of(cpus=4, mem=1024).push_reservation(Reservation("ads"))
    ).allocate("ads")
    want = Resources.of(cpus=0.5, mem=128)
    taken = have.take(want)
    assert taken is not None
    rows.append(("Resources: contains", rate(lambda: have.contains(taken)), "times"))
    rows.append(("Resources: subtract", rate(lambda: have - taken), "times"))
    rows.append(("Resources: add", rate(lambda: have + taken), "times"))
    rows.append(("Resources: take", rate(lambda: have.take(want)), "times"))
    rows.append(("Resources: to protobuf (7 entries)", rate(have.to_proto), "times"))

    agent = AgentId("16b0aeb5-f5d3-42de-b0a9-99e2e9625b85-S0")

    def accept() -> bytes:
        tasks = [task_infos.task_info(TaskId(f"crawl-{n}"), agent, taken, data=b"x" * 200) for n in range(10)]
        call = calls.accept([OfferId("16b0aeb5-O0")], [calls.launch(tasks)], 5)
        return content.serialize(call, ContentType.PROTOBUF)

    rows.append(("ACCEPT of 10 tasks, values to protobuf bytes", rate(accept, 10), "tasks"))
    task_id, uuid = TaskId("crawl-17"), b"0123456789abcdef"
    rows.append(
        (
            "ACKNOWLEDGE, values to protobuf bytes",
            rate(lambda: content.serialize(calls.acknowledge(agent, task_id, uuid), ContentType.PROTOBUF)),
            "calls",
        )
    )
    for what, amount, unit in rows:
        print(f"{what:<55} {amount:>12,.0f} {unit}/s")


if __name__ == "__main__":
    main()
