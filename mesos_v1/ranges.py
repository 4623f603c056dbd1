"""Sets of whole numbers as sorted, disjoint, coalesced ranges with both ends included: `((31000, 31005), (31010, 31010))`.

Ports come this way. Everything is linear in the number of ranges, never in the number of ports.
"""

from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]
"""Sorted by begin; no two overlap or touch."""


def coalesce(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return the normal form of any ranges; those that overlap or touch become one."""
    out: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if out and begin <= out[-1][1] + 1:
            if end > out[-1][1]:
                out[-1] = (out[-1][0], end)
        else:
            out.append((begin, end))
    return tuple(out)


def union(left: Ranges, right: Ranges) -> Ranges:
    """Return the numbers in either."""
    return coalesce(left + right)


def subtract(left: Ranges, right: Ranges) -> Ranges:
    """Return the numbers of `left` that are not in `right`."""
    out: list[tuple[int, int]] = []
    at = 0
    for begin, end in left:
        start = begin
        while at < len(right) and right[at][0] <= end:
            hole_begin, hole_end = right[at]
            if hole_begin > start:
                out.append((start, hole_begin - 1))
            start = max(start, hole_end + 1)
            if hole_end > end:  # it may reach into the next
                break
            at += 1
        if start <= end:
            out.append((start, end))
    return tuple(out)


def intersect(left: Ranges, right: Ranges) -> Ranges:
    """Return the numbers in both."""
    out: list[tuple[int, int]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        begin = max(left[i][0], right[j][0])
        end = min(left[i][1], right[j][1])
        if begin <= end:
            out.append((begin, end))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(out)


def count(ranges: Ranges) -> int:
    """Return how many numbers there are."""
    return sum(end - begin + 1 for begin, end in ranges)


def first(ranges: Ranges, wanted: int) -> Ranges:
    """Return the `wanted` smallest numbers, or all when there are not as many."""
    out: list[tuple[int, int]] = []
    for begin, end in ranges:
        if wanted <= 0:
            break
        out.append((begin, min(end, begin + wanted - 1)))
        wanted -= end - begin + 1
    return tuple(out)


def text(ranges: Ranges) -> str:
    """Print ranges as Mesos does."""
    return "[" + ", ".join(f"{begin}-{end}" for begin, end in ranges) + "]"
