"""Which requests a page from elsewhere may have sent: told by Host, Origin and Sec-Fetch-Site alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_v1.origins import host_name, is_loopback, refusal

NAMES = {"mesos.example"}


def refused(host=("127.0.0.1:5050",), origin=(), site=(), address="10.0.0.5"):
    return refusal(hosts=host, origins=origin, fetch_sites=site, names=NAMES, address=address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:5050", "127.0.0.1", "127.1.2.3:80", "localhost:5050", "LOCALHOST", "localhost.:5050", "[::1]:5050",
        "[::1]", "mesos.example", "Mesos.Example:5050", "10.0.0.5:5050",
    ],
)  # fmt: skip
def test_own_names_and_addresses_are_taken(host):
    assert refused((host,)) is None
    assert refused((host,), origin=(f"http://{host}",), site=("same-origin",)) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.test", "evil.test:5050", "127.0.0.1.evil.test", "localhost.evil.test", "10.0.0.6:5050", "mesos.example.evil.test",
        "[::1", "[]", "", ":5050", "localhost:5050@evil.test", "localhost:x", "2130706433", "0x7f.1", "evil.test\t", "0.0.0.0",
    ],
)  # fmt: skip
def test_every_other_name_is_refused_in_a_sentence(host):
    why = refused((host,))
    assert why is not None
    assert why.endswith(".")


@pytest.mark.parametrize("hosts", [(), ("127.0.0.1", "evil.test"), ("127.0.0.1", "127.0.0.1")])
def test_a_request_names_one_host(hosts):
    assert "one Host header" in str(refused(hosts))


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.test",
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:5051",
        "http://localhost:5050",
        "file://",
    ],
)
def test_pages_of_another_origin_are_refused(origin):
    assert "Origin" in str(refused(origin=(origin,)))
    assert refused(origin=("http://127.0.0.1:5050", origin)) is not None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "CROSS-SITE", "", "something-new"])
def test_what_a_browser_says_comes_from_elsewhere_is_refused(site):
    assert refused(site=(site,)) is not None


def test_what_a_user_opens_herself_is_taken():
    assert refused(site=("none",)) is None
    assert refused(origin=("http://127.0.0.1:5050",), site=("same-origin",)) is None


@given(st.text())
def test_no_text_breaks_it_and_only_loopback_is_loopback(text):
    refused((text,), origin=(text,), site=(text,))
    name = host_name(text) or ""
    if is_loopback(name):
        assert name == "localhost" or name in {"::1"} or name.startswith(("127.", "::ffff:127."))
