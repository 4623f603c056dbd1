"""URLs: one spelling for a page, whatever the link looks like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.rendler import web

BASE = "http://host.example/a/b/page.html"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("other.html", "http://host.example/a/b/other.html"),
        ("../up.html", "http://host.example/a/up.html"),
        ("/root.html", "http://host.example/root.html"),
        ("//elsewhere.example/x", "http://elsewhere.example/x"),
        ("?b=2&a=1", "http://host.example/a/b/page.html?a=1&b=2"),
        ("", "http://host.example/a/b/page.html"),
        ("#part", "http://host.example/a/b/page.html"),
        (" spaced.html\n", "http://host.example/a/b/spaced.html"),
    ],
)
def test_a_link_is_read_relative_to_its_page(link, expected):
    assert web.normalise(link, BASE) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://h.example/p", "HTTP://H.EXAMPLE/p"),
        ("http://h.example/p", "http://h.example:80/p"),
        ("https://h.example/p", "https://h.example:443/p"),
        ("http://h.example", "http://h.example/"),
        ("http://h.example/p", "http://h.example/p#fragment"),
        ("http://h.example/p?a=1&b=2", "http://h.example/p?b=2&a=1"),
        ("http://h.example/p", "http://h.example/x/../p"),
        ("http://h.example/p", "http://h.example/./p"),
        ("http://h.example/~user", "http://h.example/%7Euser"),
        ("http://h.example/%C3%BC", "http://h.example/ü"),
        ("http://xn--bcher-kva.example/", "http://bücher.example/"),
        ("http://h.example/p", "http://user:secret@h.example/p"),
        ("http://h.example/p", "http://h.example./p"),
        ("http://[::1]:8000/", "http://[::1]:8000/#x"),
    ],
)
def test_two_spellings_of_one_page_become_one(one, other):
    assert web.normalise(one) == web.normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://h.example/p", "https://h.example/p"),
        ("http://h.example/p", "http://h.example/P"),
        ("http://h.example/p", "http://h.example/p/"),
        ("http://h.example/p", "http://h.example:81/p"),
        ("http://h.example/a%2Fb", "http://h.example/a/b"),
        ("http://h.example/?a=1&a=2", "http://h.example/?a=2"),
    ],
)
def test_two_pages_stay_two(one, other):
    assert web.normalise(one) != web.normalise(other)


@pytest.mark.parametrize(
    "link",
    [
        "mailto:somebody@host.example",
        "javascript:void(0)",
        "data:text/html,hello",
        "ftp://host.example/x",
        "http://host.example:port/",
        "http://host.example:99999/",
        "http://[half/",
        "http://host.example/" + "x" * 3000,
        "httpx://host.example/",
    ],
)
def test_what_is_no_web_page_is_no_link(link):
    assert web.normalise(link, BASE) is None


@given(st.text(max_size=200))
def test_any_text_is_a_link_or_none(text):
    found = web.normalise(text, BASE)
    assert found is None or found.startswith(("http://", "https://"))


@given(st.text(alphabet="ab/.%7e?&=#:;ü \\@", max_size=60))
def test_the_spelling_of_a_page_is_final(text):
    found = web.normalise(text, BASE)
    if found is not None:
        assert web.normalise(found) == found


def test_a_hostile_address_takes_no_time():
    hostile = "http://h.example/" + "a." * 900 + "!"
    assert web.normalise(hostile) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://host.example/x", "http://host.example/x"),
        ("https://host.example", "https://host.example/"),
        ("host.example/page", "https://host.example/page"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("localhost:8000/index.html", "http://localhost:8000/index.html"),
        ("  http://host.example/  ", "http://host.example/"),
    ],
)
def test_a_seed_may_be_short(text, expected):
    assert web.seed(text) == expected


@pytest.mark.parametrize(
    "text", ["", "   ", "no url", "ftp://host.example/", "http://", "/etc/passwd", "http://a b/", "x"]
)
def test_a_seed_that_is_no_url_is_refused_in_one_sentence(text):
    with pytest.raises(web.SeedError, match="scheduler.seed=URL") as error:
        web.seed(text)
    assert "\n" not in str(error.value)


def test_www_belongs_to_the_site_and_another_port_does_not():
    assert web.site("http://www.host.example/a") == web.site("https://host.example/b")
    assert web.site("http://host.example:81/") != web.site("http://host.example/")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:80/", True),
        ("http://[::1]/", True),
        ("http://localhost/", True),
        ("http://host.example/", False),
        ("http://10.0.0.1/", False),
    ],
)
def test_this_machine_is_recognised(url, expected):
    assert web.is_on_this_machine(url) is expected
