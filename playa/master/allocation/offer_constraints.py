"""Which agents a framework wants offers of: OfferConstraints (Mesos documentation, "Scheduler HTTP API", SUBSCRIBE).

Groups of a role are alternatives; the constraints within a group must all hold. A text predicate holds for an attribute
that is there and is no text, whatever it compares with (as in Mesos, which leaves such agents to the framework).
"""

import re
from collections.abc import Iterable

from mesos_v1 import pb
from playa.master.validation.rules import Rows, validator, within

_Selector = pb.scheduler.AttributeConstraint.Selector
_MOST_REPETITIONS = 1000


def allows(constraints: pb.scheduler.OfferConstraints | None, role: str, agent: pb.mesos.AgentInfo) -> bool:
    """Whether an agent's resources may be offered to a framework in a role."""
    if constraints is None or role not in constraints.role_constraints:
        return True
    groups = constraints.role_constraints[role].groups
    return any(all(_holds(c, agent) for c in group.attribute_constraints) for group in groups)


@validator
def problem(constraints: pb.scheduler.OfferConstraints, roles: Iterable[str]) -> Rows:
    """What is wrong with constraints, in Mesos's words; None if nothing is."""
    known = set(roles)
    for role in constraints.role_constraints:
        yield role not in known and (
            f"Offer constraints specify `role_constraints` for a role '{role}'not contained in the set of roles"
        )
    for role, of_role in constraints.role_constraints.items():
        yield within("Offer constraints are not valid", _wrong_groups(role, of_role))


@validator
def _wrong_groups(role: str, of_role: pb.scheduler.OfferConstraints.RoleConstraints) -> Rows:
    if not of_role.groups:
        yield f"'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role {role}"
    for group in of_role.groups:
        yield not group.attribute_constraints and (
            f"'OfferConstraints::RoleConstraints::groups' for role {role}"
            "contains an empty RoleConstraints::Group"
        )
        for constraint in group.attribute_constraints:
            yield within(f"A role {role} has an invalid 'AttributeConstraint'", _wrong(constraint))


@validator
def _wrong(constraint: pb.scheduler.AttributeConstraint) -> Rows:
    selector, predicate = constraint.selector, constraint.predicate
    yield selector.WhichOneof("selector") is None and (
        "Exactly one of 'AttributeConstraint::Selector::name' or "
        "'AttributeConstraint::Selector::pseudoattribute_type' must be set"
    )
    if selector.HasField("pseudoattribute_type") and selector.pseudoattribute_type == _Selector.UNKNOWN:
        yield "Unknown pseudoattribute type"
    kind = predicate.WhichOneof("predicate")
    yield kind is None and "Unknown predicate type"
    if kind in {"text_matches", "text_not_matches"}:
        pattern: str = getattr(predicate, kind).regex
        yield within(f"Failed to construct regex from pattern '{pattern}'", _wrong_regex(pattern))


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


@validator
def _wrong_regex(pattern: str) -> Rows:
    for found in _IN_RE2.finditer(pattern):
        yield found["reference"] and f"invalid escape sequence: {found[0]}"
        yield found["operator"] and f"invalid perl operator: {found[0]}"
        yield found["twice"] and f"bad repetition operator: {found[0]}"
        if found["size"]:
            least, most = int(found["least"]), int(found["most"] or found["least"])
            yield not least <= most <= _MOST_REPETITIONS and f"invalid repetition size: {found[0]}"
    try:
        re.compile(pattern)
    except re.error as error:
        where = pattern[error.pos or 0 :]
        texts = (text for start, text in _RE2_TEXTS.items() if error.msg.startswith(start))
        yield next(texts, error.msg).format(pattern, where)


def _holds(constraint: pb.scheduler.AttributeConstraint, agent: pb.mesos.AgentInfo) -> bool:
    values = _selected(constraint.selector, agent)
    kind = constraint.predicate.WhichOneof("predicate") or "exists"  # one that has none is refused
    negated = "not_" in kind
    if kind in {"exists", "not_exists"} or not values:
        return bool(values) != negated
    if values[0] is None:
        return True
    wanted = getattr(constraint.predicate, kind)
    if kind.endswith("equals"):
        return bool(values[0] == wanted.value) != negated
    return bool(re.fullmatch(wanted.regex, values[0])) != negated


def _selected(
    selector: pb.scheduler.AttributeConstraint.Selector, agent: pb.mesos.AgentInfo
) -> list[str | None]:
    """The text that a selector chooses, none if there is none; None for an attribute that is not a text."""
    if selector.WhichOneof("selector") == "attribute_name":
        named = [each for each in agent.attributes if each.name == selector.attribute_name][:1]
        return [each.text.value if each.type == pb.mesos.Value.TEXT else None for each in named]
    if selector.pseudoattribute_type == _Selector.HOSTNAME:
        return [agent.hostname]
    is_region = selector.pseudoattribute_type == _Selector.REGION
    level = agent.domain.fault_domain.region if is_region else agent.domain.fault_domain.zone
    return [level.name] if level.name else []
