"""The broker: offers in, demands in, grouped ACCEPTs out.

Offers are held for milliseconds: at the end of the loop turn in which they came, all that is held is matched with all that
waits, the intents of a whole round are stored in one write, and when that is durable, one ACCEPT per agent leaves; what was
not used is declined in one call. When nothing waits for a role it is suppressed after a moment, and revived when something
does. A round places a bounded number of tasks per turn, so that 100,000 demands block nothing.
Sources: Mesos documentation, "Scheduler HTTP API" (OFFERS, RESCIND, ACCEPT, DECLINE, REVIVE, SUPPRESS).
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from actors import messages as m
from actors.changes import leaked
from actors.framework_settings import GPUS, Composition, seconds
from actors.offers.matching import (
    NO_EXECUTOR,
    AgentOffers,
    DemandQueue,
    ExecutorBook,
    Room,
    ShapeQueue,
    describe,
    match,
    operations_on,
    verdict,
)
from actors.records import INTENT, MAX_TASK_BYTES, OPERATION_INTENT, Writes
from actors.runtime import Actor, Backoff, message, receive, setting
from mesos_v1 import events
from mesos_v1.values import AgentId, Offer, OfferId, TaskId

logger = logging.getLogger("actors.offers")

Fate = m.CallFate

AGAIN = Backoff(1.0, 2.0, 60.0)  # the waits, in seconds, before what the master did not take is sent again
WORTH_SAYING = 10.0  # seconds after which a look is so old that its age is said
REMEMBERED = 10_000  # so many early rescinds and refused attempts are remembered


@dataclass(frozen=True, slots=True)
class OfferSettings:
    """How the broker treats offers."""

    refuse_seconds: float = seconds(
        5.0, help="How long refused resources stay away while something waits, in seconds."
    )
    idle_refuse_seconds: float = seconds(
        120.0, help="How long refused resources stay away while nothing waits."
    )
    jitter: float = setting(0.2, help="Share of a refusal that is drawn at random.")
    suppress_after: float = seconds(
        1.0, help="How long nothing must have waited for a role before it is suppressed."
    )
    revive_interval: float = seconds(0.1, help="Shortest time between two REVIVEs.")
    revive_when_freed: bool = setting(
        True,
        help="Whether to ask for offers as soon as a task has ended while others wait, "
        "rather than to wait for the master's next round of allocation.",
    )
    linger: float = seconds(0.1, help="How long an offer is held while nothing waits, before it is declined.")
    batch: int = setting(500, help="Most tasks placed in one turn of the loop.")
    max_tasks_per_accept: int = setting(2000, help="Most tasks launched with one ACCEPT.")
    max_accept_bytes: int = setting(
        MAX_TASK_BYTES, help="Most bytes of one ACCEPT; a task that alone is larger goes alone.", unit="bytes"
    )
    maintenance_margin: float = seconds(
        0.0,
        help="Agents whose maintenance begins within this time get no tasks; at least `maintenance_lead` of the framework "
        "where tasks are moved.",
    )


@message
class MatchDue:
    """Match what is held with what waits."""


@message
class LingerOver:
    """Nothing came that could use the offers that are held."""


@message
class SuppressDue:
    """See which roles need no offers any more."""


@message
class VolumeDue:
    """Has the agent of the volume that this attempt waits for offered anything since?"""

    attempt_id: TaskId
    since: float


@message
class ReviveDue:
    """REVIVE may be sent again."""


@message
class DeclineAgain:
    """Offers that the master did not take back are declined again, if their subscription still lives."""

    decline: m.Decline
    subscription: int


@message
class InterestDue:
    """Say again for which roles offers are wanted."""

    subscription: int


class Interest:
    """What the master has been told about each role: when to SUPPRESS, when to REVIVE.

    REVIVE undoes SUPPRESS, and clears the refusals of earlier declines and accepts: it is needed when a role that was
    suppressed is wanted again, and when a demand of a new shape comes while resources that others refused still stay away.
    A SUPPRESS or REVIVE that came to nothing leaves its roles in doubt: for them both are sent again, whichever is due.
    """

    def __init__(self, roles: Iterable[str]) -> None:
        self.roles = tuple(roles)
        self._suppressed: set[str] = set()
        self.refused: set[str] = set()  # of which resources were refused for a while
        self.doubtful: set[str] = set()  # of which the master was told, and may not have taken it in
        self._revived_at = float("-inf")

    @property
    def suppressed(self) -> tuple[str, ...]:
        """The roles that get no offers now."""
        return tuple(role for role in self.roles if role in self._suppressed)

    def subscribed(self, suppressed: Iterable[str] = ()) -> None:
        """A new subscription knows of no refusal, and of the suppression that it began with."""
        self._suppressed = set(suppressed)
        self.refused.clear()
        self.doubtful.clear()

    def wanted(self, role: str, *, new_shape: bool) -> bool:
        """A demand has come: return whether the master must be told."""
        return role in self._suppressed or role in self.doubtful or (new_shape and role in self.refused)

    def idle(self, waiting: frozenset[str]) -> tuple[str, ...]:
        """Return the roles to suppress."""
        told = self._suppressed - self.doubtful
        return tuple(role for role in self.roles if role not in waiting and role not in told)

    def suppress(self, waiting: frozenset[str]) -> tuple[str, ...]:
        """Return the roles to suppress now, which then are."""
        idle = self.idle(waiting)
        self._suppressed.update(idle)
        self.doubtful.difference_update(idle)
        return idle

    def revive_in(self, now: float, interval: float) -> float:
        """Return the seconds until REVIVE may be sent again."""
        return self._revived_at + interval - now

    def revive(self, waiting: frozenset[str], now: float) -> tuple[str, ...]:
        """Return the roles to revive now, which then are."""
        owed = waiting & (self._suppressed | self.refused | self.doubtful)
        roles = tuple(role for role in self.roles if role in owed)
        if roles:
            for told in (self._suppressed, self.refused, self.doubtful):
                told.difference_update(roles)
            self._revived_at = now
        return roles


class OfferActor(Actor):
    """Brings demands and offers together; see the head of this module."""

    Settings = OfferSettings

    def __init__(self, composition: Composition, settings: OfferSettings) -> None:
        self.settings = settings
        self.framework = composition.framework
        self.queue = DemandQueue()
        self._book = ExecutorBook()
        self._interest = Interest(composition.framework.roles)
        self._held: dict[tuple[AgentId, str], AgentOffers] = {}
        self._by_offer: dict[OfferId, AgentOffers] = {}
        self._writes: Writes[list[AgentOffers]] = Writes(self)
        self._rescinded_early: OrderedDict[OfferId, None] = OrderedDict()
        lead = self.framework.maintenance_lead if self.framework.on_maintenance == "move" else 0.0
        self._margin = max(settings.maintenance_margin, lead)
        self._room = Room(settings.max_tasks_per_accept, settings.max_accept_bytes)
        self._most_together: OrderedDict[TaskId, int] = OrderedDict()
        self._subscribed = False
        self._subscription = 0
        self._subscribed_at = 0.0
        self._introduced = False
        self._leaks_told: set[m.Leaked] = set()
        self._offered_at: dict[AgentId, float] = {}  # of agents that volumes are on
        self._not_taken = 0
        self._not_taken_at = 0.0
        self._over = False
        self._holds: dict[str, str] = {}  # who wants nothing launched for the time being, and why
        self._due: set[type] = set()  # what is to be done soon, once

    def on_start(self) -> None:
        """Report that a broker has started; after a restart, demands are sent again."""
        self.tell("scheduler", m.ActorStarted("offers"))

    def on_failure(self, *_error: object) -> None:
        """Give back what is held: the broker that takes over does not know of it, and no other actor would do it."""
        if self._by_offer:
            self.tell("connection", m.Decline(tuple(self._by_offer), self.settings.refuse_seconds))

    @receive
    def handle_use_executors(self, told: m.UseExecutors) -> None:
        holdings, self._book = self._book.holdings, ExecutorBook(told.executors, self.framework.roles)
        self._book.holdings = holdings
        self._introduced = True

    @receive
    def handle_know_holding(self, told: m.KnowHolding) -> None:
        if told.holding is None and not told.changing:
            self._book.holdings.pop(told.holding_id, None)
            return
        self._book.holdings[told.holding_id] = told
        if self._held:
            self._soon(MatchDue())
        elif self._interest.refused & self.queue.roles():  # of what was refused, something may fit now
            self._revive()
        if told.holding is not None and told.holding.replace_after is not None:
            for demand in self.queue.waiting_for(told.holding_id):
                self._watch_volume(demand, self.clock.now())

    @receive
    def handle_demand(self, demand: m.Demand) -> None:
        """Queue a demand; one whose ACCEPT was refused waits for the next offers, so that no storm begins."""
        most_together = self._most_together.pop(demand.attempt_id, None)
        if most_together is not None:
            demand = replace(demand, most_together=most_together)
        new_shape = self.queue.add(demand) and most_together is None
        if demand.holding:
            self._watch_volume(demand, self.clock.now())
        if self._interest.wanted(demand.role, new_shape=new_shape):
            self._revive()
        if self._held:
            self._soon(MatchDue())

    def _watch_volume(self, demand: m.Demand, since: float) -> None:
        known = self._book.holdings.get(demand.holding)
        if known is not None and known.holding is not None and known.holding.replace_after is not None:
            due = since + known.holding.replace_after - self.clock.now()
            self.timers.after(max(due, 1.0), VolumeDue(demand.attempt_id, since))

    @receive
    def handle_volume_due(self, due: VolumeDue) -> None:
        """Say that the volume is missing if nothing of its agent was offered for so long, with a master to offer it."""
        demand = self.queue.get(due.attempt_id)
        known = self._book.holdings.get(demand.holding) if demand is not None else None
        if demand is None or known is None or known.holding is None:
            return
        offered_at = self._offered_at.get(known.holding.agent_id, due.since)
        since = max(due.since, offered_at, self._subscribed_at if self._subscribed else self.clock.now())
        if known.changing or self.clock.now() - since < (known.holding.replace_after or 0.0):
            self._watch_volume(demand, since)
            return
        own = self._book.templates.get(demand.executor, NO_EXECUTOR).resources
        asked = demand.resources + own, demand.hosts, demand.attributes
        self.tell("scheduler", m.HoldingMissing(demand.holding, *asked))

    @receive
    def handle_withdraw(self, withdraw: m.Withdraw) -> None:
        """Drop a demand, also when it was placed already but its ACCEPT has not left."""
        attempt_id = withdraw.attempt_id
        gone = self.queue.remove(attempt_id) is not None
        if not gone:
            for agents in (*self._writes.waiting.values(), self._held.values()):
                gone = gone or any(agent.drop(attempt_id) for agent in agents)
        if gone and self.sender is not None:
            self.tell(self.sender, m.Withdrawn(attempt_id))
        self._suppress_later()

    @receive
    def handle_resources_freed(self, _freed: m.ResourcesFreed) -> None:
        """REVIVE makes the master allocate at once, where it would do so only every second or so."""
        if self.queue and self.settings.revive_when_freed and not self._held:
            self._interest.refused |= self.queue.roles()
            self._revive()

    @receive
    def handle_stop_launching(self, _asked: m.StopLaunching) -> None:
        """Place no task any more: TEARDOWN follows, and gives the offers back."""
        self._over = self.queue.changes_only = True

    @receive
    def handle_hold_launches(self, told: m.HoldLaunches) -> None:
        """Give everything back, also what waits for the store: nobody knows for how long."""
        if told.reason:
            self._holds[told.who] = told.reason
            self._give_back()
        elif self._holds.pop(told.who, None) and not self._holds and self.queue:
            self._interest.refused |= self.queue.roles()
            self._revive()

    # --- offers -----------------------------------------------------------------------------------------------

    @receive
    def handle_subscribed(self, news: m.Subscribed) -> None:
        self._drop_offers()
        self._subscribed = True
        self._subscribed_at = self.clock.now()
        self._subscription += 1
        self._not_taken = 0
        self._interest.subscribed(news.suppressed_roles)
        self.handle_interest_due(InterestDue(self._subscription))

    @receive
    def handle_still_subscribed(self, _news: m.StillSubscribed) -> None:
        """After a restart of the broker: what it last said of its roles is not known any more."""
        if not self._subscribed:
            self._subscribed = True
            self._interest.doubtful.update(self.framework.roles)
            self.handle_interest_due(InterestDue(self._subscription))

    @receive
    def handle_disconnected(self, _news: m.Disconnected) -> None:
        self._subscribed = False
        self.queue.forget_looks()
        self._drop_offers()

    @receive
    def handle_offers(self, arrived: events.Offers) -> None:
        """Hold offers until the end of this turn, all of one agent together."""
        now = self.clock.time()
        for offer in arrived.offers:
            if offer.id in self._rescinded_early:  # its rescind was faster
                del self._rescinded_early[offer.id]
                continue
            if self._goes_down(offer, now):
                waits = offer.role in self.queue.roles()  # the window may be called off
                self.tell("connection", m.Decline((offer.id,), self._refusal(wanted=waits)))
                continue
            if self._book.holdings:
                self._offered_at[offer.agent_id] = self.clock.now()
            key = (offer.agent_id, offer.role)
            agent = self._held.get(key)
            if agent is None:
                agent = self._held[key] = AgentOffers(offer.agent_id, offer.role, offer.hostname, self._room)
            agent.add(offer, self._book)
            self._by_offer[offer.id] = agent
        self._look_for_leaks(arrived.offers)
        self._soon(MatchDue())

    def _look_for_leaks(self, offers: tuple[Offer, ...]) -> None:
        """Tell of what is ours by its label and known to nobody: each once, until there is less or more of it."""
        if not self._introduced:  # what is known has not been told yet
            return
        for lost in leaked(offers, self.framework.name, self._book.holdings.values()):
            if lost not in self._leaks_told:
                self._leaks_told.add(lost)
                self.tell("scheduler", lost)

    @receive
    def handle_rescind(self, rescinded: events.Rescind) -> None:
        agent = self._by_offer.pop(rescinded.offer_id, None)
        if agent is None:
            self._rescinded_early[rescinded.offer_id] = None
            if len(self._rescinded_early) > REMEMBERED:
                self._rescinded_early.popitem(last=False)
            return
        self._requeue(agent)
        del agent.offers[rescinded.offer_id]
        if not agent.offers:
            self._held.pop((agent.agent_id, agent.role), None)
        agent.restart(self._book)
        self._soon(MatchDue())

    @receive
    def handle_agent_lost(self, lost: m.AgentLost) -> None:
        self.queue.forget_looks(lost.agent_id)

    def _goes_down(self, offer: Offer, now: float) -> bool:
        """Whether the agent is, or soon will be, down for maintenance (Mesos: "Maintenance Primitives")."""
        away = offer.unavailability
        if away is None or away.start > now + self._margin:
            return False
        return away.duration is None or now < away.start + away.duration

    # --- matching ---------------------------------------------------------------------------------------------

    @receive
    def handle_match_due(self, _due: MatchDue) -> None:
        """Place what can be placed; when nothing more fits, let go of every offer, used or not."""
        self._due.discard(MatchDue)
        if not self._held or (self._over and not self.queue.shapes()):
            return
        if self._holds:
            self._give_back()
            return
        agents = list(self._held.values())
        budget = self.settings.batch
        if self.queue and match(self.queue, agents, self._book, budget) >= budget:
            self._flush([agent for agent in agents if agent.turned_away])
            self._soon(MatchDue())
            return
        self._flush([agent for agent in agents if agent.placements])
        roles, now = {agent.role for agent in agents}, self.clock.now()
        for shape in self.queue.shapes():
            shape.looked_at = now if shape.shape.role in roles else shape.looked_at
        waiting = self.queue.roles()
        self._let_go([agent for agent in agents if not agent.placements and agent.role in waiting])
        if self._held:
            self._soon(LingerOver(), self.settings.linger)
        self._suppress_later()

    @receive
    def handle_linger_over(self, _over: LingerOver) -> None:
        self._due.discard(LingerOver)
        waiting = self.queue.roles()
        idle = [agent for agent in self._held.values() if agent.role not in waiting]
        self._let_go([agent for agent in idle if not agent.placements])

    def _soon(self, due: object, wait: float = 0.0) -> None:
        if type(due) not in self._due:
            self._due.add(type(due))
            if wait > 0:
                self.timers.after(wait, due)
            else:
                self.tell(self.actor_ref, due)

    def _flush(self, agents: list[AgentOffers]) -> None:
        if not agents:
            return
        records: list[m.Record] = []
        for agent in agents:
            self._held.pop((agent.agent_id, agent.role), None)
            for demand, launched in agent.launched():
                kind = INTENT if demand.change is None else OPERATION_INTENT
                records.append(kind.record(demand.task_id, launched))
        self._writes.store(*records, then=agents)

    @receive
    def handle_stored(self, stored: m.Stored) -> None:
        for agent in self._writes.answered(stored) or ():
            for offer_id in agent.offers:
                self._by_offer.pop(offer_id, None)
            if not agent.offers:
                continue
            if not agent.placements:
                self._decline([agent])
                continue
            self._interest.refused.add(agent.role)
            for demand, launched in agent.launched():
                self.tell(demand.asker, launched)
            # What is left is wanted at once where only this ACCEPT had no room for more.
            refuse = 0.0 if agent.turned_away else self._refusal()
            placed = [placement.demand for placement in agent.placements]
            ids = tuple(demand.attempt_id for demand in placed), tuple(demand.asker for demand in placed)
            operations = operations_on(agent, self._book)
            self.tell("connection", m.Accept(tuple(agent.offers), operations, refuse, *ids))
            if agent.turned_away and agent.role in self.queue.roles():
                self._revive()

    def _let_go(self, agents: list[AgentOffers]) -> None:
        for agent in agents:
            self._held.pop((agent.agent_id, agent.role), None)
        self._decline(agents)

    def _decline(self, agents: list[AgentOffers]) -> None:
        """Give offers back, all in one call for those that are refused for equally long."""
        waiting = self.queue.roles()
        for wanted in (True, False):
            chosen = [agent for agent in agents if (agent.role in waiting) is wanted]
            offer_ids = tuple(offer_id for agent in chosen for offer_id in agent.offers)
            if offer_ids:
                self.tell("connection", m.Decline(offer_ids, self._refusal(wanted=wanted)))
            for agent in chosen:
                self._interest.refused.add(agent.role)
        for agent in agents:
            for offer_id in agent.offers:
                self._by_offer.pop(offer_id, None)

    def _drop_offers(self) -> None:
        for agent in self._agents():
            self._requeue(agent)
            agent.offers.clear()
        self._held.clear()
        self._by_offer.clear()
        self._rescinded_early.clear()

    def _give_back(self) -> None:
        agents = self._agents()
        for agent in agents:
            self._requeue(agent)
        self._decline(agents)
        for agent in agents:
            agent.offers.clear()
        self._held.clear()

    def _agents(self) -> list[AgentOffers]:
        """Return all whose ACCEPT has not left, held or waiting for the store."""
        return list({id(agent): agent for agent in self._by_offer.values()}.values())

    def _requeue(self, agent: AgentOffers) -> None:
        """Put demands back whose ACCEPT has not left; their order number gives them their old place."""
        for placement in agent.placements:
            self.queue.add(placement.demand)
            if self._interest.wanted(placement.demand.role, new_shape=False):
                self._revive()
        agent.placements.clear()

    @receive
    def handle_call_failed(self, failed: m.CallFailed) -> None:
        """Answer for each call that came to nothing; without a subscription, offers and interest are void anyway."""
        call = failed.call
        if isinstance(call, m.Accept):
            self._accept_failed(call, failed)
        elif failed.fate is Fate.EXPIRED or not self._subscribed:
            return
        elif isinstance(call, m.Decline):
            self._decline_failed(call, failed)
        elif isinstance(call, m.Suppress | m.Revive):
            self._interest.doubtful.update(call.roles)
            self.timers.after(self._wait_after_failure(), InterestDue(self._subscription))

    def _accept_failed(self, accept: m.Accept, failed: m.CallFailed) -> None:
        """Give the offers back, and tell the tasks what it means for them.

        The master refuses an ACCEPT as a whole, whichever task it is for: so its tasks are tried in smaller groups, until the
        one that it will not take is alone, and fails with the master's words.
        """
        if self._subscribed and failed.fate is not Fate.EXPIRED:
            # If it was taken after all, the master ignores the DECLINE: the offers are no longer there.
            again = 0.0 if failed.fate is Fate.REFUSED else self._refusal()
            self.tell("connection", m.Decline(accept.offer_ids, again))
        alone = len(accept.attempts) == 1
        for attempt_id, asker in zip(accept.attempts, accept.askers, strict=True):
            news: object
            if failed.fate is Fate.UNCERTAIN:
                news = m.LaunchUncertain(attempt_id, failed.reason)
            elif failed.fate is Fate.REFUSED and alone:
                news = m.LaunchRefused(attempt_id, failed.reason)
            else:
                if failed.fate is not Fate.EXPIRED:
                    refused = failed.fate is Fate.REFUSED
                    self._most_together[attempt_id] = len(accept.attempts) // 2 if refused else 0
                    if len(self._most_together) > REMEMBERED:
                        self._most_together.popitem(last=False)
                news = m.NotLaunched(attempt_id, failed.reason)
            self.tell(asker, news)

    def _decline_failed(self, decline: m.Decline, failed: m.CallFailed) -> None:
        """Decline again; where that changes nothing, the master itself rescinds what it has offered for too long."""
        if failed.fate is Fate.REFUSED:
            logger.warning("%d offers cannot be declined: %s", len(decline.offer_ids), failed.reason)
            return
        self.timers.after(self._wait_after_failure(), DeclineAgain(decline, self._subscription))

    @receive
    def handle_decline_again(self, due: DeclineAgain) -> None:
        if due.subscription == self._subscription and self._subscribed:
            self.tell("connection", due.decline)

    @receive
    def handle_interest_due(self, due: InterestDue) -> None:
        if due.subscription == self._subscription and self._subscribed:
            self._suppress_later()
            if any(self._interest.wanted(role, new_shape=False) for role in self.queue.roles()):
                self._revive()

    def _wait_after_failure(self) -> float:
        now = self.clock.now()
        if now - self._not_taken_at > 2 * AGAIN.cap:
            self._not_taken = 0
        self._not_taken, self._not_taken_at = self._not_taken + 1, now
        return AGAIN.delay(self._not_taken)

    # --- suppress and revive ----------------------------------------------------------------------------------

    def _suppress_later(self) -> None:
        if self._subscribed and SuppressDue not in self._due and self._interest.idle(self.queue.roles()):
            self._soon(SuppressDue(), self.settings.suppress_after)

    @receive
    def handle_suppress_due(self, _due: SuppressDue) -> None:
        self._due.discard(SuppressDue)
        idle = self._interest.suppress(self.queue.roles()) if self._subscribed else ()
        if idle:
            self.tell("connection", m.Suppress(idle))

    def _revive(self) -> None:
        self._soon(ReviveDue(), self._interest.revive_in(self.clock.now(), self.settings.revive_interval))

    @receive
    def handle_revive_due(self, _due: ReviveDue) -> None:
        self._due.discard(ReviveDue)
        roles = self._interest.revive(self.queue.roles(), self.clock.now()) if self._subscribed else ()
        if roles:
            self.tell("connection", m.Revive(roles))

    def _refusal(self, *, wanted: bool = True) -> float:
        """For how many seconds resources stay away, of a role that something waits for or of another."""
        seconds = self.settings.refuse_seconds if wanted else self.settings.idle_refuse_seconds
        return seconds * (1 - self.settings.jitter * self.ids.uniform(0.0, 1.0))

    @receive
    def handle_why_pending(self, asked: m.WhyPending) -> m.PendingReport:
        shapes = self.queue.shapes() if asked.task_id is None else self.queue.of_task(asked.task_id)
        heads = [(shape, head) for shape in shapes if (head := shape.head()) is not None]
        groups = tuple(self._explained(shape, head) for shape, head in heads)
        return m.PendingReport(len(self.queue), self._interest.suppressed, groups)

    def _explained(self, shape: ShapeQueue, head: m.Demand) -> m.PendingGroup:
        change = head.change
        if change is None:
            wanted = describe(head.resources, head.ports)
        else:
            wanted = describe(head.resources) if head.resources else change.holding_id
            wanted += f", with room for {change.room} beside it" if change.room else ""
        if head.executor:
            own = describe(self._book.templates.get(head.executor, NO_EXECUTOR).resources)
            wanted += f", and for its executor where it is not running yet {own}"
        remark = self._remark(shape, head)
        if head.resources.gpus and GPUS not in self.framework.capabilities:
            remark = f"it wants gpus, and [framework] capabilities has no {GPUS}; {remark}"
        which = self.queue.count(shape), head.task_id, head.role, wanted, head.executor
        looked = shape.looks_total, tuple(map(verdict, shape.looks))
        return m.PendingGroup(*which, *looked, remark, "" if change is None else change.kind.value)

    def _waits_for_holding(self, head: m.Demand) -> str:
        """Say where the reservation or volume is that a demand is about, unless its agent has offered something."""
        holding_id = head.holding if head.change is None else head.change.holding_id
        known = self._book.holdings.get(holding_id)
        if head.change is None and holding_id and (known is None or known.holding is None):
            return f"its volume {holding_id} is not there yet"
        if known is None or known.holding is None:
            return ""
        where = known.holding
        if any(
            look.agent_id == where.agent_id
            for shape in self.queue.of_task(head.task_id)
            for look in shape.looks
        ):
            return ""
        here = f"{holding_id} is on {where.hostname} (agent {where.agent_id}), which has offered nothing since it waits"
        if head.change is not None:
            return here
        patience = where.replace_after
        until = (
            "it waits for ever" if patience is None else f"after {patience:g} s without it there is a new one"
        )
        return f"{here}; {until} (`replace_after` of its volume)"

    def _remark(self, shape: ShapeQueue, head: m.Demand) -> str:
        if not self._subscribed:
            return "there is no subscription to a master"
        if self._holds:
            return next(iter(self._holds.values()))
        if head.executor and head.executor not in self._book.templates:
            return f"there is no executor called {head.executor}"
        if why := self._waits_for_holding(head):
            return why
        if not shape.looks_total:
            return f"no offer for role {head.role} has come since it waits"
        ago = self.clock.now() - shape.looked_at
        when = f", {ago:.0f} s ago" if ago >= WORTH_SAYING else ""
        if shape.looks_total == 1:
            return f"the only agent did not offer enough at the last look{when}"
        return f"none of the {shape.looks_total} agents offered enough at the last look{when}"
