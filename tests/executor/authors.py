"""Executors as authors would write them, for the tests beside."""

import asyncio
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from actors.runtime import message, setting
from executor.author import Executor, Registration, TaskContext, TaskFailed, task


@message(name="test:Add")
class Add:
    a: int
    b: int


@message(name="test:Sum")
class Sum:
    total: int


@message(name="test:Wait")
class Wait:
    seconds: float
    stubborn: bool = False


@message(name="test:Fail")
class Fail:
    how: str


@message(name="test:Talk")
class Talk:
    text: str


@message(name="test:Block")
class Block:
    seconds: float
    polite: bool = False


@message(name="test:Give")
class Give:
    what: str


@message(name="test:Blob")
class Blob:
    data: bytes


@message(name="test:Send")
class Send:
    name: str
    size: int
    in_thread: bool = False


@message(name="test:Nobody")
class Nobody:
    """No executor has a method for it."""


@dataclass(frozen=True, slots=True)
class EverythingSettings:
    factor: int = setting(1, help="What sums are multiplied with.")


class Everything(Executor):
    """One method for each thing that a test wants done."""

    Settings = EverythingSettings
    settings: EverythingSettings

    async def on_start(self) -> None:
        self.heard: list[object] = []

    async def on_message(self, message: object) -> None:
        self.heard.append(message)
        if isinstance(message, Talk) and message.text == "raise":
            raise RuntimeError("as asked")
        self.send(Talk(f"heard {message}"))

    @task
    async def add(self, payload: Add) -> Sum:
        return Sum((payload.a + payload.b) * self.settings.factor)

    @task
    async def wait(self, payload: Wait, context: TaskContext) -> None:
        while True:
            try:
                await asyncio.sleep(payload.seconds)
                return
            except asyncio.CancelledError:
                if not payload.stubborn:
                    raise

    @task
    async def fail(self, payload: Fail) -> None:
        match payload.how:
            case "permanent":
                raise TaskFailed("no such page", retry=False)
            case "temporary":
                raise TaskFailed("try again")
            case "exit":
                sys.exit(3)
            case "cancel":
                raise asyncio.CancelledError
            case _:
                raise ValueError("two\nlines")

    @task
    async def talk(self, payload: Talk, context: TaskContext) -> None:
        context.send(Talk(f"{context.task_id} {context.name} {dict(context.labels)}: {payload.text}"))
        for percent in (10, 20, 30):
            context.progress(f"{percent}%")
        context.progress(Sum(40))
        await asyncio.sleep(2.5)

    @task
    def block(self, payload: Block, context: TaskContext) -> Sum:
        end = time.monotonic() + payload.seconds
        while time.monotonic() < end:
            if payload.polite and context.killed:
                break
            time.sleep(0.005)
        context.send(Talk(f"main thread: {threading.current_thread() is threading.main_thread()}"))
        return Sum(1)

    @task
    async def give(self, payload: Give) -> object:
        match payload.what:
            case "list":
                return [1, 2]
            case "deep":
                nested: tuple[object, ...] = ()
                for _ in range(2000):
                    nested = (nested,)
                return nested
            case "large":
                return Blob(b"x" * 2_000_000)
            case "text":
                return "just text"
            case _:
                return None

    @task
    async def send_file(self, payload: Send, context: TaskContext) -> Talk:
        if payload.name.endswith(".file"):
            path = context.sandbox / "made"
            path.write_bytes(b"f" * payload.size)
            upload = await context.upload(payload.name, path)
        else:
            upload = await context.upload(payload.name, b"x" * payload.size, "text/plain")
        return Talk(f"{upload.name} {upload.url} {upload.size}")

    @task
    async def nothing(self, context: TaskContext) -> Talk:
        return Talk("no payload")


class Raw(Executor):
    """An executor for a scheduler that is not ours: bytes in, bytes out. Behaves as the recorded one did."""

    async def on_message(self, message: object) -> None:
        self.send(message)

    @task
    async def run(self, data: bytes | None, context: TaskContext) -> bytes | None:
        if data == b"message":
            context.send(b"from executor")
        if data == b"too large":
            context.send(Talk("x" * 5_000_000))
        if data == b"finish":
            return b"done"
        await asyncio.sleep(3600)
        return None


class SlowStart(Executor):
    async def on_start(self) -> None:
        await asyncio.sleep(10)

    async def on_stop(self) -> None:
        self.send(Talk("stopped"))

    @task
    async def add(self, payload: Add) -> Sum:
        return Sum(payload.a + payload.b)


