"""Which agents a framework wants offers of: OfferConstraints (Mesos documentation, "Scheduler HTTP API", SUBSCRIBE).

Groups of a role are alternatives; the constraints within a group must all hold. A text predicate holds for an attribute
that is there and is no text, whatever it compares with (as in Mesos, which leaves such agents to the framework).
"""

import re
from collections.abc import Iterable

from mesos_v1 import pb

_Constraint = pb.scheduler.AttributeConstraint


def allows(constraints: pb.scheduler.OfferConstraints | None, role: str, agent: pb.mesos.AgentInfo) -> bool:
    """Whether an agent's resources may be offered to a framework in a role."""
    if constraints is None or role not in constraints.role_constraints:
        return True
    groups = constraints.role_constraints[role].groups
    return any(all(_holds(c, agent) for c in group.attribute_constraints) for group in groups)


def problem(constraints: pb.scheduler.OfferConstraints, roles: Iterable[str]) -> str | None:
    """What is wrong with constraints, in Mesos's words; None if nothing is."""
    known = set(roles)
    for role, of_role in constraints.role_constraints.items():
        if role not in known:
            return (
                f"Offer constraints specify `role_constraints` for a role '{role}'"
                "not contained in the set of roles"
            )
        for group in of_role.groups:
            if not group.attribute_constraints:
                return "OfferConstraints are invalid: Empty 'attribute_constraints' field is not allowed"
            for constraint in group.attribute_constraints:
                wrong = _wrong_regex(constraint)
                if wrong is not None:
                    return f"OfferConstraints are invalid: {wrong}"
    return None


def _wrong_regex(constraint: _Constraint) -> str | None:
    predicate = constraint.predicate
    for pattern in (predicate.text_matches.regex, predicate.text_not_matches.regex):
        try:
            re.compile(pattern)
        except re.error as error:
            return f"Failed to construct regex from pattern '{pattern}': {error}"
    return None


def _holds(constraint: _Constraint, agent: pb.mesos.AgentInfo) -> bool:
    values = _selected(constraint.selector, agent)
    kind = constraint.predicate.WhichOneof("predicate")
    predicate = constraint.predicate
    if kind == "exists":
        return bool(values)
    if kind == "not_exists":
        return not values
    if kind == "text_equals":
        return any(v is None or v == predicate.text_equals.value for v in values)
    if kind == "text_not_equals":
        return all(v is None or v != predicate.text_not_equals.value for v in values)
    if kind == "text_matches":
        return any(v is None or re.fullmatch(predicate.text_matches.regex, v) for v in values)
    if kind == "text_not_matches":
        return all(v is None or not re.fullmatch(predicate.text_not_matches.regex, v) for v in values)
    return False


def _selected(
    selector: pb.scheduler.AttributeConstraint.Selector, agent: pb.mesos.AgentInfo
) -> list[str | None]:
    """The texts that a selector chooses; None for an attribute that is no text."""
    if selector.WhichOneof("selector") == "attribute_name":
        return [
            a.text.value if a.type == pb.mesos.Value.TEXT else None
            for a in agent.attributes
            if a.name == selector.attribute_name
        ]
    fault_domain = agent.domain.fault_domain
    kinds = _Constraint.Selector
    if selector.pseudoattribute_type == kinds.HOSTNAME:
        return [agent.hostname]
    if selector.pseudoattribute_type == kinds.REGION:
        return [fault_domain.region.name] if fault_domain.HasField("region") else []
    if selector.pseudoattribute_type == kinds.ZONE:
        return [fault_domain.zone.name] if fault_domain.HasField("zone") else []
    return []
