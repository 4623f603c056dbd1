# mypy: ignore-errors
# (each class here is made on two bases; a type checker knows no such thing)
"""What pykka documents, run over pykka's ThreadingActor and over ours: the same tests, the same answers."""

from __future__ import annotations

import threading

import pykka
import pytest

from actors.runtime import Actor, ActorSystem


class Pykka:
    """pykka's own threads."""

    base = pykka.ThreadingActor

    def start(self, cls, *args, **kwargs):
        return cls.start(*args, **kwargs)


class Ours:
    """Our dispatcher, on a loop in a thread, so that a test may block."""

    base = Actor

    def __init__(self, system: ActorSystem) -> None:
        self.system = system

    def start(self, cls, *args, **kwargs):
        return self.system.spawn(cls, *args, **kwargs)


@pytest.fixture(params=["pykka", "ours"])
def runtime(request):
    if request.param == "pykka":
        yield Pykka()
        pykka.ActorRegistry.stop_all()
    else:
        with ActorSystem.in_thread("side-by-side") as system:
            yield Ours(system)


class Playback:
    def __init__(self) -> None:
        self.volume = 5
        self._secret = "s"

    def louder(self, by: int) -> int:
        self.volume += by
        return self.volume


class Inner:
    depth = 2


Playback.inner = pykka.traversable(Inner())


def make_actor(base):
    """The same actor on either base."""

    class Recorder(base):
        constant = "class attribute"

        def __init__(self, log=None, *, name_it="x") -> None:
            super().__init__()
            self.log = [] if log is None else log
            self.given_name = name_it
            self.playback = pykka.traversable(Playback())
            self.plain = Playback()
            self._hidden = 1

        def on_start(self) -> None:
            self.log.append("on_start")

        def on_stop(self) -> None:
            self.log.append("on_stop")

        def on_failure(self, exception_type, exception_value, traceback) -> None:
            self.log.append(("on_failure", exception_type, str(exception_value), traceback is not None))

        def on_receive(self, message):
            self.log.append(message)
            if message == "raise":
                raise ValueError("raised")
            if message == "log":
                return list(self.log)
            if isinstance(message, threading.Event):
                message.wait(5)
            return message

        def add(self, a, b=1):
            return a + b

        def fail(self):
            raise KeyError("failed")

        def stop_myself(self):
            self.stop()

        @property
        def computed(self):
            return len(self.log)

        @property
        def broken(self):
            raise RuntimeError("broken property")

        @broken.setter
        def broken(self, value):
            raise RuntimeError(f"cannot be {value}")

    return Recorder


@pytest.fixture
def log():
    return []


@pytest.fixture
def ref(runtime, log):
    return runtime.start(make_actor(runtime.base), log)


def wait_until_dead(ref) -> None:
    for _ in range(500):
        if not ref.is_alive():
            return
        threading.Event().wait(0.01)
    raise AssertionError("still alive")


class TestTellAndAsk:
    def test_messages_are_handled_in_the_order_they_were_told(self, ref):
        for n in range(100):
            ref.tell(n)
        assert ref.ask("log") == ["on_start", *range(100), "log"]

    def test_ask_returns_what_the_handler_returned(self, ref):
        assert ref.ask("something") == "something"

    def test_ask_without_blocking_returns_a_future(self, ref):
        future = ref.ask("later", block=False)
        assert future.get() == "later"
        assert future.get() == "later"

    def test_none_is_an_answer(self, ref):
        assert ref.ask(None) is None

    def test_an_exception_is_returned_to_the_asker_and_the_actor_lives(self, ref, log):
        with pytest.raises(ValueError, match="raised"):
            ref.ask("raise")
        assert ref.is_alive()
        assert ref.ask("still there") == "still there"
        assert not [entry for entry in log if "on_failure" in str(entry)]

    def test_an_exception_is_raised_each_time_the_future_is_asked(self, ref):
        future = ref.ask("raise", block=False)
        for _ in range(2):
            with pytest.raises(ValueError, match="raised"):
                future.get()

    def test_an_exception_while_nobody_asks_stops_the_actor_through_on_failure(self, ref, log):
        ref.tell("raise")
        wait_until_dead(ref)
        for _ in range(100):
            if log[-1] != "raise":
                break
            threading.Event().wait(0.01)
        assert log == ["on_start", "raise", ("on_failure", ValueError, "raised", True)]

    def test_a_dead_actor_cannot_be_told(self, ref):
        ref.stop()
        with pytest.raises(pykka.ActorDeadError):
            ref.tell("too late")

    def test_a_dead_actor_cannot_be_asked(self, ref):
        ref.stop()
        with pytest.raises(pykka.ActorDeadError):
            ref.ask("too late")
        future = ref.ask("too late", block=False)
        with pytest.raises(pykka.ActorDeadError):
            future.get()

    def test_an_answer_that_does_not_come_in_time_is_a_timeout(self, ref):
        gate = threading.Event()
        future = ref.ask(gate, block=False)
        with pytest.raises(pykka.Timeout):
            future.get(timeout=0.01)
        gate.set()
        assert future.get(timeout=5) is gate


