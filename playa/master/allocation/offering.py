"""Offers and inverse offers: from an allocation to events, and how they end.

An offer ends when it is accepted, declined, rescinded (the framework is told), or discarded (it is not). Mesos
documentation, "Scheduler HTTP API" (OFFERS, RESCIND, DECLINE), "Maintenance Primitives".
"""

from collections.abc import Iterable

from actors.runtime import message
from mesos_v1 import pb
from playa.master.allocation import formats
from playa.master.allocation.filters import refusal
from playa.master.records import Agent, Framework, InverseOfferRecord, OfferRecord
from playa.master.scheduler_api import events
from playa.master.state import MasterState


@message
class OfferTimedOut:
    """An offer was held for too long (`offer_timeout`)."""

    offer_id: str


def allocate(m: MasterState, agent_ids: Iterable[str] | None = None) -> None:
    """Run the allocator on some agents (None: all) and send what it gives; inverse offers too."""
    now = m.ports.now()
    for framework_id, by_role in m.allocator.allocate(now, agent_ids).items():
        framework = m.frameworks[framework_id]
        protos: list[pb.mesos.Offer] = []
        for role, by_agent in by_role.items():
            for agent_id, resources in by_agent.items():
                record = OfferRecord(m.new_offer_id(), framework_id, agent_id, role, resources)
                protos.append(_add_offer(m, framework, m.agents[agent_id], record))
        framework.counts["offers/sent"] += len(protos)
        m.send(framework, events.offers(protos))
    _send_inverse_offers(m, now)


def _add_offer(m: MasterState, framework: Framework, agent: Agent, offer: OfferRecord) -> pb.mesos.Offer:
    m.offers[offer.id] = framework.offers[offer.id] = agent.offers[offer.id] = offer
    if m.settings.offer_timeout is not None:
        m.ports.later(m.settings.offer_timeout, OfferTimedOut(offer.id))
    return offer_proto(m, framework, agent, offer)


def offer_proto(m: MasterState, framework: Framework, agent: Agent, offer: OfferRecord) -> pb.mesos.Offer:
    """An offer as its framework sees it."""
    proto = pb.mesos.Offer(hostname=agent.info.hostname)
    proto.id.value = offer.id
    proto.framework_id.value = framework.id
    proto.agent_id.value = agent.id
    proto.url.CopyFrom(url_of(agent))
    proto.resources.extend(
        formats.offered(
            offer.resources, refined=framework.refines_reservations, multi_role=framework.multi_role
        )
    )
    proto.attributes.extend(agent.info.attributes)
    if agent.info.HasField("domain"):
        proto.domain.CopyFrom(agent.info.domain)
    for framework_id, executor_id in agent.executors:
        if framework_id == framework.id:
            proto.executor_ids.add(value=executor_id)
    unavailability = m.unavailability.get(agent.machine)
    if unavailability is not None:
        proto.unavailability.CopyFrom(unavailability)
    if framework.multi_role:
        proto.allocation_info.role = offer.role
    return proto


def url_of(agent: Agent) -> pb.mesos.URL:
    """Where an agent's own HTTP server is."""
    url = pb.mesos.URL(scheme="http", path=agent.path)
    url.address.hostname = agent.info.hostname
    url.address.ip = agent.machine.ip
    url.address.port = agent.port
    return url


# --- how offers end -------------------------------------------------------------------------------------------


def forget_offer(m: MasterState, offer: OfferRecord) -> None:
    """Take an offer out of the books; what becomes of its resources is the caller's business."""
    del m.offers[offer.id]
    m.frameworks[offer.framework_id].offers.pop(offer.id, None)
    agent = m.agents.get(offer.agent_id)
    if agent is not None:
        agent.offers.pop(offer.id, None)


def discard(m: MasterState, offer: OfferRecord, filters: pb.mesos.Filters | None = None) -> None:
    """End an offer without telling its framework; with filters if the framework gave some."""
    seconds = refusal(filters) if filters is not None else 0.0
    m.allocator.recover(
        offer.framework_id, offer.agent_id, offer.resources, now=m.ports.now(), refuse_seconds=seconds
    )
    forget_offer(m, offer)


