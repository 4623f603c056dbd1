"""Offers and inverse offers: from an allocation to events, and how they end.

An offer ends when it is accepted, declined, rescinded (the framework is told), or discarded (it is not). Mesos
documentation, "Scheduler HTTP API" (OFFERS, RESCIND, DECLINE), "Maintenance Primitives".
"""

from collections.abc import Iterable

from mesos_v1 import pb
from mesos_v1.values import NANOS
from playa.master.allocation.resource_forms import offered
from playa.master.records import Agent, Framework, OfferRecord, new
from playa.master.state import MasterState

Call = pb.scheduler.Call
DEFAULT_REFUSE_SECONDS = 5.0
LONGEST_REFUSAL = 365 * 24 * 3600.0


def refusal(filters: pb.mesos.Filters) -> float:
    """For how many seconds a framework refuses resources: five by default, a year at most, 0 for no filter."""
    if not filters.HasField("refuse_seconds") or not filters.refuse_seconds >= 0:
        return DEFAULT_REFUSE_SECONDS
    return min(filters.refuse_seconds, LONGEST_REFUSAL)


def allocate(m: MasterState, agent_ids: Iterable[str] | None = None) -> None:
    """Run the allocator on some agents (None: all) and send what it gives; inverse offers too."""
    now = m.ports.now()
    for framework_id, by_role in m.allocator.allocate(now, agent_ids).items():
        framework = m.frameworks[framework_id]
        protos: list[pb.mesos.Offer] = []
        for role, by_agent in by_role.items():
            for agent_id, resources in by_agent.items():
                agent = m.agents[agent_id]
                offer = OfferRecord(m.new_id("O"), framework_id, agent_id, role, resources)
                m.offers[offer.id] = framework.offers[offer.id] = agent.offers[offer.id] = offer
                if m.settings.offer_timeout is not None:
                    m.ports.later(m.settings.offer_timeout, "offer answered", offer.id)
                protos.append(_as_seen(m, framework, agent, offer))
        framework.counts["offers/sent"] += len(protos)
        m.send(framework, "offers", offers=protos)
    _send_inverse_offers(m, now)


def _as_seen(m: MasterState, framework: Framework, agent: Agent, offer: OfferRecord) -> pb.mesos.Offer:
    """An offer as its framework sees it."""
    return new(
        pb.mesos.Offer,
        id={"value": offer.id},
        framework_id={"value": framework.id},
        agent_id={"value": agent.id},
        hostname=agent.info.hostname,
        url=_url_of(agent),
        resources=offered(offer.resources, framework.capabilities),
        attributes=agent.info.attributes,
        domain=agent.info.domain if agent.info.HasField("domain") else None,
        executor_ids=[{"value": executor} for owner, executor in agent.executors if owner == framework.id],
        unavailability=m.unavailability.get(agent.machine),
        allocation_info={"role": offer.role} if "MULTI_ROLE" in framework.capabilities else None,
    )


def _url_of(agent: Agent) -> pb.mesos.URL:
    address = {"hostname": agent.info.hostname, "ip": agent.machine.ip, "port": agent.port}
    return new(pb.mesos.URL, scheme="http", path=f"/{agent.pid.partition('@')[0]}", address=address)


def forget_offer(m: MasterState, offer: OfferRecord) -> None:
    """An offer is over; its resources are the caller's business."""
    del m.offers[offer.id]
    for holder in (m.frameworks[offer.framework_id], m.agents.get(offer.agent_id)):
        if holder is not None:
            holder.offers.pop(offer.id, None)


def discard(m: MasterState, offer: OfferRecord, filters: pb.mesos.Filters | None = None) -> None:
    """End an offer without telling its framework; with filters if the framework gave some."""
    seconds = refusal(filters) if filters is not None else 0.0
    m.allocator.recover(
        offer.framework_id, offer.agent_id, offer.resources, now=m.ports.now(), refuse_for=seconds
    )
    forget_offer(m, offer)


def rescind(m: MasterState, offer: OfferRecord, filters: pb.mesos.Filters | None = None) -> None:
    """Take an offer back; with filters as if the framework had refused it."""
    framework = m.frameworks[offer.framework_id]
    discard(m, offer, filters)
    framework.counts["offers/rescinded"] += 1
    m.send(framework, "rescind", offer_id={"value": offer.id})


def offer_timed_out(m: MasterState, offer_id: str) -> None:
    """Take an offer back that was held for too long."""
    if offer_id in m.offers:
        rescind(m, m.offers[offer_id])


def end_all(m: MasterState, holder: Framework | Agent, *, tell: bool) -> None:
    """End all offers and inverse offers of a framework or an agent, telling the frameworks or not."""
    for offer in list(holder.offers.values()):
        (rescind if tell else discard)(m, offer)
    for inverse in m.inverse_offers_of(holder):
        del m.inverse_offers[inverse.id.value]
        if tell and inverse.framework_id.value in m.frameworks:
            framework = m.frameworks[inverse.framework_id.value]
            m.send(framework, "rescind_inverse_offer", inverse_offer_id=inverse.id)


def decline(m: MasterState, framework: Framework, call: Call.Decline) -> None:
    """DECLINE: the resources go to others, and not to this framework for a while."""
    for offer_id in call.offer_ids:
        if offer_id.value in m.offers:
            discard(m, m.offers[offer_id.value], call.filters)  # without any, the default of 5 seconds
            framework.counts["offers/declined"] += 1


def _send_inverse_offers(m: MasterState, now: float) -> None:
    asked: dict[str, list[pb.mesos.InverseOffer]] = {}
    for agent in m.agents.values():
        if not agent.active or agent.machine not in m.unavailability:
            continue
        already = {inverse.framework_id.value for inverse in m.inverse_offers_of(agent)}
        for framework in [
            f for f in m.frameworks.values() if f.id in agent.allocated and f.id not in already
        ]:
            if not framework.active or framework.inverse_filters.get(agent.id, 0.0) > now:
                continue
            inverse = new(
                pb.mesos.InverseOffer,
                id={"value": m.new_id("O")},
                url=_url_of(agent),
                framework_id={"value": framework.id},
                agent_id={"value": agent.id},
                unavailability=m.unavailability[agent.machine],
            )
            m.inverse_offers[inverse.id.value] = inverse
            asked.setdefault(framework.id, []).append(inverse)
    for framework_id, protos in asked.items():
        m.send(m.frameworks[framework_id], "inverse_offers", inverse_offers=protos)


def answer_inverse_offers(
    m: MasterState, _framework: Framework, call: Call.AcceptInverseOffers | Call.DeclineInverseOffers
) -> None:
    """ACCEPT_INVERSE_OFFERS or DECLINE_INVERSE_OFFERS: note the answer, and ask again after the filter."""
    accepted = isinstance(call, Call.AcceptInverseOffers)
    now = m.ports.now()
    for offer_id in call.inverse_offer_ids:
        inverse = m.inverse_offers.get(offer_id.value)
        if inverse is None:
            continue
        framework, agent = m.frameworks[inverse.framework_id.value], m.agents[inverse.agent_id.value]
        agent.inverse_statuses[framework.id] = new(
            pb.allocator.InverseOfferStatus,
            status="ACCEPT" if accepted else "DECLINE",
            framework_id=inverse.framework_id,
            timestamp={"nanoseconds": int(now * NANOS)},
        )
        if (seconds := refusal(call.filters)) > 0:  # not shorter than the time between allocations
            framework.inverse_filters[agent.id] = now + max(seconds, m.settings.allocation_interval)
        del m.inverse_offers[inverse.id.value]