class TestStart:
    def test_arguments_reach_the_constructor(self, runtime):
        ref = runtime.start(make_actor(runtime.base), [1], name_it="y")
        assert ref.proxy().given_name.get() == "y"
        assert ref.ask("log") == [1, "on_start", "log"]

    def test_an_exception_in_the_constructor_is_raised_where_the_actor_is_started(self, runtime):
        class Broken(runtime.base):
            def __init__(self) -> None:
                super().__init__()
                raise ValueError("cannot be made")

        with pytest.raises(ValueError, match="cannot be made"):
            runtime.start(Broken)

    def test_the_ref_is_there_in_the_constructor_and_messages_told_to_it_are_kept(self, runtime):
        class Eager(runtime.base):
            def __init__(self) -> None:
                super().__init__()
                self.seen = []
                self.actor_ref.tell("from the constructor")

            def on_start(self):
                self.seen.append("on_start")

            def on_receive(self, message):
                self.seen.append(message)
                return list(self.seen)

        assert runtime.start(Eager).ask("now") == ["on_start", "from the constructor", "now"]

    def test_an_exception_in_on_start_stops_the_actor(self, runtime):
        class Stillborn(runtime.base):
            def on_start(self):
                raise ValueError("stillborn")

        ref = runtime.start(Stillborn)
        wait_until_dead(ref)
        with pytest.raises(pykka.ActorDeadError):
            ref.ask("anyone")

    def test_a_ref_knows_its_class_and_has_a_urn_of_its_own(self, runtime):
        cls = make_actor(runtime.base)
        first, second = runtime.start(cls), runtime.start(cls)
        assert first.actor_class is cls
        assert first.actor_urn.startswith("urn:")
        assert first.actor_urn != second.actor_urn
        assert "Recorder" in str(first)
        assert repr(first) == f"<ActorRef for {first}>"


class TestStop:
    def test_stopping_answers_true_once_and_then_false(self, ref, log):
        assert ref.is_alive()
        assert ref.stop() is True
        assert not ref.is_alive()
        assert ref.stop() is False
        assert log == ["on_start", "on_stop"]

    def test_stopping_without_blocking_gives_a_future(self, ref):
        assert ref.stop(block=False).get(timeout=5) is True
        assert ref.stop(block=False).get(timeout=5) is False

    def test_messages_before_the_stop_are_handled(self, ref, log):
        gate = threading.Event()
        ref.tell(gate)
        ref.tell("before")
        stopped = ref.stop(block=False)
        gate.set()
        assert stopped.get(timeout=5) is True
        assert log == ["on_start", gate, "before", "on_stop"]

    def test_messages_left_in_the_mailbox_are_answered_with_actor_dead_error(self, ref, log):
        gate = threading.Event()
        ref.tell(gate)
        stopped = ref.stop(block=False)
        again = ref.stop(block=False)
        left = ref.ask("left behind", block=False)
        gate.set()
        assert stopped.get(timeout=5) is True
        with pytest.raises(pykka.ActorDeadError, match="stopped before handling the message"):
            left.get(timeout=5)
        assert again.get(timeout=5) is True
        assert "left behind" not in log

    def test_messages_left_when_an_actor_fails_are_answered_too(self, ref):
        gate = threading.Event()
        ref.tell(gate)
        ref.tell("raise")
        left = ref.ask("left behind", block=False)
        gate.set()
        with pytest.raises(pykka.ActorDeadError):
            left.get(timeout=5)

    def test_an_actor_can_stop_itself(self, ref, log):
        ref.proxy().stop_myself().get()
        wait_until_dead(ref)

    def test_an_exception_in_on_stop_is_the_actors_own_affair(self, runtime):
        class Clumsy(runtime.base):
            def on_stop(self):
                raise ValueError("clumsy")

        ref = runtime.start(Clumsy)
        assert ref.stop() is True
        assert not ref.is_alive()

    def test_an_exception_in_on_failure_is_the_actors_own_affair(self, runtime):
        class Worse(runtime.base):
            def on_receive(self, message):
                raise ValueError("bad")

            def on_failure(self, *args):
                raise ValueError("worse")

        ref = runtime.start(Worse)
        ref.tell("go")
        wait_until_dead(ref)


