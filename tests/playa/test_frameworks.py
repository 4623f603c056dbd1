"""Frameworks: subscribing, failing over, leaving, changing; what they are told and when."""

from typing import Any

import pytest

from mesos_v1 import pb
from playa import messages
from playa.master.allocation import offers
from playa.master.scheduler_api import frameworks
from tests.support.answers import answered


def kinds(bench: Any, stream: str) -> list[str]:
    return [pb.scheduler.Event.Type.Name(e.type) for to, e in bench.world.sent if to == stream]


def errors(bench: Any, stream: str) -> list[str]:
    return [e.error.message for to, e in bench.world.sent if to == stream and e.HasField("error")]


def subscribe_call(**info: Any) -> pb.scheduler.Call.Subscribe:
    call = pb.scheduler.Call.Subscribe()
    call.framework_info.user, call.framework_info.name = "root", "f"
    for key, value in info.items():
        if key == "roles":
            call.framework_info.roles.extend(value)
            call.framework_info.capabilities.add(type=pb.mesos.FrameworkInfo.Capability.MULTI_ROLE)
        else:
            setattr(call.framework_info, key, value)
    return call


def test_a_subscription_begins_with_subscribed_heartbeat_offers(bench: Any) -> None:
    bench.add_agent()
    bench.subscribe()
    assert kinds(bench, "stream-f") == ["SUBSCRIBED", "HEARTBEAT", "OFFERS"]


def test_ids_are_given_in_order(bench: Any) -> None:
    assert [bench.subscribe(name).id for name in ("a", "b")] == ["m-0000", "m-0001"]


def test_heartbeats_go_on_as_long_as_the_subscription(bench: Any) -> None:
    framework = bench.subscribe()
    due, message = bench.world.timers[-1]
    assert (due - bench.world.time, message.what) == (15.0, "heartbeat")
    frameworks.heartbeat(bench.state, framework.id, "stream-f")
    assert kinds(bench, "stream-f").count("HEARTBEAT") == 2
    frameworks.stream_closed(bench.state, "stream-f")
    before = len(bench.world.sent)
    frameworks.heartbeat(bench.state, framework.id, "stream-f")
    assert len(bench.world.sent) == before


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"roles": ["a", "a"]}, "'FrameworkInfo.roles' contains duplicate items: { a }"),
        (
            {"roles": ["/a"]},
            "'FrameworkInfo.roles' contains invalid role: Role '/a' cannot start with a slash",
        ),
        ({"roles": ["a//b"]}, "contains invalid role: Role 'a//b' cannot contain two adjacent slashes"),
        ({"roles": ["a/*"]}, "contains invalid role: Role 'a/*' cannot include '*' as a component"),
        ({"roles": ["-a"]}, "Role component '-a' is invalid because it starts with a dash"),
        ({"roles": ["a b"]}, "Role component 'a b' is invalid because it contains backspace or whitespace"),
        ({"role": ""}, "'FrameworkInfo.role' is not a valid role: Role names cannot be the empty string"),
        ({"failover_timeout": float("nan")}, "The framework failover_timeout (nan) is invalid"),
    ],
)
def test_a_bad_framework_is_told_why_and_its_stream_ends(bench: Any, info: dict[str, Any], text: str) -> None:
    frameworks.subscribe(bench.state, subscribe_call(**info), "s", None)
    assert text in errors(bench, "s")[0]
    assert bench.world.closed == ["s"]
    assert not bench.state.frameworks


def test_only_listed_roles_are_allowed_where_there_is_a_list(new_bench: Any) -> None:
    bench = new_bench(roles=("ads",))
    frameworks.subscribe(bench.state, subscribe_call(roles=["ads", "other"]), "s", None)
    assert errors(bench, "s") == ["Roles { other } are not present in the master's --roles"]


def test_suppressed_roles_must_be_the_framework_s_own(bench: Any) -> None:
    call = subscribe_call(roles=["a"])
    call.suppressed_roles.append("b")
    frameworks.subscribe(bench.state, call, "s", None)
    assert errors(bench, "s") == ["Suppressed roles { b } are not contained in the set of roles"]


def test_a_framework_that_starts_suppressed_gets_no_offers_until_it_revives(bench: Any) -> None:
    bench.add_agent()
    framework = bench.subscribe(suppressed=("*",))
    assert bench.offers(framework) == []
    bench.call(framework, type="REVIVE")
    assert len(bench.offers(framework)) == 1


