"""Which actor gets which event of the master: one table.

The events of `mesos_v1.events` are values for decoders; what goes round between actors are messages. Here the one
becomes the other, so that the connection need not know who listens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from actors import messages as m
from actors.runtime import Actor
from mesos_v1 import events
from mesos_v1.values import AgentId, Offer

logger = logging.getLogger("actors.connection")

OFFERS, SCHEDULER, FAILURES = "offers", "scheduler", "failures"


def _failure(event: events.Failure) -> object | None:
    if event.agent_id is None:
        return None
    if event.executor_id is None:
        return m.AgentLost(event.agent_id)
    return m.ExecutorLost(event.agent_id, event.executor_id, -1 if event.status is None else event.status)


ROUTES: Mapping[type, tuple[str, Callable[[Any], object | None]]] = {
    events.Offers: (OFFERS, lambda e: m.OffersArrived(e.offers)),
    events.Rescind: (OFFERS, lambda e: m.OfferRescinded(e.offer_id)),
    events.InverseOffers: (OFFERS, lambda e: m.InverseOffersArrived(e.offers)),
    events.RescindInverseOffer: (OFFERS, lambda e: m.InverseOfferRescinded(e.offer_id)),
    events.Update: (SCHEDULER, lambda e: m.StatusUpdate(e.status)),
    events.UpdateOperationStatus: (SCHEDULER, lambda e: m.OperationUpdate(e.status)),
    events.Message: (SCHEDULER, lambda e: m.MessageArrived(e.agent_id, e.executor_id, e.data)),
    events.Failure: (SCHEDULER, _failure),
}


class EventRouter:
    """Turns events into messages and sends them on behalf of the connection."""

    def __init__(self, owner: Actor) -> None:
        self._owner = owner
        self.offers_to = OFFERS
        self._agents: dict[AgentId, tuple[str, str]] = {}

    def route(self, event: object) -> None:
        """Tell whoever hears of this event; an unknown type of a newer Mesos is logged and passed over."""
        row = ROUTES.get(type(event))
        if row is None:
            if isinstance(event, events.Unknown):
                logger.warning("ignoring an event of unknown type: %s", event.type_name)
            return
        where, build = row
        if isinstance(event, events.Offers) and self.offers_to == OFFERS:
            self._see_agents(event.offers)
        news = build(event)
        if news is not None:
            self._owner.tell(self.offers_to if where is OFFERS else where, news)

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
