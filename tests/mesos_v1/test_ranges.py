"""Ranges behave as the sets of numbers that they stand for."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mesos_v1 import ranges
from mesos_v1.resource import Kind, Resource

pairs = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    max_size=8,
)
normal = pairs.map(ranges.coalesce)


def numbers(found):
    return {number for begin, end in found for number in range(begin, end + 1)}


def is_normal(found):
    return all(begin <= end for begin, end in found) and all(a[1] < b[0] - 1 for a, b in pairwise(found))


@given(pairs)
def test_coalescing_keeps_the_numbers_and_gives_the_normal_form(found):
    assert numbers(ranges.coalesce(found)) == numbers(found)
    assert is_normal(ranges.coalesce(found))
    assert ranges.count(ranges.coalesce(found)) == len(numbers(found))


@given(normal, normal)
def test_union_difference_and_intersection_are_those_of_the_numbers(left, right):
    for function, expected in (
        (ranges.union, numbers(left) | numbers(right)),
        (ranges.subtract, numbers(left) - numbers(right)),
        (ranges.intersect, numbers(left) & numbers(right)),
    ):
        result = function(left, right)
        assert numbers(result) == expected, function.__name__
        assert is_normal(result), function.__name__


@given(normal, normal)
def test_one_contains_the_other_when_its_numbers_do(left, right):
    there, wanted = (Resource("ports", Kind.RANGES, ranges=each) for each in (left, right))
    assert there.covers(wanted) == (numbers(right) <= numbers(left))


@given(normal, st.integers(-1, 50))
def test_the_first_numbers_are_the_smallest(found, wanted):
    assert numbers(ranges.first(found, wanted)) == set(sorted(numbers(found))[: max(0, wanted)])


def test_a_huge_range_costs_no_more_than_a_small_one():
    huge = ((0, 2**64 - 1),)
    assert ranges.subtract(huge, ((5, 5),)) == ((0, 4), (6, 2**64 - 1))
    assert ranges.count(huge) == 2**64