def test_a_second_subscription_takes_over_and_the_first_is_told(bench: Any) -> None:
    bench.add_agent()
    first = bench.subscribe(failover_timeout=100.0)
    again = bench.subscribe(id=first.id, stream="new")
    assert again is first
    assert errors(bench, "stream-f") == ["Framework failed over"]
    assert bench.world.closed == ["stream-f"]
    assert kinds(bench, "new") == ["SUBSCRIBED", "HEARTBEAT", "OFFERS"]
    assert "RESCIND" not in kinds(bench, "stream-f")


def test_user_and_checkpointing_stay_as_they_were_first(bench: Any) -> None:
    first = bench.subscribe(checkpoint=True)
    bench.subscribe(id=first.id, stream="new", user="other", checkpoint=False)
    assert (first.info.user, first.info.checkpoint) == ("root", True)


def test_a_framework_that_does_not_come_back_in_time_is_removed_with_all_it_runs(bench: Any) -> None:
    agent = bench.add_agent()
    framework = bench.subscribe(failover_timeout=60.0)
    bench.launch(framework)
    frameworks.stream_closed(bench.state, "stream-f")
    due, message = bench.world.timers[-1]
    assert due - bench.world.time == 60.0
    frameworks.failover_timed_out(bench.state, *message.arguments)
    assert framework.id in bench.state.completed_frameworks
    assert bench.told(messages.ShutdownFramework) == [messages.ShutdownFramework(framework.id)]
    assert framework.completed_tasks[0].proto.state == pb.mesos.TASK_KILLED
    assert not agent.allocated


def test_a_framework_that_came_back_is_not_removed_by_the_old_timer(bench: Any) -> None:
    framework = bench.subscribe(failover_timeout=60.0)
    frameworks.stream_closed(bench.state, "stream-f")
    _, message = bench.world.timers[-1]
    bench.world.time += 1
    bench.subscribe(id=framework.id, stream="new")
    frameworks.stream_closed(bench.state, "new")
    frameworks.failover_timed_out(bench.state, *message.arguments)
    assert framework.id in bench.state.frameworks


def test_offers_of_a_disconnected_framework_go_to_others(bench: Any) -> None:
    bench.add_agent()
    bench.subscribe("f", failover_timeout=60.0)
    other = bench.subscribe("g")
    assert bench.offers(other) == []
    frameworks.stream_closed(bench.state, "stream-f")
    bench.pass_time(1)
    assert len(bench.offers(other)) == 1


def test_a_removed_framework_cannot_come_back(bench: Any) -> None:
    framework = bench.subscribe()
    bench.pass_time(7)
    bench.call(framework, type="TEARDOWN")
    assert bench.state.completed_frameworks[framework.id].unregistered_time == bench.world.time
    frameworks.subscribe(bench.state, subscribe_call(role="*"), "s", None)
    call = subscribe_call(role="*")
    call.framework_info.id.value = framework.id
    frameworks.subscribe(bench.state, call, "again", None)
    assert errors(bench, "again") == ["Framework has been removed"]


def update(bench: Any, framework: Any, **changes: Any) -> Any:
    info = {
        "id": {"value": framework.id},
        "user": "root",
        "name": "f",
        "roles": ["*"],
        "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}],
    }
    return bench.call(
        framework, type="UPDATE_FRAMEWORK", update_framework={"framework_info": {**info, **changes}}
    )


def test_a_framework_may_change_its_roles_and_loses_the_offers_of_the_old(bench: Any) -> None:
    bench.add_agent()
    framework = bench.subscribe()
    assert update(bench, framework, roles=["new"]).status == 200
    assert kinds(bench, "stream-f")[-2:] == ["RESCIND", "OFFERS"]
    assert bench.offers(framework)[-1].allocation_info.role == "new"
    assert len(bench.told(messages.UpdateFramework)) == 1


def test_a_framework_may_not_change_its_user(bench: Any) -> None:
    answer = update(bench, bench.subscribe(), user="other")
    assert (answer.status, answer.text) == (
        400,
        (
            "FrameworkInfo update is not valid: Updating 'FrameworkInfo.user' is unsupported; "
            "attempted to update from 'root' to 'other'"
        ),
    )


