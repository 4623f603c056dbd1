"""Which actor gets which event of the master: one table. Events are messages as they are; only FAILURE is two kinds of news."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from actors import messages as m
from actors.runtime import Actor
from mesos_v1 import events
from mesos_v1.values import AgentId, Offer

logger = logging.getLogger("actors.connection")

OFFERS, SCHEDULER, FAILURES = "offers", "scheduler", "failures"


ROUTES: Mapping[type, str] = {
    events.Offers: OFFERS,
    events.Rescind: OFFERS,
    events.InverseOffers: OFFERS,
    events.RescindInverseOffer: OFFERS,
    events.Update: SCHEDULER,
    events.UpdateOperationStatus: SCHEDULER,
    events.Message: SCHEDULER,
}


class EventRouter:
    """Turns events into messages and sends them on behalf of the connection."""

    def __init__(self, owner: Actor) -> None:
        self._owner = owner
        self.offers_to = OFFERS
        self._agents: dict[AgentId, tuple[str, str]] = {}

    def route(self, event: object) -> None:
        """Tell whoever hears of this event; an unknown type of a newer Mesos is logged and passed over."""
        where = ROUTES.get(type(event))
        if where is not None:
            if isinstance(event, events.Offers) and self.offers_to == OFFERS:
                self._see_agents(event.offers)
            self._owner.tell(self.offers_to if where is OFFERS else where, event)
        elif isinstance(event, events.Failure):
            self._failed(event)
        elif isinstance(event, events.Unknown):
            logger.warning("ignoring an event of unknown type: %s", event.type_name)

    def _failed(self, event: events.Failure) -> None:
        if event.agent_id is None:
            return
        if event.executor_id is None:
            self._owner.tell(SCHEDULER, m.AgentLost(event.agent_id))
        else:
            status = -1 if event.status is None else event.status
            self._owner.tell(SCHEDULER, m.ExecutorLost(event.agent_id, event.executor_id, status))

    def _see_agents(self, offers: tuple[Offer, ...]) -> None:
        """Say where agents answer, once for each: what failed there is read from there."""
        new = tuple(
            (offer.agent_id, offer.hostname, offer.url)
            for offer in offers
            if self._agents.get(offer.agent_id) != (offer.hostname, offer.url)
        )
        if new:
            self._agents.update((agent_id, (hostname, url)) for agent_id, hostname, url in new)
            self._owner.tell(FAILURES, m.AgentsSeen(offers[0].framework_id, new))

    def subscribed(self, news: m.Subscribed) -> None:
        """Tell everybody concerned that there is a (new) subscription, offers first."""
        for name in dict.fromkeys((self.offers_to, SCHEDULER)):
            self._owner.tell(name, news)

    def disconnected(self, news: m.Disconnected) -> None:
        """Tell everybody concerned that the subscription is gone."""
        for name in dict.fromkeys((self.offers_to, SCHEDULER)):
            self._owner.tell(name, news)
