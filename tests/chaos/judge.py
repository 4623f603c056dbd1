"""Says what a chaos run has broken, from what was seen from outside: the books, the wire, the master, and the traces.

It knows what a framework promises, and nothing of how a scheduler keeps that: which tasks there are, that an update is identified by
a uuid, that actors write to one called "store", which answers `Stored`, and tell "connection" to acknowledge.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path
from typing import Any, NamedTuple

from actors.runtime import read_trace
from mesos_v1.states import TaskState, is_terminal
from tests.chaos.books import kind_of

ALLOWED = {
    "plain": {"finished"},
    "command": {"finished"},
    "failing": {"failed"},
    "killed": {"killed", "finished"},  # that it is to be killed may come too late
}


class Step(NamedTuple):
    """A message of a scheduler's trace that has to do with durability, as it was handled: `what` happened for whom.

    "write" (of an actor, who wants this uuid and more stored), "stored" (to that actor), "acknowledge" (of one update).
    """

    at: float
    run: str  # which start of which scheduler
    what: str
    actor: str
    reference: int = 0
    task: str = ""
    uuid: bytes = b""


@dataclass
class Evidence:
    """What there is to judge by."""

    tasks: int
    effects: list[tuple[int, str, str]] = field(default_factory=list)  # number, Mesos task id, token
    told: list[tuple[str, str, str]] = field(default_factory=list)  # outcome, task id, token
    heard: list[tuple[str, int, str]] = field(
        default_factory=list
    )  # process, number of its message, scheduler's process
    notes: list[str] = field(default_factory=list)
    wire: list[dict[str, Any]] = field(default_factory=list)  # each call that left a scheduler (`tap.py`)
    steps: list[Step] = field(default_factory=list)  # of all runs of schedulers, in order of time
    master: list[tuple[str, str]] = field(default_factory=list)  # task id and state, at the end
    complaints: list[str] = field(default_factory=list)  # of whoever ran it: what hung, what stayed behind

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The calls that were not refused: the others have changed nothing."""
        return [call for call in self.wire if not call.get("refused")]


class Broken(NamedTuple):
    rule: str
    what: str


def judge(seen: Evidence) -> list[Broken]:
    """Return what was broken, at most a few examples for each rule."""
    return [
        Broken(name, what)
        for name, rule in RULES.items()
        for what, _ in zip(rule(seen), range(5), strict=False)
    ]


def _one_result_each(seen: Evidence) -> Iterator[str]:
    results: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for outcome, task, token in seen.told:
        results[task].add((outcome, token))
    tokens = {(number, token) for number, _, token in seen.effects}
    ran = {number for number, _, _ in seen.effects}
    for number in range(seen.tasks):
        told = results.pop(f"t-{number}", set())
        if len(told) != 1:
            yield f"t-{number} has {len(told)} results: {sorted(told)}"
            continue
        outcome, token = next(iter(told))
        if outcome not in ALLOWED[kind_of(number)]:
            yield f"t-{number} ({kind_of(number)}) was told as {outcome}"
        elif token != "-" and (number, token) not in tokens:
            yield f"the result of t-{number} is {token}, which nothing that ran has drawn"
        elif outcome == "finished" and number not in ran:
            yield f"t-{number} was told as {outcome}, and never ran"
    for stranger in results:
        yield f"{stranger} was told, and is none of the tasks"


def _none_runs(seen: Evidence) -> Iterator[str]:
    for task, state in seen.master:
        if not is_terminal(TaskState(state)):
            yield f"{task} is {state}"
    yield from (
        f"the scheduler says: {note}"
        for note in seen.notes
        if note.startswith("active ") and note != "active 0"
    )


def _none_is_unknown(seen: Evidence) -> Iterator[str]:
    launched = {task for call in seen.taken for task in call.get("tasks", ())}
    yield from (
        f"{task} is at the master, and was never launched" for task, _ in seen.master if task not in launched
    )
    yield from (f"{task} ran, and was never launched" for _, task, _ in seen.effects if task not in launched)
    yield from (note for note in seen.notes if note.startswith("unknown "))


def _offers_once(seen: Evidence) -> Iterator[str]:
    """An offer is accepted once, and not after it was given back; to give back what may not have been taken is right."""
    used: set[str] = set()
    for call in seen.taken:
        if call["call"] == "ACCEPT":
            yield from (f"offer {offer} was used before" for offer in call["offers"] if offer in used)
        used.update(call.get("offers", ()))


def _started_once(seen: Evidence) -> Iterator[str]:
    launched = Counter(task for call in seen.taken for task in call.get("tasks", ()))
    yield from (f"{task} was launched {times} times" for task, times in launched.items() if times > 1)
    started = Counter(task for _, task, _ in seen.effects)
    yield from (f"{task} was started {times} times" for task, times in started.items() if times > 1)


