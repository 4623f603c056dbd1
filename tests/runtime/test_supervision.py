"""Supervision: restarts with backoff, their limit, and where failures go that it does not forgive."""

# mypy: disable-error-code="var-annotated"
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.runtime import RESTART, STOP, Actor, Backoff, ChildFailed, Supervision, message, receive
from actors.runtime.states import State
from tests.support.virtual import virtual


@message
class Fail:
    error: str = "failed"


@message
class Get:
    pass


@message
class Spawn:
    name: str
    limit: int


@message
class Count:
    n: int


class Fragile(Actor):
    """Counts instances and messages; fails when told to."""

    def __init__(self, log, *, prefix: str = "") -> None:
        self.log = log
        self.prefix = prefix
        self.count = 0
        log.append((round(self.clock.now(), 3), f"{prefix}made"))

    def on_start(self) -> Any:
        self.log.append((round(self.clock.now(), 3), f"{self.prefix}started"))

    def on_stop(self) -> Any:
        self.log.append((round(self.clock.now(), 3), f"{self.prefix}stopped"))

    def on_failure(self, exception_type, exception_value, traceback) -> None:
        self.log.append((round(self.clock.now(), 3), f"{self.prefix}{exception_value}"))

    @receive
    def fail(self, m: Fail) -> None:
        raise ValueError(m.error)

    @receive
    def add(self, m: Count) -> None:
        self.count += m.n

    @receive
    def get(self, m: Get) -> int:
        return self.count


FAST = Supervision(restart=True, backoff=Backoff(base=0.1, factor=2, cap=1))


class TestBackoff:
    @pytest.mark.parametrize(
        ("attempt", "seconds"), [(0, 0), (1, 0.1), (2, 0.2), (5, 1.6), (9, 25.6), (10, 30), (10**6, 30)]
    )
    def test_grows_by_its_factor_up_to_its_cap(self, attempt, seconds):
        assert Backoff().delay(attempt) == pytest.approx(seconds)

    def test_can_be_none(self):
        assert Backoff(base=0).delay(3) == 0


class TestRestart:
    @virtual
    async def test_a_new_instance_takes_over_after_the_backoff(self, system):
        log = []
        ref = system.spawn(Fragile, log, prefix="a ", name="fragile", supervision=FAST)
        await asyncio.sleep(1)
        ref.tell(Fail())
        await asyncio.sleep(1)
        assert log == [(0, "a made"), (0, "a started"), (1, "a failed"), (1.1, "a made"), (1.1, "a started")]
        assert system.get("fragile") is ref
        assert system.stats()["restarts"] == 1

    @virtual
    async def test_state_is_new_and_the_mailbox_is_kept(self, system):
        ref = system.spawn(Fragile, [], supervision=FAST)
        for m in (Count(1), Fail(), Count(10), Count(100)):
            ref.tell(m)
        during = ref.ask(Get(), block=False)
        await asyncio.sleep(0.05)
        assert ref.state is State.BACKING_OFF
        assert ref.is_alive()
        ref.tell(Count(1000))
        assert await during == 110
        assert await ref.ask(Get(), block=False) == 1110

    @virtual
    async def test_an_asker_gets_the_exception_and_nothing_is_restarted(self, system):
        ref = system.spawn(Fragile, [], supervision=FAST)
        ref.tell(Count(1))
        with pytest.raises(ValueError, match="failed"):
            await ref.ask(Fail(), block=False)
        assert await ref.ask(Get(), block=False) == 1

    @virtual
    async def test_each_restart_in_a_row_waits_longer(self, system):
        log = []
        ref = system.spawn(Fragile, log, supervision=FAST)
        for _ in range(4):
            ref.tell(Fail())
        await asyncio.sleep(10)
        assert [when for when, what in log if what == "made"] == [0, 0.1, 0.3, 0.7, 1.5]

    @virtual
    async def test_a_quiet_window_forgives_what_was_before(self, system):
        log = []
        policy = Supervision(restart=True, max_restarts=2, window=60, backoff=Backoff(base=1))
        ref = system.spawn(Fragile, log, supervision=policy)
        for _ in range(4):
            ref.tell(Fail())
            await asyncio.sleep(40)
        assert ref.is_alive()
        assert [when for when, what in log if what == "made"] == [0, 1, 42, 82, 122]

    @virtual
    async def test_more_failures_than_allowed_in_the_window_are_final(self, system, caplog):
        log = []
        policy = Supervision(restart=True, max_restarts=2, window=60, backoff=Backoff(base=0), escalate=False)
        ref = system.spawn(Fragile, log, supervision=policy)
        for _ in range(3):
            ref.tell(Fail())
        await asyncio.sleep(1)
        assert not ref.is_alive()
        assert [what for _, what in log].count("made") == 3
        assert "more than 2 times in 60 s" in caplog.text
        assert not system.stopping

    @virtual
    async def test_a_constructor_that_fails_at_restart_counts_too(self, system):
        attempts = []

        class SometimesMade(Actor):
            def __init__(self) -> None:
                attempts.append(round(self.clock.now(), 3))
                if len(attempts) in {2, 3}:
                    raise OSError("not yet")

            def on_receive(self, message):
                if message == "fail":
                    raise ValueError
                return message

        ref = system.spawn(SometimesMade, supervision=FAST)
        ref.tell("fail")
        assert await ref.ask("kept", block=False) == "kept"
        assert attempts == [0, 0.1, 0.3, 0.7]

    @virtual
    async def test_an_on_start_that_fails_is_tried_again_without_on_failure(self, system):
        log = []

        class SlowStarter(Fragile):
            async def on_start(self) -> None:
                await asyncio.sleep(1)
                if len([1 for _, what in self.log if what == "made"]) < 3:
                    raise OSError("not yet")

        ref = system.spawn(SlowStarter, log, supervision=FAST)
        assert await ref.ask(Get(), block=False) == 0
        assert log == [(0, "made"), (1.1, "made"), (2.3, "made")]

    @virtual
    async def test_children_stop_before_the_new_instance_is_made(self, system):
        log = []

        class Parent(Fragile):
            def on_start(self) -> None:
                self.spawn(Child, self.log, prefix="child ", name="child")

        class Child(Fragile):
            async def on_stop(self) -> None:
                await asyncio.sleep(2)
                self.log.append((self.clock.now(), "child stopped"))

        system.spawn(Parent, log, supervision=FAST).tell(Fail())
        await asyncio.sleep(5)
        assert [entry for entry in log if entry[1] in {"made", "failed", "child stopped", "child made"}] == [
            (0, "made"),
            (0, "child made"),
            (0, "failed"),
            (2, "child stopped"),
            (2, "made"),
            (2, "child made"),
        ]

    @virtual
    async def test_a_stop_during_the_backoff_ends_the_actor_at_once(self, system):
        ref = system.spawn(Fragile, [], supervision=Supervision(restart=True, backoff=Backoff(base=20)))
        ref.tell(Fail())
        await asyncio.sleep(1)
        assert await ref.stop(block=False)
        assert system.clock.now() == 1

    @virtual
    async def test_a_system_that_stops_restarts_nobody(self, system):
        log = []
        ref = system.spawn(Fragile, log, supervision=FAST)
        await asyncio.sleep(1)
        ref.tell(Fail())
        await system.stop()
        assert [what for _, what in log].count("made") == 1

    @virtual
    async def test_a_proxy_made_before_reaches_the_new_instance(self, system):
        ref = system.spawn(Fragile, [], supervision=FAST)
        proxy = ref.proxy()
        ref.tell(Count(5))
        ref.tell(Fail())
        assert await proxy.count == 0