class BrokenStart(Executor):
    async def on_start(self) -> None:
        raise OSError("no Chromium\nhere")

    @task
    async def add(self, payload: Add) -> Sum:
        return Sum(payload.a + payload.b)


class SlowStop(Executor):
    """Its on_stop takes as long as its settings say; and a plain hook is as good as a coroutine."""

    def on_start(self) -> None:  # type: ignore[override]
        self.started = True

    async def on_stop(self) -> None:
        await asyncio.sleep(3600)

    @task
    async def wait(self, payload: Wait) -> None:
        await asyncio.sleep(payload.seconds)


class BadStop(Executor):
    async def on_stop(self) -> None:
        raise RuntimeError("on_stop fails")

    @task
    async def wait(self, payload: Wait) -> None:
        await asyncio.sleep(payload.seconds)


class NoTasks(Executor):
    pass


class TwoOfAKind(Executor):
    @task
    async def one(self, payload: Add) -> None: ...

    @task
    async def two(self, payload: Add | Wait) -> None: ...


class NoAnnotation(Executor):
    @task
    async def one(self, payload) -> None: ...


class TooMany(Executor):
    @task
    async def one(self, payload: Add, context: TaskContext, more: int) -> None: ...


class AnyNames(Executor):
    @task
    async def one(self, payload: Add, **more: int) -> None: ...


class AnyMore(Executor):
    @task
    async def one(self, payload: Add, *more: int) -> None: ...


class ByPlace(Executor):
    @task
    async def one(self, payload: Add, /) -> None: ...


class Generator(Executor):
    @task
    async def one(self, payload: Add):
        yield payload


class Unmakable(Executor):
    def __init__(self) -> None:
        raise RuntimeError("not today")

    @task
    async def one(self, payload: Add) -> None: ...


class NotAnExecutor:
    pass


@message(name="test:Misbehave")
class Misbehave:
    how: str


@message(name="test:MisbehaveInThread")
class MisbehaveInThread:
    how: str


@message(name="test:Picky")
class Picky:
    """A payload whose own check raises where it is unpacked."""

    text: str

    def __post_init__(self) -> None:
        if self.text == "exit":
            sys.exit(4)
        if self.text == "raise":
            raise RuntimeError("not this one")


class Unforeseen(BaseException):
    """What `except Exception` does not catch."""


class TextRaises(Exception):
    def __str__(self) -> str:
        raise Unforeseen("no text")


class Forgetful(TaskFailed):
    def __init__(self) -> None:
        pass


ENDINGS = {
    "surrogate": lambda: TaskFailed("bad \udce9 name"),
    "surrogate in an error": lambda: ValueError("bad \udce9 name"),
    "number": lambda: TaskFailed(404),  # type: ignore[arg-type]
    "forgetful": Forgetful,
    "text raises": TextRaises,
    "text of TaskFailed raises": lambda: TaskFailed(TextRaises()),  # type: ignore[arg-type]
    "base": lambda: Unforeseen("quite so"),
    "generator exit": GeneratorExit,
    "keyboard": KeyboardInterrupt,
    "exit with an object": lambda: SystemExit(TextRaises()),
    "stop iteration": lambda: StopIteration(1),
    "cancelled": asyncio.CancelledError,
    "group": lambda: BaseExceptionGroup("several", [KeyboardInterrupt()]),
    "long": lambda: ValueError("x" * 1_000_000),
}


class Misbehaving(Executor):
    """Ends its tasks in every way that an author might, and most that none would."""

    @task
    async def misbehave(self, payload: Misbehave, context: TaskContext) -> object:
        match payload.how:
            case "cancels itself":
                self._cancel_current()
                await asyncio.sleep(1)
            case "cancels itself and returns":
                self._cancel_current()
            case "progress with a surrogate":
                context.progress("\udce9%")
                await asyncio.sleep(0.1)
            case "message too large":
                context.send(b"x" * 5_000_000)
            case "message of too many":
                self.send((1,) * 60_000)
            case "progress too large":
                context.progress(Blob(b"x" * 2_000_000))
            case "surrogates everywhere":
                context.send(Talk("\udce9"))
                context.progress(Talk("\udce9"))
                await asyncio.sleep(0.1)
                return Talk("\udce9")
            case "waits":
                await asyncio.sleep(1000)
            case "bytes":
                self.send(b"of the executor")
                context.send(b"of the task")
                return b"as a result"
            case "exits beside itself":
                await asyncio.create_task(self._exit())
            case "exits in a callback":
                asyncio.get_running_loop().call_soon(sys.exit, 5)
                await asyncio.sleep(0.1)
            case "blocks its own loop":
                context.upload_blocking("a", b"b")
            case "uploads a name":
                await context.upload("a.txt", "a.txt")  # type: ignore[arg-type]
            case how:
                self._end(how)
        return None

    @task
    def misbehave_in_thread(self, payload: MisbehaveInThread) -> object:
        self._end(payload.how)
        return None

    @task
    async def picky(self, payload: Picky) -> None:
        pass

    @task
    async def add(self, payload: Add) -> Sum:
        return Sum(payload.a + payload.b)

    async def _exit(self) -> None:
        sys.exit(5)

    @staticmethod
    def _end(how: str) -> None:
        error = ENDINGS[how]()
        raise error

    @staticmethod
    def _cancel_current() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()