def _stored_first(seen: Evidence) -> Iterator[str]:
    """An update is acknowledged when the run that has written its uuid has heard that it is stored.

    A run that has not written it knows it from the store, if an earlier one has. One that changes nothing is written by
    nobody: that of an attempt before the last one.
    """
    last: dict[str, int] = defaultdict(int)
    for call in seen.taken:
        for mesos_id in call.get("tasks", ()):
            task, _, attempt = mesos_id.rpartition(".")
            last[task] = max(last[task], int(attempt))
    writers: dict[bytes, set[str]] = defaultdict(set)
    for step in seen.steps:
        if step.what == "write" and step.uuid:
            writers[step.uuid].add(step.run)
    waiting: dict[tuple[str, str, int], bytes] = {}
    durable: set[bytes] = set()
    for step in seen.steps:
        if step.what == "write":
            waiting[step.run, step.actor, step.reference] = step.uuid
        elif step.what == "stored":
            durable.add(waiting.pop((step.run, step.actor, step.reference), b""))
        elif step.uuid not in durable:
            task, _, attempt = step.task.rpartition(".")
            if step.run in writers[step.uuid]:
                yield f"{step.task} was acknowledged before it was stored, in {step.run}"
            elif not writers[step.uuid] and int(attempt) == last[task]:
                yield f"{step.task} was acknowledged and never stored, in {step.run}"


def _one_speaks(seen: Evidence) -> Iterator[str]:
    """Whoever has subscribed last leads; of anybody else not even what would be refused is sent."""
    leads = ""
    for call in seen.wire:
        whose = call.get("scheduler", "")
        if call["call"] == "SUBSCRIBE":
            leads = leads if call.get("refused") else whose
        elif whose != leads:
            yield f"{call['call']} of {whose}, after {leads} had subscribed"


def _hooks_launch_once(seen: Evidence) -> Iterator[str]:
    yield from (note for note in seen.notes if note.startswith("refused "))


def _messages_in_order(seen: Evidence) -> Iterator[str]:
    """Each scheduler hears of a process one message after the other; the first may be one that its predecessor has not stored."""
    most_heard: dict[str, int] = defaultdict(int)
    last: dict[tuple[str, str], int] = {}
    for process, number, scheduler in seen.heard:
        before = last.get((process, scheduler))
        in_turn = number <= most_heard[process] + 1 if before is None else number == before + 1
        if not in_turn:
            yield f"message {number} of {process} came after {before or most_heard[process]}"
        last[process, scheduler] = number
        most_heard[process] = max(number, most_heard[process])
    # One whose hook was called by a scheduler that died before that was stored, and whose process died then, counts as never said.
    most = len({(process, number) for process, number, _ in seen.heard})
    counted = [int(note.split()[1]) for note in seen.notes if note.startswith("messages ")]
    yield from (f"{most} messages came, and {count} are counted" for count in counted if count > most)


def _counted_once(seen: Evidence) -> Iterator[str]:
    wrong = [note for note in seen.notes if note.startswith("counted ") and note != f"counted {seen.tasks}"]
    yield from (f"{note} outcomes of {seen.tasks} tasks" for note in wrong)


def _ended_well(seen: Evidence) -> Iterator[str]:
    yield from seen.complaints


RULES: dict[str, Callable[[Evidence], Iterable[str]]] = {
    "it ends in time, and leaves nothing behind": _ended_well,
    "every task has exactly one accepted result": _one_result_each,
    "none runs": _none_runs,
    "none is unknown": _none_is_unknown,
    "no offer is used twice": _offers_once,
    "no task id is started twice": _started_once,
    "nobody speaks but the leader": _one_speaks,
    "nothing is acknowledged before it is stored": _stored_first,
    "what a hook launches is stored with it": _hooks_launch_once,
    "reliable messages come once and in order": _messages_in_order,
    "what the author's state counts is counted once": _counted_once,
}


# --- reading a run's folder --------------------------------------------------------------------------------------


def evidence(folder: Path) -> Evidence:
    """Read what a run has left."""
    about = json.loads((folder / "run.json").read_text())
    effects = [line.split() for line in read_book(folder / "effects")]
    return Evidence(
        tasks=about["tasks"],
        effects=[(int(number), task, token) for number, task, token, _ in effects],
        told=[
            (outcome, task, token) for outcome, task, token, *_ in map(str.split, read_book(folder / "told"))
        ],
        heard=[(who, int(number), to) for who, number, to in map(str.split, read_book(folder / "heard"))],
        notes=read_book(folder / "notes"),
        wire=_calls(list(map(json.loads, read_book(folder / "wire")))),
        steps=list(merge(*map(steps_of, (folder / "traces").glob("*.trace")), key=lambda step: step.at)),
        master=[(task["id"], task["state"]) for task in about["master"]],
        complaints=about["complaints"],
    )


def _calls(wire: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the calls, those that the master refused marked as such."""
    refused = {(said["scheduler"], said["refused"]) for said in wire if "refused" in said}
    calls = [said for said in wire if "call" in said]
    return [said | {"refused": (said["scheduler"], said["number"]) in refused} for said in calls]


def steps_of(trace: Path) -> Iterator[Step]:
    """A trace shows that something is written, not what: it is the update that caused the write."""
    updates: dict[str, bytes] = {}
    for record in read_trace(trace):
        kind = record.type.rpartition(":")[2]
        if record.kind != "message" or kind not in {"Update", "Write", "Stored", "Acknowledge"}:
            continue
        about = record.content()
        if kind == "Update":
            updates[record.id] = about["status"]["uuid"]
        elif kind == "Write" and record.receiver == "store":
            uuid = updates.get(record.cause, b"")
            yield Step(record.time, trace.stem, "write", record.sender, about.get("reference", 0), uuid=uuid)
        elif kind == "Stored" and record.sender == "store":
            yield Step(record.time, trace.stem, "stored", record.receiver, about["reference"])
        elif kind == "Acknowledge" and record.receiver == "connection":
            update = {"task": about["task_id"], "uuid": about["uuid"]}
            yield Step(record.time, trace.stem, "acknowledge", record.sender, **update)


def read_book(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
