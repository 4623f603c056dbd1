"""UPDATE_QUOTA and GET_QUOTA, and the older SET_QUOTA, REMOVE_QUOTA and `/quota`: checks, in the words of a Mesos master.

A quota that is taken is kept in the registry, counts from the next allocation on, and takes back offers that are in its way.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from mesos_v1 import content, pb
from mesos_v1.resource import MILLIS, print_millis
from mesos_v1.resources import Resources
from playa.master.allocation import amounts, formats, offering
from playa.master.allocation.amounts import Amounts
from playa.master.allocation.quota import Quota, contains, is_under, missing
from playa.master.operations import resource_validation
from playa.master.operator_api import reading
from playa.master.records import OfferRecord
from playa.master.scheduler_api.call_validation import role_name
from playa.master.site import SiteAnswer
from playa.master.state import MasterState

_Config = pb.quota.QuotaConfig
_MOST = {"mem": (1024**4, "exabyte"), "disk": (1024**4, "exabyte")}
_MOST_OF_OTHERS = (10**12, "trillion")
_BYPASS = "(use 'force' flag to bypass this check)"


# --- GET_QUOTA ------------------------------------------------------------------------------------------------


def status(m: MasterState) -> pb.quota.QuotaStatus:
    """GET_QUOTA: in the old form and in the new one, the newest first."""
    result = pb.quota.QuotaStatus()
    for config in reversed(m.quotas.values()):
        info = result.infos.add(role=config.role)
        kept = result.configs.add(role=config.role)
        for name, millis in sorted(_quota(config).guarantees.items()):
            info.guarantee.add(name=name, type=pb.mesos.Value.SCALAR).scalar.value = millis / MILLIS
            kept.guarantees[name].value = millis / MILLIS
        for name, limit in config.limits.items():
            kept.limits[name].CopyFrom(limit)
    return result


def as_json(m: MasterState) -> dict[str, object]:
    """`/quota`."""
    return content.to_json(status(m))


# --- UPDATE_QUOTA ---------------------------------------------------------------------------------------------


def update(m: MasterState, call: pb.master.Call) -> SiteAnswer:
    """UPDATE_QUOTA: all of its roles, or none."""
    asked = call.update_quota
    wrong = _update_problem(m, list(asked.quota_configs), force=asked.force)
    if wrong is not None:
        return SiteAnswer(400, wrong)
    _keep(m, asked.quota_configs)
    for config in asked.quota_configs:
        _make_room(m, config.role, _quota(config))
    return SiteAnswer(200)


def _update_problem(m: MasterState, configs: list[pb.quota.QuotaConfig], *, force: bool) -> str | None:
    for config in configs:
        if m.settings.roles and config.role not in {"*", *m.settings.roles}:
            return f"Invalid QuotaConfig: '{config.role}' is not on the roles whitelist"
        if "/" in config.role:
            return f"Updating quota on nested role '{config.role}' is not supported yet"
        wrong = _config_problem(config)
        if wrong is not None:
            return f"Invalid QuotaConfig: {wrong}"
    for config in configs if not force else ():
        consumed = _consumed(m, config.role)
        limits = _quota(config).limits
        if not contains(limits, consumed):
            return (
                f"Invalid QuotaConfig: Role '{config.role}' is already consuming '{_printed(consumed)}'; this is "
                f"more than the requested limits '{_printed(limits)}' {_BYPASS}"
            )
    total, capacity = _guarantees({**m.quotas, **{c.role: c for c in configs}}), _capacity(m)
    if missing(total, capacity) and not force:
        return (
            f"Invalid QuotaConfig: total quota guarantees '{_printed(total)}' exceed cluster capacity "
            f"'{_printed(capacity)}' {_BYPASS}"
        )
    return None


def _config_problem(config: pb.quota.QuotaConfig) -> str | None:
    wrong = role_name(config.role)
    if wrong is not None:
        return f"Invalid 'QuotaConfig.role': {wrong}"
    parts = {"guarantee": config.guarantees, "limit": config.limits}
    for kind, values in parts.items():
        for name, scalar in values.items():
            most, word = _MOST.get(name, _MOST_OF_OTHERS)
            if scalar.value > most:
                return (
                    f"Invalid 'QuotaConfig.{kind}s': {{'{name}': {_number(scalar.value)}}} is invalid: values "
                    f"greater than 1 {word} ({most}) are not supported"
                )
    for kind, values in parts.items():
        for name, scalar in values.items():
            text = _value_problem(scalar.value)
            if text is not None:
                return f"Invalid {kind} configuration {{'{name}': {_number(scalar.value)}}}: {text}"
    quota = _quota(config)
    if not contains(quota.limits, quota.guarantees):
        return (
            f"'QuotaConfig.guarantees' {_as_map(config.guarantees)} is not contained within the "
            f"'QuotaConfig.limits' {_as_map(config.limits)}"
        )
    return None


def _value_problem(value: float) -> str | None:
    if math.isinf(value):
        return "Infinite values not supported"
    if math.isnan(value):
        return "NaN not supported"
    if 0 < abs(value) < 2.2250738585072014e-308:
        return "Subnormal values not supported"
    return "Negative values not supported" if value < 0 else None


# --- SET_QUOTA, REMOVE_QUOTA ----------------------------------------------------------------------------------


def set_(m: MasterState, call: pb.master.Call) -> SiteAnswer:
    """SET_QUOTA, before UPDATE_QUOTA there was nothing else: a guarantee, which is the limit too."""
    return set_as_asked(m, call.set_quota.quota_request)


def set_as_asked(m: MasterState, asked: pb.quota.QuotaRequest) -> SiteAnswer:
    """Set a quota for a role that has none."""
    config = _Config(role=asked.role)
    wrong = _request_problem(m, asked)
    if wrong is not None:
        return SiteAnswer(400, f"Failed to validate set quota request: {wrong}")
    for resource in asked.guarantee:
        config.guarantees[resource.name].CopyFrom(resource.scalar)
        config.limits[resource.name].CopyFrom(resource.scalar)
    if "/" in asked.role:
        return SiteAnswer(400, f"Setting quota on nested role '{asked.role}' is not supported yet")
    total, capacity = _guarantees({**m.quotas, asked.role: config}), _capacity(m)
    if missing(total, capacity) and not asked.force:
        text = (
            "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees "
            f"'{_printed(total)}' exceed cluster capacity '{_printed(capacity)}'"
        )
        return SiteAnswer(409, text)
    _keep(m, [config])
    _take_back_enough(m, config)
    return SiteAnswer(200)


def _request_problem(m: MasterState, asked: pb.quota.QuotaRequest) -> str | None:
    wrong = resource_validation.of_several(asked.guarantee)
    if wrong is not None:
        return f"QuotaInfo with invalid resource: {wrong}"
    resources = [*asked.guarantee]
    formats.to_new_form(resources)
    if not asked.HasField("role"):
        return "QuotaInfo must specify a role"
    wrong = role_name(asked.role)
    if wrong is not None:
        return f"QuotaInfo with invalid role: {wrong}"
    if not resources:
        return "QuotaInfo with empty 'guarantee'"
    names: set[str] = set()
    for resource in resources:
        if resource.reservations:
            return "QuotaInfo must not contain any ReservationInfo"
        if resource.HasField("disk"):
            return "QuotaInfo must not contain DiskInfo"
        if resource.HasField("revocable"):
            return "QuotaInfo must not contain RevocableInfo"
        if resource.type != pb.mesos.Value.SCALAR:
            return "QuotaInfo must not include non-scalar resources"
        if resource.name in names:
            return f"QuotaInfo contains duplicate resource name '{resource.name}'"
        names.add(resource.name)
    if m.settings.roles and asked.role not in {"*", *m.settings.roles}:
        return f"Unknown role '{asked.role}'"
    if asked.role in m.quotas:
        return f"Cannot set quota for role '{asked.role}' which already has quota"
    return _tree_problem(asked)


def _tree_problem(asked: pb.quota.QuotaRequest) -> str | None:
    """No role above one that is to have a quota has enough: only roles at the top have any."""
    above, _, _ = asked.role.rpartition("/")
    if not above:
        return None
    wanted = _printed(_quota_of(asked).guarantees)
    return (
        f"Invalid quota configuration. Parent role '{above.rpartition('/')[2]}' with guarantees ({{}}) does not "
        f"contain the sum of its children's guarantees ({wanted})"
    )


def _quota_of(asked: pb.quota.QuotaRequest) -> Quota:
    return Quota(amounts.scalars(Resources.from_proto(asked.guarantee)))


def remove(m: MasterState, call: pb.master.Call) -> SiteAnswer:
    """REMOVE_QUOTA."""
    role = call.remove_quota.role
    if role not in m.quotas:
        return SiteAnswer(400, f"Failed to remove quota: Role '{role}' has no quota set")
    del m.quotas[role]
    _save(m)
    m.allocator.set_quota(role, Quota())
    return SiteAnswer(200)


def remove_by_path(m: MasterState, role: str) -> SiteAnswer:
    """DELETE `/quota/<role>`."""
    path = f"/master/quota/{role}"
    if m.settings.roles and role not in {"*", *m.settings.roles}:
        text = f"Failed to validate remove quota request for path '{path}': Unknown role '{role}'"
        return SiteAnswer(400, text)
    if role not in m.quotas:
        return SiteAnswer(400, f"Failed to remove quota for path '{path}': Role '{role}' has no quota set")
    call = pb.master.Call()
    call.remove_quota.role = role
    return remove(m, call)


# --- parts ----------------------------------------------------------------------------------------------------


def recover(m: MasterState) -> None:
    """Start with what the registry knows."""
    for data in m.registry.quotas:
        config = _Config.FromString(data)
        m.quotas[config.role] = config
        m.allocator.set_quota(config.role, _quota(config))


def _keep(m: MasterState, configs: Iterable[pb.quota.QuotaConfig]) -> None:
    for config in configs:
        m.quotas[config.role] = config
        m.allocator.set_quota(config.role, _quota(config))
    _save(m)


def _save(m: MasterState) -> None:
    kept = tuple(config.SerializeToString() for config in m.quotas.values() if _quota(config))
    m.registry = replace(m.registry, quotas=kept)
    m.ports.save()


def _quota(config: pb.quota.QuotaConfig) -> Quota:
    guarantees = {name: _millis(scalar.value) for name, scalar in config.guarantees.items()}
    limits = {name: _millis(scalar.value) for name, scalar in config.limits.items()}
    return Quota({name: millis for name, millis in guarantees.items() if millis}, limits)


def _millis(value: float) -> int:
    return math.floor(value * MILLIS + 0.5)


def _guarantees(configs: Mapping[str, pb.quota.QuotaConfig]) -> Amounts:
    total: Amounts = {}
    for config in configs.values():
        amounts.add_to(total, _quota(config).guarantees)
    return total


def _capacity(m: MasterState) -> Amounts:
    total: Amounts = {}
    for agent in m.agents.values():
        amounts.add_to(total, amounts.scalars(agent.total.where(lambda e: not e.facts.revocable)))
    return total


def _consumed(m: MasterState, role: str) -> Amounts:
    return reading.breakdown(m, role).consumed


def _printed(quantities: Mapping[str, int]) -> str:
    return "; ".join(f"{name}:{print_millis(quantities[name])}" for name in sorted(quantities)) or "{}"


def _number(value: float) -> str:
    return (
        f"-{print_millis(_millis(-value))}"
        if value < 0
        else print_millis(_millis(value))
        if value < 1e15
        else f"{value:g}"
    )


def _as_map(values: Mapping[str, pb.mesos.Value.Scalar]) -> str:
    return "{ " + ", ".join(f"{name}: {_number(scalar.value)}" for name, scalar in values.items()) + " }"


# --- offers that are in the way -------------------------------------------------------------------------------


def _make_room(m: MasterState, role: str, quota: Quota) -> None:
    """Take offers back: the role's own beyond its limits, then others' until its guarantees could be met."""
    now = reading.breakdown(m, role)
    has = dict(now.consumed)
    amounts.add_to(has, now.offered)
    for framework in m.frameworks.values():
        for offer in list(framework.offers.values()):
            if not contains(quota.limits, has) and is_under(offer.role, role):
                amounts.subtract_from(has, amounts.quantities(offer.resources))
                offering.rescind(m, offer)
    for offer in _by_agent(m):
        if not missing(quota.guarantees, has):
            return
        if not is_under(offer.role, role):
            amounts.add_to(has, amounts.quantities(offer.resources))
            offering.rescind(m, offer)


def _take_back_enough(m: MasterState, config: pb.quota.QuotaConfig) -> None:
    """For SET_QUOTA: all offers of one agent after the other, until that is enough for each framework of the role."""
    frameworks = sum(f.active and config.role in f.roles for f in m.frameworks.values())
    rescinded: Amounts = {}
    visited = 0
    for agent in m.agents.values():
        if not missing(_quota(config).guarantees, rescinded) and visited >= frameworks:
            return
        if agent.active and agent.offers:
            visited += 1
            for offer in list(agent.offers.values()):
                amounts.add_to(rescinded, amounts.quantities(offer.resources))
                offering.rescind(m, offer)


def _by_agent(m: MasterState) -> list[OfferRecord]:
    return [offer for agent in m.agents.values() for offer in agent.offers.values()]
