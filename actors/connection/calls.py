"""The outgoing half of the scheduler API: SUBSCRIBE, and every call in one table that says what is kept, sent and reported.

Calls go pipelined over one connection beside the subscription's. An answer is waited for outside the actor's turn, so what
happened to a call comes back as a message to the connection; one that was taken (2xx) does not, unless its row says so.
"""

import asyncio
import getpass
import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

from actors import messages as m
from actors.framework_settings import Composition, FrameworkSettings
from actors.runtime import Actor, DecodeError, message, pack, unpack
from mesos_http import CallPipeline, ConnectFailed, Response
from mesos_v1 import calls, pb, task_infos
from mesos_v1.content import ContentType, parse, serialize
from mesos_v1.errors import ContentError
from mesos_v1.values import FrameworkId, OfferId
from wire.start_letter import ExecutorBoot

logger = logging.getLogger("actors.connection")


@message
class CallEnded:
    """A call was not taken: a status other than 2xx; or none (0), then `sent` says whether it may have arrived."""

    attempt: int
    call: m.Call
    sender: str
    status: int
    reason: str
    sent: bool = True


@message
class UpdateTaken:
    """The master has taken an UPDATE_FRAMEWORK: later subscriptions say the same."""

    call: m.UpdateFramework


@message
class KeptCallsDue:
    """Time to send what was kept, although the subscription of that attempt lives."""

    attempt: int


def framework_info(
    settings: FrameworkSettings, framework_id: FrameworkId | None = None
) -> pb.mesos.FrameworkInfo:
    """Describe the framework to the master (ValueError: it has a capability that this version of the API does not know)."""
    known = pb.mesos.FrameworkInfo.Capability.Type.keys()
    unknown = [name for name in settings.capabilities if name not in known]
    if unknown:
        raise ValueError(f"no such capability of a framework: {unknown[0]} (known: {', '.join(known)})")
    return task_infos.framework_info(
        settings.name,
        settings.user or getpass.getuser(),
        roles=settings.roles,
        framework_id=framework_id,
        failover_timeout=settings.failover_timeout or 0.0,
        checkpoint=settings.checkpoint,
        hostname=settings.hostname or socket.gethostname(),
        principal=settings.principal or None,
        webui_url=settings.webui_url or None,
        capabilities=settings.capabilities,
        labels=settings.labels,
    )


def _offer_constraints(settings: FrameworkSettings) -> pb.scheduler.OfferConstraints | None:
    """The settings' own, in Mesos's JSON (ContentError: they are not)."""
    if not settings.offer_constraints:
        return None
    return parse(pb.scheduler.OfferConstraints, settings.offer_constraints.encode(), ContentType.JSON)


def _roles_of(info: pb.mesos.FrameworkInfo) -> Sequence[str]:
    return info.roles or (info.role,)


class Fate(Enum):
    """What happens to a call that is made while there is no subscription, or that was in flight when it broke."""

    KEPT = "sent with the next subscription"
    EXPIRED = "void with its subscription: reported to its sender, which starts over with the next one"
    REFUSED = "reported to its sender as an error"


class CallRule(NamedTuple):
    """One row."""

    name: str  # the call's name in Mesos
    build: Callable[..., pb.scheduler.Call]  # makes the call of the fields of its message, in order
    fate: Fate  # what happens to it without a subscription
    # makes what the connection is told when the master has taken it; None where nothing follows from it
    taken: Callable[[Any], object] | None = None


def _accept(
    offer_ids: Iterable[OfferId], operations: Iterable[bytes], refuse_seconds: float, *_launched: object
) -> pb.scheduler.Call:
    return calls.accept(offer_ids, map(pb.mesos.Offer.Operation.FromString, operations), refuse_seconds)


def _update_framework(
    framework_info: bytes, suppressed_roles: tuple[str, ...] | None, constraints: bytes | None
) -> pb.scheduler.Call:
    info = pb.mesos.FrameworkInfo.FromString(framework_info)
    wanted = pb.scheduler.OfferConstraints.FromString(constraints) if constraints else None
    return calls.update_framework(info, suppressed_roles or (), wanted)


KEPT, EXPIRED, REFUSED = Fate