def rescind(m: MasterState, offer: OfferRecord, filters: pb.mesos.Filters | None = None) -> None:
    """Take an offer back; with filters as if the framework had refused it."""
    framework = m.frameworks[offer.framework_id]
    discard(m, offer, filters)
    framework.counts["offers/rescinded"] += 1
    m.send(framework, events.rescind(offer.id))


def offer_timed_out(m: MasterState, offer_id: str) -> None:
    """Take an offer back that was held for too long."""
    offer = m.offers.get(offer_id)
    if offer is not None:
        rescind(m, offer)


def decline(m: MasterState, framework: Framework, call: pb.scheduler.Call.Decline) -> None:
    """DECLINE: the resources go to others, and not to this framework for a while."""
    m.counts["messages_decline_offers"] += 1
    filters = call.filters  # without any, the default of 5 seconds
    for offer_id in call.offer_ids:
        offer = m.offers.get(offer_id.value)
        if offer is not None:
            discard(m, offer, filters)
            framework.counts["offers/declined"] += 1


# --- inverse offers -------------------------------------------------------------------------------------------


def _send_inverse_offers(m: MasterState, now: float) -> None:
    for framework_id, agent_ids in m.allocator.inverse_offers(now).items():
        framework = m.frameworks[framework_id]
        protos = []
        for agent_id in agent_ids:
            agent = m.agents[agent_id]
            unavailability = m.unavailability.get(agent.machine)
            if unavailability is None:
                continue
            proto = pb.mesos.InverseOffer()
            proto.id.value = m.new_offer_id()
            proto.url.CopyFrom(url_of(agent))
            proto.framework_id.value = framework_id
            proto.agent_id.value = agent_id
            proto.unavailability.CopyFrom(unavailability)
            record = InverseOfferRecord(proto.id.value, framework_id, agent_id, proto)
            m.inverse_offers[record.id] = record
            framework.inverse_offers[record.id] = agent.inverse_offers[record.id] = record
            protos.append(proto)
        if protos:
            m.send(framework, events.inverse_offers(protos))


def remove_inverse_offer(m: MasterState, offer: InverseOfferRecord, *, tell: bool) -> None:
    """Forget an inverse offer that was not answered."""
    m.allocator.answer_inverse_offer(offer.framework_id, offer.agent_id, None, now=m.ports.now())
    framework = _forget_inverse_offer(m, offer)
    if tell and framework is not None:
        m.send(framework, events.rescind_inverse_offer(offer.id))


def _forget_inverse_offer(m: MasterState, offer: InverseOfferRecord) -> Framework | None:
    m.inverse_offers.pop(offer.id, None)
    agent = m.agents.get(offer.agent_id)
    if agent is not None:
        agent.inverse_offers.pop(offer.id, None)
    framework = m.frameworks.get(offer.framework_id)
    if framework is not None:
        framework.inverse_offers.pop(offer.id, None)
    return framework


def answer_inverse_offers(
    m: MasterState, offer_ids: Iterable[pb.mesos.OfferID], filters: pb.mesos.Filters, *, accepted: bool
) -> None:
    """ACCEPT_INVERSE_OFFERS or DECLINE_INVERSE_OFFERS: note the answer, and ask again after the filter."""
    kinds = pb.allocator.InverseOfferStatus
    now = m.ports.now()
    for offer_id in offer_ids:
        offer = m.inverse_offers.get(offer_id.value)
        if offer is None:
            continue
        status = kinds(status=kinds.ACCEPT if accepted else kinds.DECLINE)
        status.framework_id.value = offer.framework_id
        status.timestamp.nanoseconds = int(now * 1e9)
        m.allocator.answer_inverse_offer(
            offer.framework_id, offer.agent_id, status, now=now, refuse_seconds=refusal(filters)
        )
        _forget_inverse_offer(m, offer)
