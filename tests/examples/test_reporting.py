"""What the user reads: the summary at the end, and progress meanwhile."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from examples.rendler import display_actor
from examples.rendler.messages import PageRecord, PageState, Progress, WriteResults
from examples.rendler.results_actor import end_summary

FOLDER = Path("results")


def summary(pages, *, files=("index.html", "pages.jsonl"), remark="", **write):
    return end_summary(
        pages,
        folder=FOLDER,
        files=files,
        remark=remark,
        write=WriteResults(**{"seconds": 3.0, "crawl_seconds": 2.0, **write}),
    )


def page(name, state=PageState.CRAWLED, **values):
    return PageRecord(f"http://s.example/{name}", state, **values)


def test_it_says_what_was_done_and_where_it_is():
    lines = summary([page("a", picture="a.png"), page("b", PageState.SKIPPED), page("c", PageState.REDIRECT)])
    assert lines[0] == "3 pages in 2.0 s (2 a second): 1 crawled, 1 redirect, 1 skipped, 0 failed"
    assert lines[1] == "1 picture; 3.0 s in all"
    assert "results in results:" in lines
    assert any(line.split()[0] == "images/" for line in lines)


def test_it_says_what_failed_and_how_often_it_was_tried():
    lines = summary(
        [
            page("a", PageState.FAILED, error="no answer", attempts=5),
            page("b", PageState.FAILED, error="HTTP 404", attempts=1),
        ]
    )
    assert "  failed: http://s.example/a: no answer (5 attempts)" in lines
    assert "  failed: http://s.example/b: HTTP 404" in lines


def test_many_failures_are_counted_not_listed():
    lines = summary([page(str(n), PageState.FAILED, error="HTTP 404") for n in range(12)])
    assert sum("failed:" in line for line in lines) == 5
    assert any("7 more" in line for line in lines)


def test_a_reason_that_kept_many_pages_from_being_pictured_is_told_once():
    lines = summary([page(str(n), picture_error="no browser") for n in range(9)])
    assert [line for line in lines if "no browser" in line] == [
        "  no picture: http://s.example/0 (and 8 more): no browser"
    ]


def test_an_early_end_and_what_was_left_are_told():
    lines = summary([page("a")], reason="ended early (Ctrl-C)", queued=3)
    assert "ended early (Ctrl-C)" in lines
    assert "found and not visited: 3 pages" in lines


def test_a_crawl_of_nothing_has_a_summary():
    assert summary([], seconds=0.0, crawl_seconds=0.0)[0].startswith("0 pages in 0.0 s")


PROGRESS = Progress(
    crawled=7,
    failed=1,
    skipped=2,
    crawl_queue=3,
    crawling=4,
    render_queue=5,
    rendering=2,
    pictures=6,
    pictures_failed=1,
    seconds=2.0,
    latest="http://s.example/x",
)


def test_progress_is_one_plain_line():
    assert (
        display_actor._line(PROGRESS)
        == "   2.0 s: 7 crawled; 2 skipped, 1 failed; 7 to crawl; 6 pictures, 7 to render"
    )


@pytest.mark.parametrize("width", [40, 120])
def test_progress_is_a_panel_on_a_terminal(width):
    text = io.StringIO()
    Console(file=text, width=width).print(display_actor._panel(PROGRESS))
    assert "10/17" in text.getvalue()
    assert "7/14" in text.getvalue()


def test_pages_of_an_earlier_run_do_not_make_this_one_faster():
    lines = summary([page("a"), page("b"), page("c")], earlier=1)
    assert lines[0].startswith("2 pages in 2.0 s (1 a second): 3 crawled")
    assert "with 1 of an earlier run" in lines[0]