def test_offers_that_are_held_too_long_are_rescinded_and_offered_again(new_bench: Any) -> None:
    bench = new_bench(offer_timeout=5.0)
    bench.add_agent()
    framework = bench.subscribe()
    due, message = next((d, t) for d, t in bench.world.timers if t.what == "offer answered")
    assert due - bench.world.time == 5.0
    offers.offer_timed_out(bench.state, *message.arguments)
    bench.pass_time(1)
    assert kinds(bench, "stream-f")[2:] == ["OFFERS", "RESCIND", "OFFERS"]
    offers.offer_timed_out(bench.state, *message.arguments)  # long gone
    assert kinds(bench, "stream-f").count("RESCIND") == 1
    assert framework.counts["offers/rescinded"] == 1


def test_a_declined_offer_comes_back_after_its_filter(bench: Any) -> None:
    bench.add_agent()
    framework = bench.subscribe()
    offer_id = bench.offers(framework)[0].id.value
    decline = {"offer_ids": [{"value": offer_id}], "filters": {"refuse_seconds": 3}}
    assert bench.call(framework, type="DECLINE", decline=decline).status == 202
    bench.pass_time(2)
    assert len(bench.offers(framework)) == 1
    bench.pass_time(1)
    assert len(bench.offers(framework)) == 2


def test_to_revive_one_role_leaves_what_was_declined_in_another_as_it_is(bench: Any) -> None:
    bench.add_agent(1)
    bench.add_agent(2)
    framework = bench.subscribe(roles=("a", "b"))
    declined = bench.offers(framework)
    where = {(offer.allocation_info.role, offer.agent_id.value) for offer in declined}
    assert {role for role, _ in where} == {"a", "b"}
    decline = {
        "offer_ids": [{"value": offer.id.value} for offer in declined],
        "filters": {"refuse_seconds": 100},
    }
    bench.call(framework, type="DECLINE", decline=decline)
    bench.call(framework, type="REVIVE", revive={"roles": ["a"]})
    bench.pass_time(2)
    again = bench.offers(framework)[len(declined) :]
    assert again
    assert not {(offer.allocation_info.role, offer.agent_id.value) for offer in again} & {
        (role, agent) for role, agent in where if role == "b"
    }


def test_roles_that_a_call_names_wrongly_change_nothing(bench: Any) -> None:
    bench.add_agent()
    framework = bench.subscribe(suppressed=("*",))
    bench.call(framework, type="REVIVE", revive={"roles": ["other"]})
    assert bench.offers(framework) == []


def test_a_framework_of_one_role_reads_no_allocation(bench: Any) -> None:
    bench.add_agent()
    framework = bench.subscribe(roles=(), capabilities=(), role="ads")
    offer = bench.offers(framework)[0]
    assert not offer.HasField("allocation_info")
    assert {r.role for r in offer.resources} == {"*"}
    assert not any(r.HasField("allocation_info") for r in offer.resources)


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"principal": "bob"}, 400, "Authenticated principal 'bob' does not match principal 'alice' set in"),
        ({"stream": None}, 400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header"),
        ({"stream": "nope"}, 400, "The stream ID 'nope' included in this request didn't match"),
        ({"framework": "x"}, 400, "Framework cannot be found"),
    ],
)
def test_calls_of_others_are_refused(bench: Any, fields: dict[str, Any], status: int, text: str) -> None:
    from playa.master.scheduler_api import calls

    framework = bench.subscribe(principal="alice")
    call = pb.scheduler.Call(type=pb.scheduler.Call.REVIVE)
    call.framework_id.value = fields.get("framework", framework.id)
    stream = fields.get("stream", framework.stream_id)
    answer = answered(calls.carry_out, bench.state, call, stream, fields.get("principal"))
    assert answer.status == status
    assert answer.text.startswith(text)


def test_calls_of_a_disconnected_framework_are_forbidden(bench: Any) -> None:
    framework = bench.subscribe(failover_timeout=60.0)
    frameworks.stream_closed(bench.state, "stream-f")
    answer = bench.call(framework, type="REVIVE")
    assert (answer.status, answer.text) == (403, "Framework is not subscribed")


def test_a_framework_that_is_back_at_the_same_moment_is_not_removed_either(bench: Any) -> None:
    framework = bench.subscribe(failover_timeout=60.0)
    frameworks.stream_closed(bench.state, "stream-f")
    _, message = bench.world.timers[-1]
    bench.subscribe(id=framework.id, stream="new")
    frameworks.failover_timed_out(bench.state, *message.arguments)
    assert framework.id in bench.state.frameworks