class TestProxy:
    def test_a_call_gives_a_future_of_the_result(self, ref):
        proxy = ref.proxy()
        assert proxy.add(2, b=3).get() == 5
        assert proxy.add(2).get() == 3

    def test_an_exception_in_a_call_is_raised_from_its_future(self, ref):
        with pytest.raises(KeyError, match="failed"):
            ref.proxy().fail().get()
        assert ref.is_alive()

    def test_a_deferred_call_returns_nothing_and_its_exception_stops_the_actor(self, ref, log):
        assert ref.proxy().add.defer(1) is None
        assert ref.proxy().fail.defer() is None
        wait_until_dead(ref)

    def test_attributes_are_read_through_futures(self, ref):
        proxy = ref.proxy()
        assert proxy.constant.get() == "class attribute"
        assert proxy.given_name.get() == "x"
        assert proxy.computed.get() == 1

    def test_attributes_are_set_before_the_assignment_returns(self, ref):
        proxy = ref.proxy()
        proxy.given_name = "new"
        proxy.brand_new = 7
        assert proxy.given_name.get() == "new"
        assert proxy.brand_new.get() == 7

    def test_an_exception_while_an_attribute_is_set_is_raised_to_the_setter(self, ref):
        with pytest.raises(RuntimeError, match="cannot be 3"):
            ref.proxy().broken = 3

    def test_an_exception_in_a_property_is_raised_from_its_future(self, ref):
        with pytest.raises(RuntimeError, match="broken property"):
            ref.proxy().broken.get()

    def test_nested_attributes_marked_traversable_are_reached(self, ref):
        proxy = ref.proxy()
        assert proxy.playback.volume.get() == 5
        assert proxy.playback.louder(2).get() == 7
        proxy.playback.volume = 1
        assert proxy.playback.volume.get() == 1
        assert proxy.playback.inner.depth.get() == 2

    def test_nested_attributes_not_marked_come_as_they_are(self, ref):
        assert isinstance(ref.proxy().plain.get(), Playback)

    def test_unknown_attributes_are_attribute_errors(self, ref):
        with pytest.raises(AttributeError, match="nonesuch"):
            _ = ref.proxy().nonesuch
        with pytest.raises(AttributeError, match="nonesuch"):
            _ = ref.proxy().playback.nonesuch

    def test_private_attributes_are_not_reached(self, ref):
        with pytest.raises(AttributeError):
            _ = ref.proxy()._hidden

    def test_dir_lists_the_public_attributes(self, ref):
        names = dir(ref.proxy())
        assert {"add", "given_name", "computed", "constant"} <= set(names)
        assert "_hidden" not in names

    def test_proxies_of_one_actor_are_equal_and_hash_alike(self, runtime, ref):
        other = runtime.start(make_actor(runtime.base))
        assert ref.proxy() == ref.proxy()
        assert hash(ref.proxy()) == hash(ref.proxy())
        assert ref.proxy() != other.proxy()
        assert ref.proxy() != ref.proxy().playback
        assert ref.proxy() != "proxy"
        assert "Recorder" in repr(ref.proxy())

    def test_there_is_no_proxy_of_a_dead_actor(self, ref):
        ref.stop()
        with pytest.raises(pykka.ActorDeadError):
            ref.proxy()

    def test_a_proxy_of_an_actor_that_dies_gives_dead_futures(self, ref):
        add = ref.proxy().add
        ref.stop()
        with pytest.raises(pykka.ActorDeadError):
            add(1).get()

    def test_an_actor_defers_work_to_itself_with_a_private_proxy(self, runtime):
        class Stepper(runtime.base):
            def __init__(self) -> None:
                super().__init__()
                self._later = self.actor_ref.proxy()
                self.steps = []

            def step(self, n) -> None:
                self.steps.append(n)
                if n:
                    self._later.step(n - 1)

        proxy = runtime.start(Stepper).proxy()
        proxy.step(3).get()
        for _ in range(100):
            if len(proxy.steps.get()) == 4:
                break
        assert proxy.steps.get() == [3, 2, 1, 0]

    def test_stop_through_a_proxy(self, ref):
        ref.proxy().stop().get()
        wait_until_dead(ref)


