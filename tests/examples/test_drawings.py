"""result.dot: what Graphviz is given, and that it takes it."""

import shutil

import pytest

from examples.rendler import drawings
from examples.rendler.messages import PageRecord, PageState

SEED = "http://s.example/"


def site(pages, links=1):
    names = [SEED] + [f"{SEED}{n}" for n in range(1, pages)]
    return [
        PageRecord(
            name,
            PageState.CRAWLED,
            parent="" if name == SEED else SEED,
            title=f'A "page"\\ {n}',
            links=tuple(names[:links]),
        )
        for n, name in enumerate(names)
    ]


def test_each_page_is_a_node_and_each_link_an_edge():
    text = drawings.to_dot(site(3, links=3), title="t")
    assert text.count("[label=") >= 3
    assert "n0 -> n1;" in text
    assert "n1 -> n2 " in text


def test_pictures_are_the_nodes_and_named_relative_to_the_file():
    page = PageRecord(SEED, PageState.CRAWLED, picture="p.png", thumbnail="p.thumb.jpg")
    assert 'image="images/p.thumb.jpg"' in drawings.to_dot([page], title="t")


def test_the_graph_has_every_link_and_a_drawing_of_very_many_only_the_first_to_each_page():
    pages = site(100, links=90)
    assert drawings.to_dot(pages, title="t").count(" -> ") == 100 * 90 + 10  # ten pages that no link leads to
    assert drawings.to_dot(pages, title="t", every_link=False).count(" -> ") == 99


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_a_drawing_that_leaves_links_out_says_how_many_there_are(tmp_path):
    files, remark = drawings.draw(tmp_path, site(30, links=30), title="t")
    assert files == ["result.svg", "result.pdf"]
    assert "all 900 are in result.dot" in remark


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("pages", [1, 5, 130])
def test_graphviz_draws_it_whatever_the_titles(tmp_path, pages):
    hostile = PageRecord(
        f"{SEED}x",
        PageState.FAILED,
        parent=SEED,
        title='"]; \\',
        error='quote " and \\ and\nline',
        redirect="",
    )
    assert drawings.draw(tmp_path, [*site(pages), hostile], title='a "title"') == (
        ["result.svg", "result.pdf"],
        "",
    )
    assert (tmp_path / "result.svg").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "result.pdf").read_bytes().startswith(b"%PDF")


def test_what_would_take_too_long_is_not_drawn_and_the_summary_says_so(tmp_path):
    files, remark = drawings.draw(tmp_path, site(drawings.MAX_DRAWN_NODES + 1), title="t")
    assert files == []
    assert "result.svg" in remark


def test_no_pages_are_a_graph_too():
    assert "digraph" in drawings.to_dot([], title="t")
