"""Which agents a framework wants offers of: OfferConstraints (Mesos documentation, "Scheduler HTTP API", SUBSCRIBE).

Groups of a role are alternatives; the constraints within a group must all hold. A text predicate holds for an attribute
that is there and is no text, whatever it compares with (as in Mesos, which leaves such agents to the framework).
"""

import re
from collections.abc import Iterable

from mesos_v1 import pb

_Constraint = pb.scheduler.AttributeConstraint
_MOST_REPETITIONS = 1000


def allows(constraints: pb.scheduler.OfferConstraints | None, role: str, agent: pb.mesos.AgentInfo) -> bool:
    """Whether an agent's resources may be offered to a framework in a role."""
    if constraints is None or role not in constraints.role_constraints:
        return True
    groups = constraints.role_constraints[role].groups
    return any(all(_holds(c, agent) for c in group.attribute_constraints) for group in groups)


def problem(constraints: pb.scheduler.OfferConstraints, roles: Iterable[str]) -> str | None:
    """What is wrong with constraints, in Mesos's words; None if nothing is."""
    known = set(roles)
    for role in constraints.role_constraints:
        if role not in known:
            return (
                f"Offer constraints specify `role_constraints` for a role '{role}'"
                "not contained in the set of roles"
            )
    for role, of_role in constraints.role_constraints.items():
        wrong = _wrong_groups(role, of_role)
        if wrong is not None:
            return f"Offer constraints are not valid: {wrong}"
    return None


def _wrong_groups(role: str, of_role: pb.scheduler.OfferConstraints.RoleConstraints) -> str | None:
    if not of_role.groups:
        return f"'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role {role}"
    for group in of_role.groups:
        if not group.attribute_constraints:
            return (
                f"'OfferConstraints::RoleConstraints::groups' for role {role}"
                "contains an empty RoleConstraints::Group"
            )
        for constraint in group.attribute_constraints:
            wrong = _wrong_selector(constraint.selector) or _wrong_predicate(constraint.predicate)
            if wrong is not None:
                return f"A role {role} has an invalid 'AttributeConstraint': {wrong}"
    return None


def _wrong_selector(selector: pb.scheduler.AttributeConstraint.Selector) -> str | None:
    kind = selector.WhichOneof("selector")
    if kind is None:
        return (
            "Exactly one of 'AttributeConstraint::Selector::name' or "
            "'AttributeConstraint::Selector::pseudoattribute_type' must be set"
        )
    if kind == "pseudoattribute_type" and selector.pseudoattribute_type == _Constraint.Selector.UNKNOWN:
        return "Unknown pseudoattribute type"
    return None


def _wrong_predicate(predicate: pb.scheduler.AttributeConstraint.Predicate) -> str | None:
    kind = predicate.WhichOneof("predicate")
    if kind is None:
        return "Unknown predicate type"
    if kind in {"text_matches", "text_not_matches"}:
        pattern: str = getattr(predicate, kind).regex
        wrong = _wrong_regex(pattern)
        return wrong and f"Failed to construct regex from pattern '{pattern}': {wrong}"
    return None


# Mesos's expressions are RE2's: no look-around, no references back, no possessive repetition, at most 1,000 of anything.
# What must not be looked into (escapes, sets) comes first.
_IN_RE2 = re.compile(
    r"""\\(?P<reference>[1-9]) | \\. | \[\^?\]?(?:\\.|[^]\\])*\]
      | (?P<operator>\(\?.)(?<!\(\?:)(?!(?<=P)<|(?<=[imsU-])[imsU-]*[:)])
      | (?P<twice>(?:[*+?]|\{\d+,?\d*\})[*+]) | (?P<size>\{(?P<least>\d+)(?:,(?P<most>\d*))?\})""",
    re.VERBOSE | re.DOTALL,
)
# How Python and RE2 call what is wrong; {0} is the expression, {1} what stands where it is wrong.
_RE2_TEXTS = {
    "missing ), unterminated subpattern": "missing ): {0}",
    "unbalanced parenthesis": "unexpected ): {0}",
    "unterminated character set": "missing ]: {1}",
    "nothing to repeat": "no argument for repetition operator: {1:.1}",
    "bad escape (end of pattern)": "trailing \\",
    "bad escape": "invalid escape sequence: {1:.2}",
    "bad character range": "invalid character class range: {1:.3}",
}


def _wrong_regex(pattern: str) -> str | None:
    for found in _IN_RE2.finditer(pattern):
        if found["reference"]:
            return f"invalid escape sequence: {found[0]}"
        if found["operator"]:
            return f"invalid perl operator: {found[0]}"
        if found["twice"]:
            return f"bad repetition operator: {found[0]}"
        if found["size"]:
            least, most = int(found["least"]), int(found["most"] or found["least"])
            if not least <= most <= _MOST_REPETITIONS:
                return f"invalid repetition size: {found[0]}"
    try:
        re.compile(pattern)
    except re.error as error:
        where = pattern[error.pos or 0 :]
        texts = (text for start, text in _RE2_TEXTS.items() if error.msg.startswith(start))
        return next(texts, error.msg).format(pattern, where)
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
    """The text that a selector chooses, none if there is none; None for an attribute that is not a text."""
    if selector.WhichOneof("selector") == "attribute_name":
        return [
            a.text.value if a.type == pb.mesos.Value.TEXT else None
            for a in agent.attributes
            if a.name == selector.attribute_name
        ][:1]
    fault_domain = agent.domain.fault_domain
    kinds = _Constraint.Selector
    if selector.pseudoattribute_type == kinds.HOSTNAME:
        return [agent.hostname]
    if selector.pseudoattribute_type == kinds.REGION:
        return [fault_domain.region.name] if fault_domain.HasField("region") else []
    if selector.pseudoattribute_type == kinds.ZONE:
        return [fault_domain.zone.name] if fault_domain.HasField("zone") else []
    return []