class TestFutures:
    def test_map_passes_the_answer_through_a_function(self, ref):
        assert ref.ask(3, block=False).map(lambda x: x + 1).get() == 4

    def test_filter_keeps_items_of_the_answer(self, ref):
        assert ref.ask((1, 2, 3), block=False).filter(lambda x: x > 1).get() == [2, 3]

    def test_filter_of_what_is_no_list_is_a_type_error(self, ref):
        with pytest.raises(TypeError):
            ref.ask(1, block=False).filter(lambda x: x > 1).get()

    def test_reduce_folds_the_answer(self, ref):
        assert ref.ask((1, 2, 3), block=False).reduce(lambda x, y: x + y).get() == 6
        assert ref.ask((), block=False).reduce(lambda x, y: x + y, 5).get() == 5

    def test_join_collects_several_answers(self, ref):
        futures = [ref.ask(n, block=False) for n in range(3)]
        assert list(futures[0].join(*futures[1:]).get()) == [0, 1, 2]

    def test_combinations_chain(self, ref):
        future = ref.ask((1, 2, 3), block=False)
        assert future.filter(lambda x: x != 2).map(len).get() == 2

    def test_an_exception_passes_through_a_combination(self, ref):
        with pytest.raises(ValueError, match="raised"):
            ref.ask("raise", block=False).map(len).get()

    def test_a_future_is_set_once(self, ref):
        future = ref.ask("x", block=False)
        future.get()
        with pytest.raises(Exception):  # noqa: B017 - pykka promises no more
            future.set("y")

    def test_a_get_hook_makes_the_value_once(self, ref):
        calls = []
        future = type(ref.ask("x", block=False))()
        future.set_get_hook(lambda timeout: calls.append(timeout) or 42)
        assert future.get(timeout=1) == 42
        assert future.get() == 42
        assert calls == [1]


class TestTogether:
    def test_actors_of_one_runtime_ask_and_tell_each_other(self, runtime):
        class Doubler(runtime.base):
            def on_receive(self, message):
                return message * 2

        class Forwarder(runtime.base):
            def __init__(self, to) -> None:
                super().__init__()
                self.to = to

            def on_receive(self, message):
                return self.to.ask(message, block=False)

        doubler = runtime.start(Doubler)
        forwarder = runtime.start(Forwarder, doubler)
        assert forwarder.ask(4).get() == 8


def test_an_actor_in_a_thread_and_one_on_the_loop_use_the_same_kind_of_ref(threaded):
    class Blocking(pykka.ThreadingActor):
        def __init__(self, other) -> None:
            super().__init__()
            self.other = other

        def on_receive(self, message):
            return self.other.ask(message) + 1  # it has its own thread, so it may block

    class OnTheLoop(Actor):
        def on_receive(self, message):
            return message * 10

    blocking = Blocking.start(threaded.spawn(OnTheLoop))
    try:
        assert blocking.ask(4) == 41
    finally:
        blocking.stop()
