"""The outgoing half of the connection: calls sent, kept, resent and reported, by the table in `call_table`.

Calls go pipelined over one connection beside the subscription's. An answer is waited for outside the actor's turn, so what
became of a call comes back as a message to oneself; a call that was taken (2xx) comes back as nothing at all.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from functools import partial

from actors import messages as m
from actors.connection.call_table import RULES, WhenDisconnected
from actors.connection.framework_info import offer_constraints
from actors.connection.parts import CallEnded, RetryDue, UpdateTaken
from actors.connection.states import TABLE, ConnectionState
from actors.messages import NOT_BUILT
from actors.runtime import Actor, receive
from actors.runtime.state_machine import Machine
from actors.server.tokens import TokenWriter
from actors.settings import Composition
from mesos_http import CallPipeline, ConnectFailed, Response
from mesos_v1 import calls, pb
from mesos_v1.content import ContentType, serialize
from mesos_v1.errors import ContentError, classify
from mesos_v1.values import FrameworkId

logger = logging.getLogger("actors.connection")

S = ConnectionState


class ConnectionCalls(Actor):
    """Carries calls; `ConnectionActor` adds the subscription that they belong to."""

    def __init__(self, composition: Composition) -> None:
        super().__init__()
        self.framework = composition.framework
        self._life = Machine(TABLE)
        self.framework_id: FrameworkId | None = None
        self._tokens = TokenWriter(composition.token)
        self._content = ContentType.JSON if self.framework.content_type == "json" else ContentType.PROTOBUF
        self._attempt = 0
        self._pipeline: CallPipeline | None = None
        self._kept: dict[tuple[m.Call, str], None] = {}  # in order, and nothing twice
        self._why = "not subscribed yet"
        self._suppressed: frozenset[str] = frozenset()
        self._updated: m.UpdateFramework | None = None

    @property
    def state(self) -> ConnectionState:
        return self._life.state

    @receive
    def handle_call(self, call: m.Call) -> None:
        """Send a call, or do with it what its row in the table says."""
        sender = self.sender.name if self.sender is not None else ""
        if isinstance(call, m.UpdateFramework):
            call = self._complete(call)
        if self.state is S.SUBSCRIBED:
            self._send(call, sender)
        elif self.state in {S.ENDED, S.ENDING}:
            self._report(call, sender, f"the framework has ended: {self._why}")
        else:
            self._put_off(call, sender, uncertain=False)

    @receive
    def handle_call_ended(self, ended: CallEnded) -> None:
        """A call was not taken: report it or keep it; the subscription ends only if the answer says that it has."""
        if not ended.status:
            self._put_off(ended.call, ended.sender, uncertain=ended.sent)
            self._retry_kept(after=0.1 if ended.sent else 1.0)
            return
        meaning = classify(ended.status, ended.reason)
        if meaning.subscription_lost or meaning.not_leader:
            self._put_off(ended.call, ended.sender, uncertain=False)
            if ended.attempt == self._attempt:
                self._break(f"a call was answered {ended.status}: {ended.reason}")
        elif meaning.retryable and RULES[type(ended.call)].when_disconnected is WhenDisconnected.KEEP:
            self._keep(ended.call, ended.sender)
            self._retry_kept(after=1.0)
        else:
            self._report(ended.call, ended.sender, ended.reason, ended.status)

    def _post(self, call: m.Call | m.Teardown) -> asyncio.Future[Response]:
        assert self._pipeline is not None
        assert self.framework_id is not None
        built = calls.with_framework_id(RULES[type(call)].build(call), self.framework_id)
        if isinstance(call, m.Accept):
            self._tokens.fill(built)
        return self._pipeline.send(serialize(built, self._content), self._content.value)

    @receive
    def handle_update_taken(self, taken: UpdateTaken) -> None:
        """The framework is another one from now on."""
        self._updated = taken.call
        self._suppressed = frozenset(taken.call.suppressed_roles or ())

    def _complete(self, update: m.UpdateFramework) -> m.UpdateFramework:
        """Say what the call leaves as it is: what it left out, the master would clear."""
        suppressed, constraints = update.suppressed_roles, update.offer_constraints
        if suppressed is None:
            roles = pb.mesos.FrameworkInfo.FromString(update.framework_info).roles
            suppressed = tuple(role for role in roles if role in self._suppressed)
        if constraints is None and self._updated is not None:
            constraints = self._updated.offer_constraints
        elif constraints is None:
            asked = offer_constraints(self.framework)
            constraints = asked.SerializeToString() if asked is not None else b""
        return m.UpdateFramework(update.framework_info, suppressed, constraints)

    def _roles(self) -> frozenset[str]:
        if self._updated is None:
            return frozenset(self.framework.roles)
        return frozenset(pb.mesos.FrameworkInfo.FromString(self._updated.framework_info).roles)

    def _send(self, call: m.Call, sender: str) -> None:
        if isinstance(call, m.Suppress):
            self._suppressed |= frozenset(call.roles) or self._roles()
        elif isinstance(call, m.Revive):
            self._suppressed -= frozenset(call.roles) or self._roles()
        try:
            answer = self._post(call)
        except (ContentError, ValueError) as error:
            self._report(call, sender, f"the call cannot be built: {error}", NOT_BUILT)
            return
        answer.add_done_callback(partial(self._answered, self._attempt, call, sender))

    def _answered(self, attempt: int, call: m.Call, sender: str, done: asyncio.Future[Response]) -> None:
        """Post what became of a call to the actor's own mailbox; runs outside its turn, so it only tells."""
        error = None if done.cancelled() else done.exception()  # which also marks it as seen
        if not self.actor_ref.is_alive():
            return  # stopped while the call was on its way: nobody asks any more
        if error is not None or done.cancelled():
            reason = str(error) if error else "given up"
            sent = not isinstance(error, ConnectFailed)
            self.actor_ref.tell(CallEnded(attempt, call, sender, 0, reason, sent))
            return
        response = done.result()
        if response.status >= 300:
            text = response.body.decode("utf-8", "replace")[:500]
            self.actor_ref.tell(CallEnded(attempt, call, sender, response.status, text))
        elif isinstance(call, m.UpdateFramework):
            self.actor_ref.tell(UpdateTaken(call))

    def _keep(self, call: m.Call, sender: str) -> None:
        """Keep a call, once: a KILL that is repeated while there is no master is one KILL, and the last word counts."""
        self._kept.pop((call, sender), None)
        self._kept[call, sender] = None

    def _send_kept(self) -> None:
        """Send what was kept, acknowledgements first: they free the agents' queues."""
        kept, self._kept = self._kept, {}
        for call, sender in sorted(kept, key=lambda pair: not isinstance(pair[0], m.Acknowledge)):
            self._send(call, sender)

    def _retry_kept(self, after: float) -> None:
        if self.state is S.SUBSCRIBED and self._kept:
            self.timers.after(after, RetryDue(-self._attempt))

    def _put_off(self, call: m.Call, sender: str, *, uncertain: bool) -> None:
        """Keep a call for the next subscription, or tell its sender that there is none."""
        rule = RULES[type(call)]
        if rule.when_disconnected is WhenDisconnected.KEEP:
            self._keep(call, sender)
        elif rule.when_disconnected is WhenDisconnected.EXPIRE:
            self._report(call, sender, f"expired with its subscription: {self._why}", uncertain=uncertain)
        else:
            self._report(call, sender, f"there is no subscription: {self._why}", uncertain=uncertain)

    def _report(
        self, call: m.Call, sender: str, reason: str, status: int = 0, *, uncertain: bool = False
    ) -> None:
        level = logging.DEBUG if self.state in {S.ENDING, S.ENDED} else logging.WARNING
        logger.log(level, "%s failed: %s", RULES[type(call)].name, reason)
        if sender:
            self.tell(sender, m.CallFailed(call, reason, status, uncertain))

    @abstractmethod
    def _break(self, reason: str) -> None:
        """End the present subscription, to begin a new one."""