RULES: Mapping[type, CallRule] = {
    # Offers end with their subscription, and with them what was to be done with them.
    m.Accept: CallRule("ACCEPT", _accept, EXPIRED),
    m.Decline: CallRule("DECLINE", calls.decline, EXPIRED),
    m.AcceptInverseOffers: CallRule("ACCEPT_INVERSE_OFFERS", calls.accept_inverse_offers, EXPIRED),
    m.DeclineInverseOffers: CallRule("DECLINE_INVERSE_OFFERS", calls.decline_inverse_offers, EXPIRED),
    # SUBSCRIBE says which roles are suppressed; the broker says again what it wants.
    m.Revive: CallRule("REVIVE", calls.revive, EXPIRED),
    m.Suppress: CallRule("SUPPRESS", calls.suppress, EXPIRED),
    # Every subscription begins with a round of reconciliation.
    m.Reconcile: CallRule("RECONCILE", calls.reconcile, EXPIRED),
    m.ReconcileOperations: CallRule("RECONCILE_OPERATIONS", calls.reconcile_operations, EXPIRED),
    m.RequestResources: CallRule("REQUEST", calls.request, EXPIRED),
    # What was decided stays decided.
    m.Kill: CallRule("KILL", calls.kill, KEPT),
    m.ShutdownExecutor: CallRule("SHUTDOWN", calls.shutdown, KEPT),
    m.Acknowledge: CallRule("ACKNOWLEDGE", calls.acknowledge, KEPT),
    m.AcknowledgeOperation: CallRule(
        "ACKNOWLEDGE_OPERATION_STATUS", calls.acknowledge_operation_status, KEPT
    ),
    m.UpdateFramework: CallRule("UPDATE_FRAMEWORK", _update_framework, KEPT, UpdateTaken),
    m.Teardown: CallRule("TEARDOWN", calls.teardown, KEPT),
    # Best effort by its nature: its sender must know that it did not leave.
    m.SendMessage: CallRule("MESSAGE", calls.message, REFUSED),
}


def built(call: m.Call | m.Teardown) -> pb.scheduler.Call:
    """Return a call as its row builds it, without the framework's id."""
    return RULES[type(call)].build(*[getattr(call, name) for name in type(call).__match_args__])


