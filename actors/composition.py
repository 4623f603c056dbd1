"""A framework as a composition of actors, and how one is run.

The root of the tree is an actor called "framework": it keeps the store (which so outlives a restart of the scheduler) and
the scheduler, which supervises everything else; it ends when the scheduler says how the framework ended. Where several processes
share the store, it keeps the election too, and store and scheduler are there only while this process leads.
"""

import asyncio
import logging
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from actors import messages as m
from actors.connection_actor import ConnectionActor
from actors.election_actor import ElectionActor
from actors.failure_actor import FailureActor
from actors.framework_settings import LEASE, WEEK, ActorSpec, Composition, Kept, Leadership
from actors.message_actor import MessageActor
from actors.messages import Outcome
from actors.offer_actor import OfferActor
from actors.reconciler_actor import ReconcilerActor
from actors.runtime import (
    RESTART,
    STOP,
    Actor,
    ActorSystem,
    ChildFailed,
    NoSettings,
    Secret,
    TraceWriter,
    receive,
)
from actors.scheduler.base_scheduler import exit_of
from actors.scheduler_actor import SchedulerActor
from actors.server_actor import ServerActor
from actors.store.coordination import ABSENT
from actors.store_actor import StoreActor
from wire.author_code import author_traceback, one_line

logger = logging.getLogger("actors.scheduler")
_SHORTEST = 32  # characters of a token; the file of one that is shorter was cut off

__all__ = ["BUILT_IN", "ActorSpec", "Composition", "FrameworkActor", "Outcome", "run"]

BUILT_IN: Mapping[str, type[Actor]] = {
    "scheduler": SchedulerActor,
    "connection": ConnectionActor,
    "offers": OfferActor,
    "reconciler": ReconcilerActor,
    "messages": MessageActor,
    "failures": FailureActor,
    "store": StoreActor,
    "server": ServerActor,
}


class FrameworkActor(Actor):
    """The root: keeps store and scheduler, while this process leads, and waits for the outcome."""

    def __init__(self, composition: Composition, outcome: asyncio.Future[Outcome]) -> None:
        self.composition = composition
        self.outcome = outcome
        self._elected = m.Elected(ABSENT)

    def on_start(self) -> None:
        """Spawn the store, then the scheduler; or first the election of who may."""
        if self.composition.coordinate is None:
            self._begin()
            return
        store = self.composition.spec("store")
        lease = getattr(store.settings, "lease", LEASE) if store is not None else LEASE
        token = Secret(self.composition.token)
        self.spawn(ElectionActor, self.composition, lease, token, name="election", supervision=STOP)

    @receive
    def handle_won(self, won: m.Won) -> None:
        """This process leads: begin with nothing that was there before."""
        self._elected = m.Elected(won.epoch, won.waited, won.followed)
        self.composition = replace(
            self.composition,
            leadership=Leadership(won.epoch, won.until),
            token=won.token.reveal(),
            kept=Kept(),
        )
        self._begin()

    @receive
    async def handle_deposed(self, deposed: m.Deposed) -> None:
        """Tell the author, and stop everything; what is told or written on the way no longer leaves this process."""
        self.tell("scheduler", deposed)
        await self._stop_children("scheduler", "store")
        self.composition.kept.remove()

    def _begin(self) -> None:
        for name in ("store", "scheduler"):
            spec = self.composition.spec(name)
            assert spec is not None  # `run` completes the composition
            try:
                self.spawn(spec.cls, self.composition, spec.settings, name=name, supervision=RESTART)
            except SystemExit as asked:
                self._end(Outcome(*exit_of(asked)))
            except Exception as error:  # an author's __init__; nothing else would end the framework
                logger.error("the %s could not be created\n%s", name, author_traceback(error))
                self._end(Outcome(1, f"the {name} could not be created: {one_line(error)}"))

    @receive
    def handle_actor_started(self, started: m.ActorStarted) -> None:
        self.tell(started.name, m.Begin(self._elected if self.composition.leadership is not None else None))

    @receive
    def handle_shutdown_requested(self, request: m.ShutdownRequested) -> None:
        """The author's scheduler decides how to end; a process that stands by just ends."""
        if self.system.find("scheduler") is not None:
            self.tell("scheduler", request)
        else:
            logger.warning("%s: this process ends; it did not lead the framework", request.reason)
            self._end(Outcome(0, request.reason))

    @receive
    async def handle_outcome(self, outcome: Outcome) -> None:
        """End; what was stored last is written before a leader resigns, so that whoever follows it knows."""
        if self.composition.coordinate is not None:
            await self._stop_children("scheduler", "store", "election")
        self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    async def _stop_children(self, *names: str) -> None:
        for name in names:
            await self.ref(name).stop(block=False)

    @receive
    async def handle_child_failed(self, failure: ChildFailed) -> None:
        await self.handle_outcome(Outcome(1, f"{failure.name} failed: {failure.error}"))


