"""pages.jsonl: what is written can be read again, and half a line does no harm."""

import json

from hypothesis import given
from hypothesis import strategies as st

from examples.rendler.messages import PageRecord, PageState
from examples.rendler.results_actor import from_lines, to_line

RECORDS = st.builds(
    PageRecord,
    url=st.text(min_size=1),
    state=st.sampled_from(PageState),
    depth=st.integers(0, 9),
    status=st.none() | st.integers(100, 599),
    title=st.text(),
    links=st.lists(st.text(), max_size=4).map(tuple),
    error=st.text(),
)


@given(RECORDS)
def test_a_record_survives_being_written(record):
    line = to_line(record)
    assert line.count("\n") == 1
    assert from_lines([line]) == [record]


def test_a_line_has_what_a_reader_looks_for():
    values = json.loads(to_line(PageRecord("http://h.example/", links=("http://h.example/a",))))
    assert {
        "url",
        "status",
        "depth",
        "title",
        "links",
        "content_type",
        "bytes",
        "attempts",
        "error",
        "picture",
    } <= set(values)


def test_lines_that_cannot_be_read_are_left_out():
    whole = to_line(PageRecord("http://h.example/", PageState.CRAWLED))
    assert from_lines([whole, whole[:20], "", "[]", "{}", '{"url": 1', "null"]) == [
        PageRecord("http://h.example/", PageState.CRAWLED)
    ]


def test_the_last_line_of_a_page_wins():
    old, new = PageRecord("u", PageState.FAILED), PageRecord("u", PageState.CRAWLED)
    assert from_lines([to_line(old), to_line(new)]) == [new]