class TestFinalFailure:
    @virtual
    async def test_an_unsupervised_actor_stops_alone_as_in_pykka(self, system, caplog):
        log = []
        ref = system.spawn(Fragile, log, supervision=STOP)
        ref.tell(Fail())
        await asyncio.sleep(1)
        assert not ref.is_alive()
        assert [what for _, what in log] == ["made", "started", "failed"]
        assert not system.stopping
        assert "ValueError: failed" in caplog.text

    @virtual
    async def test_a_parent_with_a_handler_is_told_of_a_child_that_failed_for_good(self, system):
        told = []

        class Parent(Actor):
            def on_start(self) -> None:
                self.spawn(Fragile, [], name="child")

            @receive
            def failed(self, m: ChildFailed) -> None:
                told.append((m, self.system.find("child")))

        parent = system.spawn(Parent)
        await asyncio.sleep(1)
        system.get("child").tell(Fail("of old age"))
        await asyncio.sleep(1)
        ((told_of, found),) = told
        assert (told_of.name, told_of.error) == ("child", "ValueError: of old age")
        assert "raise ValueError(m.error)" in told_of.traceback_text
        assert found is None
        assert parent.is_alive()

    @virtual
    async def test_an_error_whose_text_raises_is_told_to_the_parent_like_any_other(self, system):
        told = []

        class WithoutTextError(Exception):
            def __str__(self) -> str:
                raise KeyboardInterrupt

        class Child(Actor):
            @receive
            def fail(self, m: Fail) -> None:
                raise WithoutTextError

        class Parent(Actor):
            def on_start(self) -> None:
                self.spawn(Child, name="child")

            @receive
            def failed(self, m: ChildFailed) -> None:
                told.append(m.error)

        parent = system.spawn(Parent)
        await asyncio.sleep(1)
        system.get("child").tell(Fail())
        await asyncio.sleep(1)
        assert told == ["WithoutTextError"]
        assert await parent.stop(block=False)

    @virtual
    async def test_a_failure_past_the_limit_fails_a_parent_that_has_no_handler(self, system):
        log = []
        once = Supervision(restart=True, max_restarts=0)

        class Parent(Fragile):
            def on_start(self) -> None:
                self.spawn(Fragile, [], name="child", supervision=once)

        system.spawn(Parent, log, supervision=FAST)
        await asyncio.sleep(1)
        system.get("child").tell(Fail("too often"))
        await asyncio.sleep(1)
        assert [what for _, what in log] == ["made", "too often", "made"]
        assert system.get("child").is_alive()

    @virtual
    async def test_at_the_root_it_ends_the_system_which_keeps_the_error(self, system, caplog):
        stopped = []
        bystander = system.spawn(Fragile, stopped)
        system.spawn(Fragile, [], supervision=Supervision(restart=True, max_restarts=0)).tell(
            Fail("the last")
        )
        await system.join()
        assert str(system.failure) == "the last"
        assert not bystander.is_alive()
        assert stopped[-1][1] == "stopped"
        assert "failed for good" in caplog.text

    @virtual
    async def test_restart_supervision_escalates_and_stop_does_not_unless_told(self):
        assert RESTART.escalates
        assert not STOP.escalates
        assert Supervision(restart=False, escalate=True).escalates

    @virtual
    async def test_an_on_failure_that_fails_does_not_stop_the_restart(self, system):
        class Worse(Fragile):
            def on_failure(self, *args) -> None:
                raise RuntimeError("worse")

        ref = system.spawn(Worse, [], supervision=FAST)
        ref.tell(Fail())
        assert await ref.ask(Get(), block=False) == 0