class Outbox:
    """The calls of one connection: on their way, kept for the next subscription, or reported to their senders."""

    def __init__(self, owner: Actor, composition: Composition) -> None:
        self.content = ContentType[composition.framework.content_type.upper()]
        self.framework_id: FrameworkId | None = None
        self.pipeline: CallPipeline | None = None  # where calls go; None while there is no stream
        self.attempt = 0  # the number of the attempt that the pipeline belongs to
        self.level = logging.WARNING  # how loudly failures are logged
        self.suppressed: frozenset[str] = frozenset()  # the roles that SUBSCRIBE has to say want no offers
        self.updated: m.UpdateFramework | None = None  # the last UPDATE_FRAMEWORK that the master took
        self._owner = owner
        self._framework = composition.framework
        self._token = composition.token
        self._letters: dict[bytes, bytes] = {}  # those that the token is in, by what they were
        self._kept: dict[tuple[m.Call, str], None] = {}  # in order, and nothing twice

    def subscribe(self) -> pb.scheduler.Call:
        """Build SUBSCRIBE; with an id, the framework takes its place again (Mesos: "Scheduler HTTP API", SUBSCRIBE).

        It says what the last UPDATE_FRAMEWORK said, or it would undo it.
        """
        if self.updated is None:
            info = framework_info(self._framework, self.framework_id)
            constraints = _offer_constraints(self._framework)
        else:
            info = pb.mesos.FrameworkInfo.FromString(self.updated.framework_info)
            constraints = pb.scheduler.OfferConstraints.FromString(self.updated.offer_constraints or b"")
        call = calls.subscribe(info, sorted(self.suppressed.intersection(_roles_of(info))), constraints)
        return calls.with_framework_id(call, self.framework_id) if self.framework_id else call

    def close(self) -> None:
        """Drop the connection; calls in flight come back as `CallEnded`."""
        if self.pipeline is not None:
            self.pipeline.close()
        self.pipeline = None

    def post(self, call: m.Call | m.Teardown) -> asyncio.Future[Response]:
        """Put a call on the line; its answer comes later."""
        assert self.pipeline is not None
        assert self.framework_id is not None
        whole = calls.with_framework_id(built(call), self.framework_id)
        if isinstance(call, m.Accept):
            self.write_token(whole)
        return self.pipeline.send(serialize(whole, self.content), self.content.value)

    def send(self, call: m.Call, sender: str) -> None:
        """Send a call; what happens to it comes back to the connection, if it is news."""
        if isinstance(call, m.Suppress):
            self.suppressed |= frozenset(call.roles) or self._roles()
        elif isinstance(call, m.Revive):
            self.suppressed -= frozenset(call.roles) or self._roles()
        try:
            answer = self.post(call)
        except (ContentError, ValueError) as error:
            self.report(call, sender, f"the call cannot be built: {error}", m.NOT_BUILT)
            return
        answer.add_done_callback(partial(self._answered, self.attempt, call, sender))

    def _answered(self, attempt: int, call: m.Call, sender: str, done: asyncio.Future[Response]) -> None:
        """Tell the connection what happened to a call; runs outside its turn, so it only tells."""
        error = done.exception()  # which also marks it as seen
        me, taken = self._owner.actor_ref, RULES[type(call)].taken
        if not me.is_alive():
            return  # stopped while the call was on its way
        if error is not None:
            sent = not isinstance(error, ConnectFailed)
            me.tell(CallEnded(attempt, call, sender, 0, str(error), sent=sent))
        elif (response := done.result()).status >= 300:
            me.tell(CallEnded(attempt, call, sender, response.status, response.text[:500]))
        elif taken is not None:
            me.tell(taken(call))

    def keep(self, call: m.Call, sender: str) -> None:
        """Keep a call, once: repeating a KILL without a master makes one KILL, and its last place in the order counts."""
        self._kept.pop((call, sender), None)
        self._kept[call, sender] = None

    def send_kept(self) -> None:
        """Send what was kept, acknowledgements first: they free the agents' queues."""
        kept, self._kept = self._kept, {}
        for call, sender in sorted(kept, key=lambda pair: not isinstance(pair[0], m.Acknowledge)):
            self.send(call, sender)

    def send_kept_later(self, after: float) -> None:
        """Have what was kept sent although the subscription lives."""
        if self._kept:
            self._owner.timers.after(after, KeptCallsDue(self.attempt))

    def put_off(self, call: m.Call, sender: str, why: str, *, uncertain: bool) -> None:
        """Keep a call for the next subscription, or tell its sender that there is none, and why."""
        fate = RULES[type(call)].fate
        if fate is KEPT:
            self.keep(call, sender)
        elif fate is EXPIRED:
            self.report(call, sender, f"expired with its subscription: {why}", uncertain=uncertain)
        else:
            self.report(call, sender, f"there is no subscription: {why}", uncertain=uncertain)

    def report(
        self, call: m.Call, sender: str, reason: str, status: int = 0, *, uncertain: bool = False
    ) -> None:
        """Tell the sender of a call that it came to nothing."""
        logger.log(self.level, "%s failed: %s", RULES[type(call)].name, reason)
        if sender:
            self._owner.tell(sender, m.CallFailed(call, reason, status, uncertain))

    def taken(self, update: m.UpdateFramework) -> None:
        """Remember what the framework is from now on."""
        self.updated = update
        self.suppressed = frozenset(update.suppressed_roles or ())

    def completed(self, call: m.Call) -> m.Call:
        """Say what an UPDATE_FRAMEWORK leaves as it is: what it left out, the master would clear."""
        if not isinstance(call, m.UpdateFramework):
            return call
        suppressed, constraints = call.suppressed_roles, call.offer_constraints
        if suppressed is None:
            roles = _roles_of(pb.mesos.FrameworkInfo.FromString(call.framework_info))
            suppressed = tuple(role for role in roles if role in self.suppressed)
        if constraints is None and self.updated is not None:
            constraints = self.updated.offer_constraints
        elif constraints is None:
            asked = _offer_constraints(self._framework)
            constraints = asked.SerializeToString() if asked is not None else b""
        return m.UpdateFramework(call.framework_info, suppressed, constraints)

    def write_token(self, call: pb.scheduler.Call) -> None:
        """Write the upload token into the start-up letters of an ACCEPT's executors, at the last moment.

        A trace shows every message, so the token is in none. What is not a letter of ours is left as it is.
        """
        for operation in call.accept.operations:
            for info in operation.launch.task_infos:
                if info.HasField("executor") and (data := info.executor.data):
                    if data not in self._letters:
                        self._letters[data] = self._with_token(data)
                    info.executor.data = self._letters[data]

    def _with_token(self, data: bytes) -> bytes:
        try:
            boot = unpack(data).message
        except DecodeError:
            return data
        return pack(replace(boot, token=self._token)) if isinstance(boot, ExecutorBoot) else data

    def _roles(self) -> frozenset[str]:
        if self.updated is None:
            return frozenset(self._framework.roles)
        return frozenset(_roles_of(pb.mesos.FrameworkInfo.FromString(self.updated.framework_info)))