class MisbehavingHooks(Misbehaving):
    """Its hooks raise what nobody expects, or cancel themselves: `settings.where` and `settings.how`."""

    @dataclass(frozen=True, slots=True)
    class Settings:
        where: str = setting("on_start", help="Which hook.")
        how: str = setting("base", help="What it does.")

    settings: Settings

    async def _maybe(self, where: str) -> None:
        if self.settings.where != where:
            return
        if self.settings.how == "cancels itself":
            self._cancel_current()
        elif self.settings.how == "hangs":
            await asyncio.sleep(50)
        else:
            self._end(self.settings.how)

    async def on_start(self) -> None:
        await self._maybe("on_start")

    async def on_message(self, message: object) -> None:
        if message == Talk("now"):
            await self._maybe("on_message")
        self.send(Talk("heard"))

    async def on_stop(self) -> None:
        await self._maybe("on_stop")


class ExitsWhenMade(Executor):
    def __init__(self) -> None:
        sys.exit("no licence")

    @task
    async def one(self, payload: Add) -> None: ...


class OddAnnotation(Executor):
    @task
    async def one(self, payload: "asyncio.NoSuchThing") -> None: ...  # type: ignore[name-defined]


class GeneratorHook(Executor):
    def on_start(self):
        yield "never run"

    @task
    def one(self, payload: Add):
        """Has nothing wrong with it."""


class BareHook(Executor):
    async def on_message(self):  # type: ignore[override]
        """Lacks the message."""

    @task
    def one(self, payload: Add):
        """Has nothing wrong with it."""


class Listener(Executor):
    """Writes down which hooks were called; raises in the one that `settings.raises` names, after that."""

    @dataclass(frozen=True, slots=True)
    class Settings:
        raises: str = setting("", help="Which hook.")

    calls: ClassVar[list[tuple[str, object]]] = []
    settings: Settings

    def _called(self, name: str, argument: object = None) -> None:
        self.calls.append((name, argument))
        if name == self.settings.raises:
            raise SystemExit(f"{name} raises")

    async def on_start(self) -> None:
        self._called("on_start")

    async def on_registered(self, info: Registration) -> None:
        self._called("on_registered", info)

    async def on_reregistered(self, info: Registration) -> None:
        self._called("on_reregistered", info)

    def on_disconnected(self, reason: str) -> None:  # type: ignore[override]  # a plain method will do
        self._called("on_disconnected", reason)

    async def on_shutdown(self, reason: str) -> None:
        self._called("on_shutdown", reason)

    async def on_error(self, message: str) -> None:
        self._called("on_error", message)

    async def on_stop(self) -> None:
        self._called("on_stop")

    @task
    async def wait(self, payload: Wait) -> None:
        await asyncio.sleep(payload.seconds)


class BareDisconnected(Executor):
    async def on_disconnected(self):  # type: ignore[override]
        """Lacks the reason."""

    @task
    def one(self, payload: Add):
        """Has nothing wrong with it."""


class Gated(Executor):
    """Its start and its task wait for files in the folder that the environment names; what it does is written down there."""

    def __init__(self) -> None:
        self.folder = Path(os.environ["GATES"])

    def note(self, book: str) -> None:
        with (self.folder / book).open("a") as file:
            file.write(f"{os.getpid()}\n")

    async def gate(self, name: str) -> None:
        while not (self.folder / name).exists():
            await asyncio.sleep(0.02)

    async def on_start(self) -> None:
        self.note("starting")
        await self.gate("start")

    @task
    async def work(self, payload: Add) -> Sum:
        self.note("begun")
        await self.gate("end")
        self.note("done")
        return Sum(payload.a + payload.b)


class Speaks(Executor):
    """Says what it is given, reliably."""

    contexts: ClassVar[list[TaskContext]] = []

    async def on_message(self, message: Talk) -> None:
        self.send(message, reliable=True)

    @task
    async def speak(self, payload: Talk, context: TaskContext) -> None:
        self.contexts.append(context)
        context.send(payload, reliable=True)
