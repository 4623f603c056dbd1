"""What each call of a framework counts, by Mesos's names for it."""

from typing import Any

import pytest

from playa.master.operator_api import metrics

UUID = "dXV1dXV1dXV1dXV1dXV1dQ=="
T, A = {"task_id": {"value": "t"}}, {"agent_id": {"value": "m-S0"}}
E = {"executor_id": {"value": "e"}}


def counted(bench: Any, framework: Any, **call: Any) -> dict[str, float]:
    """What is different after a call; of the framework's own counts, without the prefix."""
    before = metrics.snapshot(bench.state)
    bench.call(framework, **call)
    after = metrics.snapshot(bench.state)
    mine = f"master/frameworks/f/{framework.id}/"
    return {
        name.removeprefix(mine).removeprefix("master/"): after[name] - before[name]
        for name in before.keys() & after.keys()
        if after[name] != before[name] and ("messages_" in name or "valid_" in name or f"{mine}calls" in name)
    }


CALLS: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    ("SUPPRESS", {}, {"messages_suppress_offers": 1}),
    ("REVIVE", {}, {"messages_revive_offers": 1}),
    ("REQUEST", {"request": {"requests": []}}, {"messages_resource_request": 1}),
    ("KILL", {"kill": T}, {"messages_kill_task": 1, "messages_reconcile_tasks": 1}),
    ("SHUTDOWN", {"shutdown": {**E, **A}}, {}),
    ("RECONCILE", {"reconcile": {"tasks": []}}, {"messages_reconcile_tasks": 1}),
    ("RECONCILE_OPERATIONS", {"reconcile_operations": {}}, {"messages_reconcile_operations": 1}),
    (
        "MESSAGE",
        {"message": {**E, **A, "data": "eA=="}},
        {"messages_framework_to_executor": 1, "valid_framework_to_executor_messages": 1},
    ),
    (
        "ACKNOWLEDGE",
        {"acknowledge": {**T, **A, "uuid": UUID}},
        {"messages_status_update_acknowledgement": 1, "valid_status_update_acknowledgements": 1},
    ),
    ("DECLINE", {"decline": {"offer_ids": []}}, {"messages_decline_offers": 1}),
    ("ACCEPT", {"accept": {"offer_ids": [{"value": "no"}], "operations": []}}, {}),
]


@pytest.mark.parametrize(("kind", "body", "counts"), CALLS, ids=[kind for kind, _, _ in CALLS])
def test_a_call_is_counted_once_under_its_names(
    bench: Any, kind: str, body: dict[str, Any], counts: dict[str, int]
) -> None:
    bench.add_agent()
    framework = bench.subscribe()
    assert counted(bench, framework, type=kind, **body) == {"calls": 1, f"calls/{kind.lower()}": 1, **counts}
