"""Offer constraints: which agents they let through, and which of them a master refuses in which words."""

from typing import Any

import pytest

from mesos_v1 import content, pb
from mesos_v1.resource_text import parse_attributes
from playa.master.allocation import offer_constraints

HOSTNAME = {"pseudoattribute_type": "HOSTNAME"}


def of(*groups: list[Any], role: str = "*") -> pb.scheduler.OfferConstraints:
    listed = [{"attribute_constraints": group} for group in groups]
    return content.from_json(pb.scheduler.OfferConstraints, {"role_constraints": {role: {"groups": listed}}})


def one(selector: str | dict[str, str], **predicate: Any) -> dict[str, Any]:
    chosen = {"attribute_name": selector} if isinstance(selector, str) else selector
    return {"selector": chosen, "predicate": predicate}


def agent(attributes: str = "rack:r1;zone:eu;cores:4", *, region: str = "") -> pb.mesos.AgentInfo:
    info = pb.mesos.AgentInfo(hostname="host-1")
    info.attributes.extend(parse_attributes(attributes))
    if region:
        info.domain.fault_domain.region.name = region
        info.domain.fault_domain.zone.name = f"{region}-a"
    return info


R1, R2 = {"value": "r1"}, {"value": "r2"}


@pytest.mark.parametrize(
    ("constraint", "let_through"),
    [
        (one("rack", exists={}), True),
        (one("ssd", exists={}), False),
        (one("rack", not_exists={}), False),
        (one("ssd", not_exists={}), True),
        (one("rack", text_equals=R1), True),
        (one("rack", text_equals=R2), False),
        (one("ssd", text_equals=R1), False),
        (one("rack", text_not_equals=R1), False),
        (one("rack", text_not_equals=R2), True),
        (one("ssd", text_not_equals=R1), True),
        (one("rack", text_matches={"regex": "r[0-9]"}), True),
        (one("rack", text_matches={"regex": "r"}), False),
        (one("ssd", text_matches={"regex": ".*"}), False),
        (one("rack", text_not_matches={"regex": "r[0-9]"}), False),
        (one("rack", text_not_matches={"regex": "r"}), True),
        (one("ssd", text_not_matches={"regex": ".*"}), True),
        (one("cores", text_equals=R1), True),
        (one("cores", text_not_equals=R1), True),
        (one("cores", text_matches={"regex": "x"}), True),
        (one("cores", text_not_matches={"regex": ".*"}), True),
        (one(HOSTNAME, text_equals={"value": "host-1"}), True),
        (one(HOSTNAME, text_equals={"value": "host-2"}), False),
        (one({"pseudoattribute_type": "REGION"}, exists={}), False),
        (one({"pseudoattribute_type": "ZONE"}, not_exists={}), True),
    ],
)
def test_a_constraint_lets_an_agent_through_or_not(constraint: dict[str, Any], let_through: bool) -> None:
    asked = of([constraint])
    assert offer_constraints.problem(asked, ["*"]) is None
    assert offer_constraints.allows(asked, "*", agent()) is let_through


def test_groups_are_alternatives_and_all_of_a_group_must_hold() -> None:
    r1, r2 = one("rack", text_equals=R1), one("rack", text_equals=R2)
    assert offer_constraints.allows(of([r2], [r1]), "*", agent())
    assert not offer_constraints.allows(of([r1, r2]), "*", agent())


def test_a_role_without_constraints_gets_every_agent() -> None:
    asked = of([one("rack", text_equals=R2)], role="a")
    assert not offer_constraints.allows(asked, "a", agent())
    assert offer_constraints.allows(asked, "b", agent())
    assert offer_constraints.allows(None, "a", agent())


def test_regions_and_zones_are_those_of_the_fault_domain() -> None:
    asked = of(
        [
            one({"pseudoattribute_type": "REGION"}, text_equals={"value": "north"}),
            one({"pseudoattribute_type": "ZONE"}, text_matches={"regex": "north-."}),
        ]
    )
    assert offer_constraints.allows(asked, "*", agent(region="north"))
    assert not offer_constraints.allows(asked, "*", agent(region="south"))


def test_of_several_attributes_of_one_name_the_first_counts() -> None:
    twice = agent("rack:r1;rack:r2")
    assert offer_constraints.allows(of([one("rack", text_equals=R1)]), "*", twice)
    assert not offer_constraints.allows(of([one("rack", text_equals=R2)]), "*", twice)


INVALID = "Offer constraints are not valid: "
CONSTRAINT = INVALID + "A role * has an invalid 'AttributeConstraint': "


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (
            of([one("rack", exists={})], role="x"),
            "Offer constraints specify `role_constraints` for a role 'x'not contained in the set of roles",
        ),
        (
            of(),
            INVALID
            + "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role *",
        ),
        (
            of([one("rack", exists={})], []),
            INVALID
            + "'OfferConstraints::RoleConstraints::groups' for role *contains an empty RoleConstraints::Group",
        ),
        (
            of([one({}, exists={})]),
            CONSTRAINT
            + "Exactly one of 'AttributeConstraint::Selector::name' or "
            + "'AttributeConstraint::Selector::pseudoattribute_type' must be set",
        ),
        (
            of([one({"pseudoattribute_type": "UNKNOWN"}, exists={})]),
            CONSTRAINT + "Unknown pseudoattribute type",
        ),
        (of([one("rack")]), CONSTRAINT + "Unknown predicate type"),
    ],
)
def test_constraints_that_are_not_valid_are_refused(asked: pb.scheduler.OfferConstraints, text: str) -> None:
    assert offer_constraints.problem(asked, ["*"]) == text


@pytest.mark.parametrize("kind", ["text_matches", "text_not_matches"])
@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "missing ): ("),
        ("a)", "unexpected ): a)"),
        ("[ab", "missing ]: [ab"),
        ("*a", "no argument for repetition operator: *"),
        ("a**", "bad repetition operator: **"),
        ("a++", "bad repetition operator: ++"),
        (r"\y", r"invalid escape sequence: \y"),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("[z-a]", "invalid character class range: z-a"),
        *((p, f"invalid perl operator: {p[:3]}") for p in ("(?=a)", "(?!a)", "(?<!a)b", "(?<n>a)", "(?>a)")),
        *((p, f"invalid perl operator: {p[:3]}") for p in ("(?#x)", "(?P=n)", "(?z)a")),
        ("a{3,1}", "invalid repetition size: {3,1}"),
        ("a{2000}", "invalid repetition size: {2000}"),
        ("a\\", "trailing \\"),
    ],
)
def test_an_expression_that_re2_does_not_know_is_refused(kind: str, pattern: str, why: str) -> None:
    text = offer_constraints.problem(of([one("rack", **{kind: {"regex": pattern}})]), ["*"])
    assert text == f"{CONSTRAINT}Failed to construct regex from pattern '{pattern}': {why}"


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "(?:a)",
        "(?P<n>a)",
        "(?i)a",
        "(?i-s:a)",
        "a{1,3}",
        "a{2,}",
        "[(?=]",
        r"\\1",
        "a{2}",
        "a*?",
        r"[\]a++]",
        "a|b",
    ],
)
def test_an_expression_that_re2_knows_is_taken(pattern: str) -> None:
    assert offer_constraints.problem(of([one("rack", text_matches={"regex": pattern})]), ["*"]) is None
