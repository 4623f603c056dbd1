import pytest

from mesos_http import BearerToken, Credentials, Endpoint, RedirectFailed
from mesos_http.http1 import RequestWriter

MASTER = Endpoint("http", "10.0.0.1", 5050, "/api/v1/scheduler")


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://10.0.0.1:5050/api/v1/scheduler", MASTER),
        ("http://master/", Endpoint("http", "master", 80, "/")),
        ("http://master", Endpoint("http", "master", 80, "/")),
        ("https://master/a?b=c%20d", Endpoint("https", "master", 443, "/a?b=c%20d")),
        ("http://[::1]:5050/slave(1)/api", Endpoint("http", "::1", 5050, "/slave(1)/api")),
        (
            "http+unix://%2Fvar%2Frun%2Fm.sock/slave(1)/api/v1/executor",
            Endpoint("http+unix", "localhost", 0, "/slave(1)/api/v1/executor", "/var/run/m.sock"),
        ),
    ],
)
def test_an_address_is_read_and_printed_so_that_it_reads_back(url, endpoint):
    assert Endpoint.parse(url) == endpoint
    assert Endpoint.parse(endpoint.url) == endpoint


def test_the_host_header_names_host_and_port():
    assert MASTER.authority == "10.0.0.1:5050"
    assert Endpoint.parse("http://[::1]:5050/").authority == "[::1]:5050"
    assert Endpoint.unix("/tmp/x", "/").authority == "localhost"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("10.0.0.1:5050", "does not start with http://"),
        ("ftp://host/", "does not start with http://"),
        ("http:///path", "names no host"),
        ("http://host:99999/", "not an address"),
        ("http://host:port/", "not an address"),
        ("http+unix:///x", "names no socket"),
        ("http://host/a b", "spaces"),
        ("http://host/a\r\nX: 1", "spaces or control characters|not an address"),
        ("http://[::1", "not an address"),
    ],
)
def test_what_is_no_address_is_refused_in_one_sentence(url, says):
    with pytest.raises(ValueError, match=says):
        Endpoint.parse(url)


def test_credentials_in_an_address_are_refused_and_not_repeated():
    with pytest.raises(ValueError, match="set credentials instead") as caught:
        Endpoint.parse("http://principal:hush@host:5050/")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("//10.0.0.2:5050/api/v1/scheduler", "http://10.0.0.2:5050/api/v1/scheduler"),
        ("//10.0.0.2:5050", "http://10.0.0.2:5050/api/v1/scheduler"),
        ("http://10.0.0.2:5050/master/api/v1/scheduler", "http://10.0.0.2:5050/master/api/v1/scheduler"),
        ("https://10.0.0.2:5050/x", "https://10.0.0.2:5050/x"),
        ("/master/api/v1/scheduler", "http://10.0.0.1:5050/master/api/v1/scheduler"),
    ],
)
def test_a_redirect_is_resolved_in_each_form_that_mesos_and_proxies_use(location, target):
    assert MASTER.redirected(location).url == target


def test_a_scheme_relative_redirect_keeps_https():
    secure = Endpoint.parse("https://a:5050/x")
    assert secure.redirected("//b:5051/x").url == "https://b:5051/x"


def test_a_redirect_from_https_to_http_is_not_followed():
    with pytest.raises(RedirectFailed, match="not https"):
        Endpoint.parse("https://a:5050/x").redirected("http://a:5050/x")


def test_a_redirect_to_nonsense_says_who_sent_it():
    with pytest.raises(RedirectFailed, match="10.0.0.1:5050"):
        MASTER.redirected("gopher://x")


def test_secrets_are_in_no_repr():
    assert "hush" not in repr(Credentials("me", "hush"))
    assert "me" in repr(Credentials("me", "hush"))
    assert "hush" not in repr(BearerToken("hush"))
    assert "hush" not in repr(RequestWriter(MASTER, credentials=BearerToken("hush")))


def test_a_request_carries_host_credentials_and_length():
    writer = RequestWriter(MASTER, headers=(("Mesos-Stream-Id", "s"),), credentials=Credentials("me", "hush"))
    assert writer.post(b"{}", "application/json") == (
        b"POST /api/v1/scheduler HTTP/1.1\r\nHost: 10.0.0.1:5050\r\nAuthorization: Basic bWU6aHVzaA==\r\n"
        b"Mesos-Stream-Id: s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert writer.head("PUT", "/x?offset=1", 5).startswith(b"PUT /x?offset=1 HTTP/1.1\r\nHost: 10.0")


@pytest.mark.parametrize("name", ["X\r\nY", "", "A:"])
def test_a_header_name_that_would_break_the_request_is_refused(name):
    with pytest.raises(ValueError, match="cannot be sent"):
        RequestWriter(MASTER, headers=((name, "v"),))


def test_a_token_with_a_line_break_is_refused_without_being_shown():
    with pytest.raises(ValueError, match="Authorization") as caught:
        RequestWriter(MASTER, credentials=BearerToken("hush\r\nEvil: 1"))
    assert "hush" not in str(caught.value)


def test_a_path_with_spaces_is_refused():
    with pytest.raises(ValueError, match="not a path"):
        RequestWriter(MASTER).head("GET", "/a b", 0)
