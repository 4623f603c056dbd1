"""What a real Mesos agent said to an executor, said again to ours: it comes to the conclusions that were recorded.

The recorded executor was a small one over plain bytes; `authors.Raw` does on purpose what that one did. The recorded events go
through a real socket, in JSON and in protobuf, cut into pieces of several sizes. Uuids differ, so an
acknowledgement is said again with the uuid of our update for the same task and state.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from executor.connection_actor import AgentLink
from executor.environment import AgentEnvironment
from mesos_v1 import pb
from mesos_v1.content import from_json
from mesos_v1.values import ExecutorId
from tests.support.agent_script import AgentScript, serve

RECORDED = Path(__file__).parent.parent / "recorded"
Event = pb.executor.Event


@dataclass(frozen=True)
class Recording:
    """One executor's life as it was recorded: its environment, and what it heard and said in order."""

    name: str
    variables: dict[str, str]
    records: tuple[dict[str, Any], ...]

    def events(self) -> list[dict[str, Any]]:
        return [record["event"] for record in self.records if record["kind"] == "event"]

    def accepted(self) -> list[tuple[str, ...]]:
        """What the executor said and the agent accepted: (type, task, state)."""
        said = []
        waiting: list[dict[str, Any]] = []
        for record in self.records:
            if record["kind"] == "request":
                waiting.append(record["body"])
            elif record["kind"] == "response":
                body = waiting.pop(0)
                if record["status"] < 300:
                    said.append(_fact(body))
        return said


def _fact(body: dict[str, Any]) -> tuple[str, ...]:
    if body["type"] == "UPDATE":
        status = body["update"]["status"]
        return ("UPDATE", status["task_id"]["value"], status["state"])
    return (body["type"],)


def recordings() -> list[Recording]:
    found = []
    for path in sorted(RECORDED.glob("*.jsonl")):
        lives: list[list[dict[str, Any]]] = []
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if record.get("side") != "executor":
                continue
            if record["kind"] == "environment":
                lives.append([])
            lives[-1].append(record)
        for life in lives:
            name = f"{path.stem}: {life[0]['body']['MESOS_EXECUTOR_ID']}"
            found.append(Recording(name, life[0]["body"], tuple(life[1:])))
    return found


def _said(script: AgentScript) -> list[tuple[str, ...]]:
    names = pb.executor.Call.Type.Name
    return [
        ("UPDATE", call.update.status.task_id.value, pb.mesos.TaskState.Name(call.update.status.state))
        if call.type == pb.executor.Call.UPDATE
        else (names(call.type),)
        for call in script.calls
    ]


def _uuid_facts(recording: Recording) -> dict[str, tuple[str, str]]:
    return {
        record["body"]["update"]["status"]["uuid"]: (
            record["body"]["update"]["status"]["task_id"]["value"],
            record["body"]["update"]["status"]["state"],
        )
        for record in recording.records
        if record["kind"] == "request"
        and record["body"].get("type") == "UPDATE"
        and "uuid" in record["body"].get("update", {}).get("status", {})
    }


@pytest.mark.parametrize("cut", [0, 1, 7, 1000])
@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.name)
async def test_a_recorded_life_comes_to_the_recorded_conclusions(start, recording, content_type, cut):
    script = AgentScript(content_type=content_type, acknowledge=False)
    script.answers_subscribed = False
    facts = _uuid_facts(recording)
    environment = AgentEnvironment.read(recording.variables)
    async with serve(script, cut=cut) as endpoint:
        here = replace(environment, endpoint=endpoint)
        async with start("Raw", script=script, boot=False, new_link=AgentLink, around=here) as run:
            subscribe = await script.until_subscribed()
            assert subscribe.framework_id.value == recording.variables["MESOS_FRAMEWORK_ID"]
            assert ExecutorId(subscribe.executor_id.value) == recording.variables["MESOS_EXECUTOR_ID"]
            for event in recording.events():
                await _say(script, event, facts)
            expected = [fact for fact in recording.accepted() if fact[1:2] != ("nosuchtask",)]
            await script.until(lambda: not set(expected) - set(_said(script)))
            if any(event["type"] == "SHUTDOWN" for event in recording.events()):
                code, reason = await run.exit()
                assert (code, reason) == (0, "the agent said SHUTDOWN")
        for task in {fact[1] for fact in expected if fact[0] == "UPDATE"}:
            ours = [fact[2] for fact in _said(script) if fact[:2] == ("UPDATE", task)]
            theirs = [fact[2] for fact in expected if fact[:2] == ("UPDATE", task)]
            assert ours[: len(theirs)] == theirs
            assert ours[len(theirs) :] in ([], ["TASK_KILLED"])  # ours reports what a SHUTDOWN killed
        kinds = [fact[0] for fact in _said(script)]
        assert kinds.count("SUBSCRIBE") == 1
        assert ("MESSAGE" in kinds) == any(fact[0] == "MESSAGE" for fact in expected)


async def _say(script: AgentScript, event: dict[str, Any], facts: dict[str, tuple[str, str]]) -> None:
    if event["type"] == "ACKNOWLEDGED":
        task_id, state = facts[event["acknowledged"]["uuid"]]
        ours = await script.until_state(task_id, state)
        script.say_acknowledged(task_id, ours.uuid)
    else:
        script.say(from_json(Event, event))
