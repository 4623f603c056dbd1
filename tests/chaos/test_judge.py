"""The judge of the chaos runs can fail: for each rule, evidence of a good run is doctored so that just this rule is broken."""

import dataclasses
from typing import Any

import pytest

from tests.chaos.judge import RULES, Evidence, Step, judge

TOKENS = {number: f"token-{number}" for number in range(8)}


def good() -> Evidence:
    """Eight tasks in two runs of a scheduler: t-5 was killed, t-7 fails twice, t-0 was stored by one run, and told by the next."""
    plain = [0, 1, 2, 3, 4, 6]
    return Evidence(
        tasks=8,
        effects=[(n, f"t-{n}.1", TOKENS[n]) for n in range(8)] + [(7, "t-7.2", "token-7b")],
        told=[
            *(("finished", f"t-{n}", TOKENS[n]) for n in plain),
            ("finished", "t-1", TOKENS[1]),  # told again, by the next run
            ("killed", "t-5", "-"),
            ("failed", "t-7", "-"),
        ],
        heard=[("p", 1, "001"), ("q", 1, "001"), ("p", 2, "001"), ("p", 1, "002"), ("p", 2, "002")],
        notes=["active 0", "counted 8", "messages 3", "error the store cannot write"],
        wire=[
            {"call": "ACCEPT", "offers": ["o1", "o2"], "tasks": [f"t-{n}.1" for n in range(8)]},
            {"call": "DECLINE", "offers": ["o1"]},  # its answer was lost
            {"call": "ACCEPT", "offers": ["o3"], "tasks": ["t-7.2"]},
            {"call": "DECLINE", "offers": ["o4"]},
        ],
        steps=[
            Step(1.0, "001", "write", "task:t-0", 1, uuid=b"u0"),
            Step(1.1, "001", "write", "task:t-1", 1, uuid=b"u1"),
            Step(1.2, "001", "stored", "task:t-1", 1),
            Step(1.3, "001", "acknowledge", "task:t-1", task="t-1.1", uuid=b"u1"),
            # killed when u0 was in the store, before that was told; the agent sends it again
            Step(2.0, "002", "acknowledge", "task:t-0", task="t-0.1", uuid=b"u0"),
            Step(2.1, "002", "acknowledge", "task:t-7", task="t-7.1", uuid=b"an attempt that was given up"),
        ],
        master=[(f"t-{n}.1", "TASK_FINISHED") for n in plain] + [("t-7.2", "TASK_FAILED")],
    )


def test_a_good_run_breaks_no_rule():
    assert judge(good()) == []


DOCTORED: dict[str, tuple[str, dict[str, Any]]] = {
    "a task without a result": ("every task has exactly one accepted result", {"told": good().told[1:]}),
    "two results of one task": (
        "every task has exactly one accepted result",
        {"told": [*good().told, ("finished", "t-0", "token-7b")]},
    ),
    "a result that nothing has computed": (
        "every task has exactly one accepted result",
        {"told": [("finished", "t-0", "invented"), *good().told[1:]]},
    ),
    "a failure of what does not fail": (
        "every task has exactly one accepted result",
        {"told": [("failed", "t-0", "-"), *good().told[1:]]},
    ),
    "a task that runs": ("none runs", {"master": [*good().master, ("t-5.1", "TASK_RUNNING")]}),
    "a task that the scheduler still waits for": ("none runs", {"notes": ["active 1"]}),
    "a task of nobody": ("none is unknown", {"master": [*good().master, ("t-9.1", "TASK_FINISHED")]}),
    "a task that the scheduler does not know": ("none is unknown", {"notes": ["unknown t-4.1 TASK_RUNNING"]}),
    "an offer used twice": (
        "no offer is used twice",
        {"wire": [*good().wire, {"call": "ACCEPT", "offers": ["o2"], "tasks": []}]},
    ),
    "an offer used after it was given back": (
        "no offer is used twice",
        {"wire": [*good().wire, {"call": "ACCEPT", "offers": ["o4"], "tasks": []}]},
    ),
    "a leader that woke up late": (
        "nobody speaks but the leader",
        {
            "wire": [
                {"call": "SUBSCRIBE", "scheduler": "a"},
                {**good().wire[0], "scheduler": "a"},
                {"call": "SUBSCRIBE", "scheduler": "b"},
                {**good().wire[2], "scheduler": "b"},
                {"call": "KILL", "scheduler": "a", "refused": True},
            ]
        },
    ),
    "a task id launched twice": (
        "no task id is started twice",
        {"wire": [*good().wire, {"call": "ACCEPT", "offers": ["o5"], "tasks": ["t-0.1"]}]},
    ),
    "a task id that ran twice": (
        "no task id is started twice",
        {"effects": [*good().effects, (0, "t-0.1", "another")]},
    ),
    "an acknowledgement before the record": (
        "nothing is acknowledged before it is stored",
        {"steps": [good().steps[n] for n in (0, 1, 3, 2)]},
    ),
    "an acknowledgement without a record": (
        "nothing is acknowledged before it is stored",
        {"steps": [Step(9.0, "002", "acknowledge", "task:t-2", task="t-2.1", uuid=b"of nobody")]},
    ),
    "a hook told twice of what it has launched": (
        "what a hook launches is stored with it",
        {"notes": ["refused there is a task t-4 already"]},
    ),
    "a message that was lost": (
        "reliable messages come once and in order",
        {"heard": [("p", 1, "001"), ("q", 1, "001"), ("q", 3, "001")]},
    ),
    "a message that came late": (
        "reliable messages come once and in order",
        {"heard": [("p", 1, "001"), ("p", 2, "001"), ("p", 1, "001")], "notes": []},
    ),
    "a message that no scheduler has heard": (
        "reliable messages come once and in order",
        {"heard": [("p", 1, "001"), ("p", 3, "002")], "notes": []},
    ),
    "a message that was counted twice": (
        "reliable messages come once and in order",
        {"notes": ["messages 4"]},
    ),
    "an outcome that was counted twice": (
        "what the author's state counts is counted once",
        {"notes": ["counted 9"]},
    ),
    "a run that hangs": ("it ends in time, and leaves nothing behind", {"complaints": ["it hangs"]}),
}


@pytest.mark.parametrize("how", DOCTORED)
def test_the_judge_sees(how):
    rule, changes = DOCTORED[how]
    broken = judge(dataclasses.replace(good(), **changes))
    assert {each.rule for each in broken} == {rule}


def test_each_rule_can_be_broken():
    assert {rule for rule, _ in DOCTORED.values()} == set(RULES)
