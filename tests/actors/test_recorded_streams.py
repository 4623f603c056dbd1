"""What a real Mesos sent, fed to our connection cut at arbitrary bytes: it comes to the recorded conclusions."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from actors import messages as m
from actors.framework_settings import FrameworkSettings
from actors.runtime import ActorSystem
from mesos_v1 import events, pb
from mesos_v1.content import ContentType, from_json, serialize
from mesos_v1.recordio import encode
from tests.actors.test_connection_over_http import QUICK, Bench
from tests.support.scripted_master import scripted_master

RECORDED = Path(__file__).parents[1] / "recorded"
Event = pb.scheduler.Event


def streams(name: str) -> list[list[Event]]:
    """The events of each scheduler subscription of a scenario, in order; a new SUBSCRIBED begins a new one."""
    found: list[list[Event]] = []
    for line in (RECORDED / name).read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] != "event" or entry.get("side") or entry["conn"] not in {"scheduler", "protobuf"}:
            continue
        body = entry["event"]
        event = Event.FromString(base64.b64decode(body["b64"])) if "b64" in body else from_json(Event, body)
        if event.type == Event.SUBSCRIBED or not found:
            found.append([])
        found[-1].append(event)
    return found


SCENARIOS = sorted(path.name for path in RECORDED.glob("*.jsonl") if streams(path.name))


def expected(sent: list[Event]) -> dict[type, list[Any]]:
    """What the messages must say, read from the events by hand."""
    conclusions: dict[type, list[Any]] = {}
    for event in sent:
        if event.type == Event.OFFERS:
            for offer in event.offers.offers:
                cpus = sum(r.scalar.value for r in offer.resources if r.name == "cpus")
                conclusions.setdefault(events.Offers, []).append((offer.id.value, offer.agent_id.value, cpus))
        elif event.type == Event.UPDATE:
            status = event.update.status
            state = pb.mesos.TaskState.Name(status.state)
            conclusions.setdefault(events.Update, []).append((status.task_id.value, state, status.uuid))
        elif event.type == Event.RESCIND:
            conclusions.setdefault(events.Rescind, []).append(event.rescind.offer_id.value)
        elif event.type == Event.MESSAGE:
            conclusions.setdefault(events.Message, []).append(event.message.data)
        elif event.type == Event.FAILURE and event.failure.HasField("executor_id"):
            conclusions.setdefault(m.ExecutorLost, []).append(event.failure.executor_id.value)
        elif event.type == Event.FAILURE:
            conclusions.setdefault(m.AgentLost, []).append(event.failure.agent_id.value)
        elif event.type == Event.INVERSE_OFFERS:
            ids = [offer.id.value for offer in event.inverse_offers.inverse_offers]
            conclusions.setdefault(events.InverseOffers, []).append(ids)
        elif event.type == Event.UPDATE_OPERATION_STATUS:
            done = event.update_operation_status.status
            pair = (done.operation_id.value, done.uuid.value)
            conclusions.setdefault(events.UpdateOperationStatus, []).append(pair)
        elif event.type == Event.ERROR:
            conclusions.setdefault(m.FrameworkError, []).append(event.error.message)
    return conclusions


def concluded(messages: list[Any]) -> dict[type, list[Any]]:
    """What the messages say."""
    conclusions: dict[type, list[Any]] = {}
    for message in messages:
        read = READERS.get(type(message))
        if read is not None:
            conclusions.setdefault(type(message), []).extend(read(message))
    return conclusions


READERS = {
    events.Offers: lambda x: [(o.id, o.agent_id, o.resources.cpus) for o in x.offers],
    events.Update: lambda x: [(x.status.task_id, x.status.state, x.status.uuid)],
    events.Rescind: lambda x: [x.offer_id],
    events.Message: lambda x: [x.data],
    m.ExecutorLost: lambda x: [x.executor_id],
    m.AgentLost: lambda x: [x.agent_id],
    events.InverseOffers: lambda x: [[offer.id for offer in x.offers]],
    events.UpdateOperationStatus: lambda x: [(x.status.operation_id or "", x.status.uuid)],
    m.FrameworkError: lambda x: [x.reason],
}


@pytest.mark.parametrize("cut", [1, 13, 997, 0])
@pytest.mark.parametrize("content_type", ["protobuf", "json"])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_recorded_scenario_comes_to_the_recorded_conclusions(scenario, content_type, cut):
    content = ContentType.PROTOBUF if content_type == "protobuf" else ContentType.JSON
    async with scripted_master() as master, ActorSystem() as system:
        master.greets = False
        settings = FrameworkSettings(name="t", user="u", master=master.url, content_type=content_type)
        bench = Bench(system, master, settings, QUICK)
        bench.connection.tell(m.Connect())
        recorded = streams(scenario)
        for number, sent in enumerate(recorded, 1):
            await master.until(lambda: len(master.subscribes) == number)  # noqa: B023 - awaited at once
            await master.until(lambda: len(master.stream_ids) == number)  # noqa: B023
            data = b"".join(encode(serialize(event, content)) for event in sent)
            if content_type == "protobuf" and cut == 1:
                data, rest = data[:3000], data[3000:]  # byte by byte where records begin, the rest at once
                await master.send_bytes(data, cut=1)
                await master.send_bytes(rest) if rest else None
            else:
                await master.send_bytes(data, cut=cut if cut != 1 else 29)
            wanted = sum(len(found) for found in expected(sent).values())
            conclusions: dict[type, list[Any]] = {}

            def all_there(wanted=wanted, known=number):
                nonlocal conclusions
                conclusions = concluded([*bench.scheduler, *bench.offers])
                subscriptions = sum(isinstance(x, m.Subscribed) for x in bench.scheduler)
                return sum(map(len, conclusions.values())) >= wanted and subscriptions == known

            await master.until(all_there)
            assert conclusions == expected(sent)
            greeting = [x for x in bench.scheduler if isinstance(x, m.Subscribed)][-1]
            assert greeting.framework_id == sent[0].subscribed.framework_id.value
            assert greeting.heartbeat_interval == sent[0].subscribed.heartbeat_interval_seconds
            bench.scheduler[:] = [x for x in bench.scheduler if isinstance(x, m.Subscribed)]
            bench.offers.clear()
            if number < len(recorded):
                await master.end_stream()


def test_the_recordings_hold_what_these_tests_are_about():
    kinds = {type_ for name in SCENARIOS for sent in streams(name) for type_ in expected(sent)}
    assert {
        events.Offers,
        events.Update,
        events.Message,
        m.ExecutorLost,
        events.InverseOffers,
    } <= kinds
