"""UPDATE_QUOTA and GET_QUOTA, and the older SET_QUOTA, REMOVE_QUOTA and `/quota`: checks, in the words of a Mesos master.

A quota that is taken is kept in the registry, counts from the next allocation on, and takes back offers that are in its way.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from mesos_v1 import pb
from mesos_v1.resource import MILLIS, Resource, print_millis
from mesos_v1.resources import Resources
from playa.master.allocation import amounts, offers, resource_forms
from playa.master.allocation.amounts import Amounts, is_under
from playa.master.allocation.quota import Quota, contains, missing
from playa.master.operator_api import views
from playa.master.records import new
from playa.master.state import MasterState
from playa.master.validation import resources as resource_validation
from playa.master.validation.rules import Rows, role_name, validator, within
from playa.web import Refused, refuse

_Config = pb.quota.QuotaConfig
_MOST = {"mem": (1024**4, "exabyte"), "disk": (1024**4, "exabyte")}
_MOST_OF_OTHERS = (10**12, "trillion")
_BYPASS = "(use 'force' flag to bypass this check)"
_LEAST_NORMAL = 2.2250738585072014e-308


def status(m: MasterState) -> pb.quota.QuotaStatus:
    """GET_QUOTA: in the old form and in the new one, the newest first."""
    result = pb.quota.QuotaStatus()
    for config in reversed(m.quotas.values()):
        has = [Resource(name, millis=millis) for name, millis in sorted(_quota(config).guarantees.items())]
        guarantees = {each.name: {"value": each.millis / MILLIS} for each in has}
        result.infos.add(role=config.role, guarantee=[each.to_proto() for each in has])
        result.configs.append(new(_Config, role=config.role, guarantees=guarantees, limits=config.limits))
    return result


def update(m: MasterState, asked: pb.master.Call.UpdateQuota) -> None:
    """UPDATE_QUOTA: all of its roles, or none."""
    refuse(_update_problem(m, asked.quota_configs, force=asked.force))
    _take(m, asked.quota_configs)
    _save(m)
    for config in asked.quota_configs:
        _make_room(m, config.role, _quota(config))


@validator
def _update_problem(m: MasterState, configs: Collection[_Config], *, force: bool) -> Rows:
    for config in configs:
        if not _is_allowed(m, config.role):
            yield f"Invalid QuotaConfig: '{config.role}' is not on the roles whitelist"
        if "/" in config.role:
            yield f"Updating quota on nested role '{config.role}' is not supported yet"
        yield within("Invalid QuotaConfig", _config_problem(config))
    if force:
        return
    for config in configs:
        consumed, limits = views.breakdown(m, config.role).consumed, _quota(config).limits
        yield not contains(limits, consumed) and (
            f"Invalid QuotaConfig: Role '{config.role}' is already consuming '{_printed(consumed)}'; this is "
            f"more than the requested limits '{_printed(limits)}' {_BYPASS}"
        )
    wrong = _beyond_capacity(m, {**m.quotas, **{config.role: config for config in configs}})
    yield wrong and f"Invalid QuotaConfig: total quota guarantees {wrong} {_BYPASS}"


def _is_allowed(m: MasterState, role: str) -> bool:
    return not m.settings.roles or role in {"*", *m.settings.roles}


def _beyond_capacity(m: MasterState, configs: Mapping[str, _Config]) -> str | None:
    total = sum((Counter(_quota(config).guarantees) for config in configs.values()), Counter[str]())
    capacity = amounts.sum_of((a.total for a in m.agents.values()), lambda e: not e.facts.revocable)
    if not missing(total, capacity):
        return None
    return f"'{_printed(total)}' exceed cluster capacity '{_printed(capacity)}'"


@validator
def _config_problem(config: _Config) -> Rows:
    yield within("Invalid 'QuotaConfig.role'", role_name(config.role))
    values = [("guarantee", *item) for item in config.guarantees.items()]
    values += [("limit", *item) for item in config.limits.items()]
    for kind, name, scalar in values:
        most, word = _MOST.get(name, _MOST_OF_OTHERS)
        yield scalar.value > most and (
            f"Invalid 'QuotaConfig.{kind}s': {{'{name}': {_number(scalar.value)}}} is invalid: values "
            f"greater than 1 {word} ({most}) are not supported"
        )
    for kind, name, scalar in values:
        configuration = f"Invalid {kind} configuration {{'{name}': {_number(scalar.value)}}}"
        value = scalar.value
        yield math.isinf(value) and f"{configuration}: Infinite values not supported"
        yield math.isnan(value) and f"{configuration}: NaN not supported"
        yield 0 < abs(value) < _LEAST_NORMAL and f"{configuration}: Subnormal values not supported"
        yield value < 0 and f"{configuration}: Negative values not supported"
    quota = _quota(config)
    yield not contains(quota.limits, quota.guarantees) and (
        f"'QuotaConfig.guarantees' {_as_map(config.guarantees)} is not contained within the "
        f"'QuotaConfig.limits' {_as_map(config.limits)}"
    )


def set_quota(m: MasterState, asked: pb.quota.QuotaRequest) -> None:
    """SET_QUOTA, before UPDATE_QUOTA there was nothing else: a guarantee, which is the limit too, for a role without."""
    refuse(within("Failed to validate set quota request", _request_problem(m, asked)))
    guarantee = {resource.name: resource.scalar for resource in asked.guarantee}
    config = new(_Config, role=asked.role, guarantees=guarantee, limits=guarantee)
    beyond = None if asked.force else _beyond_capacity(m, {**m.quotas, asked.role: config})
    overcommit = "Quota guarantees overcommit the cluster (use 'force' to bypass this check)"
    refuse(beyond and f"{overcommit}: Total quota guarantees {beyond}", 409)
    _take(m, [config])
    _save(m)
    _take_back_enough(m, config)


@validator
def _request_problem(m: MasterState, asked: pb.quota.QuotaRequest) -> Rows:
    yield within("QuotaInfo with invalid resource", resource_validation.of_several(asked.guarantee))
    resource_forms.to_new_form(asked.guarantee)
    yield not asked.HasField("role") and "QuotaInfo must specify a role"
    yield within("QuotaInfo with invalid role", role_name(asked.role))
    yield not asked.guarantee and "QuotaInfo with empty 'guarantee'"
    names: set[str] = set()
    for resource in asked.guarantee:
        yield resource.reservations and "QuotaInfo must not contain any ReservationInfo"
        yield resource.HasField("disk") and "QuotaInfo must not contain DiskInfo"
        yield resource.HasField("revocable") and "QuotaInfo must not contain RevocableInfo"
        if resource.type != pb.mesos.Value.SCALAR:
            yield "QuotaInfo must not include non-scalar resources"
        yield resource.name in names and f"QuotaInfo contains duplicate resource name '{resource.name}'"
        names.add(resource.name)
    yield not _is_allowed(m, asked.role) and f"Unknown role '{asked.role}'"
    if asked.role in m.quotas:
        yield f"Cannot set quota for role '{asked.role}' which already has quota"
    *above, _ = asked.role.split("/")
    if above:  # no role above one that is to have a quota has enough: only roles at the top have any
        wanted = _printed(amounts.scalars(Resources.from_proto(asked.guarantee)))
        yield (
            f"Invalid quota configuration. Parent role '{above[-1]}' with guarantees ({{}}) does not "
            f"contain the sum of its children's guarantees ({wanted})"
        )


def remove(m: MasterState, role: str, path: str = "") -> None:
    """REMOVE_QUOTA, or DELETE of a path."""
    where = f" for path '{path}'" if path else ""
    if path and not _is_allowed(m, role):
        raise Refused(400, f"Failed to validate remove quota request{where}: Unknown role '{role}'")
    if role not in m.quotas:
        raise Refused(400, f"Failed to remove quota{where}: Role '{role}' has no quota set")
    del m.quotas[role]
    _save(m)
    m.allocator.quotas.pop(role, None)


def recover(m: MasterState) -> None:
    """Start with what the registry knows."""
    _take(m, m.registry.quotas)


def _take(m: MasterState, configs: Iterable[_Config]) -> None:
    for config in configs:
        m.quotas[config.role] = config
        if quota := _quota(config):
            m.allocator.quotas[config.role] = quota
        else:
            m.allocator.quotas.pop(config.role, None)


def _save(m: MasterState) -> None:
    m.registry.quotas = [config for config in m.quotas.values() if _quota(config)]
    m.ports.save()


def _quota(config: _Config) -> Quota:
    guarantees = {name: _millis(scalar.value) for name, scalar in config.guarantees.items()}
    limits = {name: _millis(scalar.value) for name, scalar in config.limits.items()}
    return Quota({name: millis for name, millis in guarantees.items() if millis}, limits)


def _millis(value: float) -> int:
    return math.floor(value * MILLIS + 0.5)


def _printed(quantities: Mapping[str, int]) -> str:
    return "; ".join(f"{name}:{print_millis(quantities[name])}" for name in sorted(quantities)) or "{}"


def _number(value: float) -> str:
    if value < 0:
        return f"-{print_millis(_millis(-value))}"
    return print_millis(_millis(value)) if value < 1e15 else f"{value:g}"


def _as_map(values: Mapping[str, pb.mesos.Value.Scalar]) -> str:
    return "{ " + ", ".join(f"{name}: {_number(scalar.value)}" for name, scalar in values.items()) + " }"


def _make_room(m: MasterState, role: str, quota: Quota) -> None:
    """Take offers back: the role's own beyond its limits, then others' until its guarantees could be met."""
    now = views.breakdown(m, role)
    has = now.consumed + now.offered
    by_framework = [offer for framework in m.frameworks.values() for offer in framework.offers.values()]
    by_agent = [offer for agent in m.agents.values() for offer in agent.offers.values()]
    for offer in by_framework:
        if not contains(quota.limits, has) and is_under(offer.role, role):
            has.subtract(amounts.quantities(offer.resources))
            offers.rescind(m, offer)
    for offer in by_agent:
        if missing(quota.guarantees, has) and not is_under(offer.role, role):
            has.update(amounts.quantities(offer.resources))
            offers.rescind(m, offer)


def _take_back_enough(m: MasterState, config: _Config) -> None:
    """For SET_QUOTA: all offers of one agent after the other, until that is enough for each framework of the role."""
    frameworks = sum(f.active and config.role in f.roles for f in m.frameworks.values())
    rescinded: Amounts = Counter()
    visited = 0
    for agent in m.agents.values():
        if not missing(_quota(config).guarantees, rescinded) and visited >= frameworks:
            return
        if agent.active and agent.offers:
            visited += 1
            for offer in list(agent.offers.values()):
                rescinded.update(amounts.quantities(offer.resources))
                offers.rescind(m, offer)