async def run(
    composition: Composition, *, trace: TraceWriter | None = None, system: ActorSystem | None = None
) -> Outcome:
    """Run a framework until it ends, and return how: the author's exit code and why.

    A system of one's own is left running, and its trace is the one that counts.
    """
    if trace is not None and not composition.trace_file:
        composition = replace(composition, trace_file=str(trace.path))
    if system is None:
        async with ActorSystem(composition.framework.name, trace=trace) as own:
            return await run(composition, system=own)
    composition = _completed(composition)
    if composition.coordinate is None:
        store = composition.spec("store")
        composition = replace(composition, coordinate=getattr(store and store.settings, "coordinate", None))
    store_path = composition.store_path
    if composition.framework.failover_timeout is None:
        timeout = WEEK if composition.store_files else 0.0
        composition = replace(composition, framework=replace(composition.framework, failover_timeout=timeout))
    if composition.coordinate is not None:
        composition = replace(composition, token=drawn_token())
    elif not composition.token:
        try:
            composition = replace(composition, token=token_for(store_path))
        except OSError as error:
            return Outcome(2, f"the token beside the store cannot be kept: {error}")
    composition = replace(composition, kept=Kept())
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    root = system.spawn(FrameworkActor, composition, outcome, name="framework")
    try:
        return await outcome
    finally:
        await root.stop(block=False)
        composition.kept.remove()


def _completed(composition: Composition) -> Composition:
    missing = (
        ActorSpec(name, cls, getattr(cls, "Settings", NoSettings)())
        for name, cls in BUILT_IN.items()
        if composition.spec(name) is None
    )
    return replace(composition, actors=(*composition.actors, *missing))


def drawn_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(_SHORTEST)


def token_for(store_path: str) -> str:
    """Return the upload token: that of an earlier run with the same store, so that its executors can still upload, or a new one.

    A trace shows every message, so the token is in none: it is made once, kept beside the store if that is durable (OSError:
    it cannot be), and reaches server and connection with the composition that they are constructed with.
    """
    drawn = drawn_token()
    if not store_path:
        return drawn
    path = Path(f"{store_path}.token")
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = _kept(path)
    if kept == "":
        again = "%s was damaged and is made again: executors that run already cannot upload"
        logging.getLogger("actors.server").warning(again, path)
        path.unlink()
    return kept or _keep(path, drawn)


def _kept(path: Path) -> str | None:
    """Return what the file holds: a token, "" if it is damaged, None if there is none."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    token = text.decode("latin-1").strip()
    return token if len(token) >= _SHORTEST and token.isascii() and token.isprintable() else ""


def _keep(path: Path, token: str) -> str:
    """Write the file as a whole or not at all; if another process has just done so, its token counts."""
    handle, aside = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # readable by its user only
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(token)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return _kept(path) or token
        except OSError:  # a file system without links
            Path(aside).replace(path)
    finally:
        Path(aside).unlink(missing_ok=True)
    return token
