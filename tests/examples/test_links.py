"""What is read from an HTML page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.rendler import web
from examples.rendler.web import is_html, media_type, read_page

URL = "http://host.example/dir/page.html"


def read(html, content_type="text/html; charset=utf-8", url=URL):
    return read_page(html.encode() if isinstance(html, str) else html, content_type, url)


def test_links_are_distinct_and_in_the_order_of_the_page():
    page = read("<a href=b>x</a><a href='a'>y</a><map><area href=c></map><a href='b#part'>z</a>")
    assert page.links == (
        "http://host.example/dir/b",
        "http://host.example/dir/a",
        "http://host.example/dir/c",
    )


def test_a_page_does_not_link_to_itself():
    assert read("<a href='#top'>up</a><a href='page.html#x'>here</a>").links == ()


def test_base_says_what_links_are_relative_to():
    assert read("<base href='/other/'><a href=x>x</a>").links == ("http://host.example/other/x",)


def test_links_marked_nofollow_are_left_out():
    assert read("<a href=a rel='external NOFOLLOW'>x</a><a href=b>y</a>").links == (
        "http://host.example/dir/b",
    )


@pytest.mark.parametrize("content", ["nofollow", "noindex, NoFollow", "none"])
def test_a_page_may_ask_not_to_be_followed(content):
    assert read(f"<meta name=Robots content='{content}'>").follow is False


def test_other_pages_may_be_followed():
    assert read("<meta name=robots content='noindex'><meta name=description content=nofollow>").follow is True


def test_the_title_is_one_line():
    assert read("<title>\n The  title\n</title>").title == "The title"


def test_the_header_decides_how_bytes_are_read():
    assert read("<title>Grüße</title>".encode("latin-1"), "text/html; charset=iso-8859-1").title == "Grüße"


def test_the_page_decides_where_the_header_says_nothing():
    html = "<meta charset=iso-8859-1><title>Grüße</title>".encode("latin-1")
    assert read(html, "text/html").title == "Grüße"


def test_content_types():
    assert is_html("Text/HTML; charset=x")
    assert is_html("application/xhtml+xml")
    assert not is_html("application/pdf")
    assert not is_html("")
    assert media_type("Text/HTML; charset=x") == "text/html"


def test_a_page_of_very_many_links_is_bounded():
    many = "".join(f"<a href=/{n}>x</a>" for n in range(web.MAX_LINKS + 100))
    assert len(read(many).links) == web.MAX_LINKS
    long = "".join(f"<a href=/{'x' * 1900}{n}>x</a>" for n in range(1000))
    assert sum(map(len, read(long).links)) <= web.MAX_LINK_CHARACTERS


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(body):
    read(body)
