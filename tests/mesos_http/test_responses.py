import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_http.errors import ProtocolError
from mesos_http.http1 import END, Head, Response, ResponseParser, ResponseReader, parse_head

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nDate: Fri, 20 Nov 2026 19:23:59 GMT\r\nContent-Length: 0\r\n\r\n"
BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n\r\n"
    b"Failed: \xe2\x82\xac!"
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;name=value\r\nhello\r\n01\r\n,\r\nA\r\n 0123456\r\n\r\n0\r\nX-Sum: 1\r\n\r\n"
)
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nas long as it lasts"

MANY = ACCEPTED + BAD_REQUEST + CONTINUE + CHUNKED + NO_CONTENT + ACCEPTED + ACCEPTED + LAST
EXPECTED = [
    (202, b""),
    (400, b"Failed: \xe2\x82\xac!"),
    (200, b"hello, 0123456\r\n"),
    (204, b""),
    (202, b""),
    (202, b""),
    (503, b"no"),
]


def fed(parser: ResponseParser | ResponseReader, data: bytes | None) -> list[object]:
    """What it gives; raises what it has found wrong. None: the connection has ended."""
    parts = parser.eof() if data is None else parser.feed(data)
    if parser.error is not None:
        raise parser.error
    return list(parts)


def read(pieces: list[bytes], *, eof: bool = False) -> list[tuple[int, bytes]]:
    reader = ResponseReader()
    responses: list[Response] = []
    for piece in pieces:
        responses += reader.feed(piece)
    if eof:
        responses += reader.eof()
    assert reader.error is None
    return [(response.status, response.body) for response in responses]


def cut(data: bytes, *points: int) -> list[bytes]:
    edges = [0, *sorted(points), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def test_pipelined_responses_are_read_in_order():
    assert read([MANY]) == EXPECTED


def test_responses_may_be_cut_at_any_byte():
    for point in range(len(MANY)):
        assert read(cut(MANY, point)) == EXPECTED


def test_responses_may_come_byte_by_byte():
    assert read([MANY[i : i + 1] for i in range(len(MANY))]) == EXPECTED


@given(st.lists(st.integers(0, len(MANY)), max_size=20))
def test_responses_may_be_cut_anywhere_more_than_once(points):
    assert read(cut(MANY, *points)) == EXPECTED


def test_a_body_may_end_with_the_connection():
    for point in range(len(UNTIL_CLOSE)):
        assert read(cut(UNTIL_CLOSE, point), eof=True) == [(200, b"as long as it lasts")]


def test_a_body_is_given_piece_by_piece_before_it_is_complete():
    parser = ResponseParser()
    head, first = parser.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf of")
    assert isinstance(head, Head)
    assert head.status == 200
    assert first == b"half of"
    assert parser.feed(b" a chunk.\r\n0\r\n\r\n") == [b" a chunk.", END]


def test_headers_are_found_by_their_name_in_lower_case():
    head = parse_head(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: //10.0.0.1:5050/x\r\nA: 1\r\na:  2 ")
    assert head.header("location") == "//10.0.0.1:5050/x"
    assert head.headers[1:] == (("a", "1"), ("a", "2"))
    assert head.header("none", "?") == "?"
    assert head.reason == "Temporary Redirect"


@pytest.mark.parametrize(
    ("head", "close"),
    [
        (b"HTTP/1.1 200 OK", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close", True),
        (b"HTTP/1.0 200 OK", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive", False),
        (b"HTTP/1.1 200", False),
    ],
)
def test_whether_the_connection_goes_on_is_read_from_the_head(head, close):
    assert parse_head(head).close is close


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", "not an HTTP response: S"),
        (b"\x15\x03\x01\x00\x02\x02", "not an HTTP response"),
        (b"HTTP/2 200 OK\r\n\r\n", "not an HTTP response: HTTP/2"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "not an HTTP response"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not an HTTP response"),
        (b"HTTP/1.1 099 OK\r\n\r\n", "not an HTTP response"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "not a header: no colon"),
        (b"HTTP/1.1 200 OK\r\nName : x\r\n\r\n", "not a header"),
        (b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n", "not a header"),
        (b"HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\r\n", "not a header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not a Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n", "not a Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "not a Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n", "not a Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 10**19, "not a Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 10**18, "not a Content-Length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer coding that was not asked for"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "not a chunk size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "not a chunk size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\n", "not a chunk size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 9000, "not a chunk size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "longer than it says"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "longer than 65536"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "longer than 65536"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\nmore", "bytes after the last"),
    ],
)
def test_what_is_no_http_is_refused_with_a_clear_error_however_it_is_cut(data, says):
    with pytest.raises(ProtocolError, match=says):
        fed(ResponseParser(), data)
    parser = ResponseParser()
    with pytest.raises(ProtocolError, match=says):
        for at in range(0, len(data), 1 if len(data) < 1000 else 500):
            fed(parser, data[at : at + (1 if len(data) < 1000 else 500)])
    with pytest.raises(ProtocolError, match=says):
        fed(parser, b"H")
    with pytest.raises(ProtocolError, match=says):
        fed(parser, None)


def test_garbage_after_a_response_does_not_cost_that_response():
    reader = ResponseReader()
    assert [response.status for response in reader.feed(ACCEPTED + b"garbage")] == [202]
    assert "garbage" in str(reader.error)
    assert reader.feed(ACCEPTED) == []


def test_an_error_shows_only_the_beginning_of_the_garbage_and_no_control_characters():
    with pytest.raises(ProtocolError) as caught:
        fed(ResponseParser(), b"\x1b[31mred" + b"x" * 5000)
    assert len(str(caught.value)) < 200
    assert "\x1b" not in str(caught.value)


def test_a_body_longer_than_the_limit_is_refused_before_it_is_kept():
    reader = ResponseReader(max_body=10)
    assert reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")
    with pytest.raises(ProtocolError, match="longer than 10 bytes"):
        fed(reader, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n0123456789A")


def test_an_end_in_the_middle_of_a_response_is_an_error_that_says_where():
    for data in (ACCEPTED, BAD_REQUEST, CHUNKED):
        for point in range(1, len(data)):
            reader = ResponseReader()
            assert reader.feed(data[:point]) == []
            with pytest.raises(ProtocolError, match="in the middle of a response"):
                fed(reader, None)


def test_an_end_between_responses_is_no_error():
    reader = ResponseReader()
    fed(reader, ACCEPTED)
    assert fed(reader, None) == []


@given(st.binary(max_size=200), st.integers(1, 50))
def test_whatever_comes_in_is_responses_or_a_protocol_error(data, size):
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        whole = start + data
        parser = ResponseParser()
        try:
            for at in range(0, len(whole), size):
                fed(parser, whole[at : at + size])
            fed(parser, None)
        except ProtocolError:
            pass


def test_reading_takes_time_linear_in_the_size_of_a_head_that_comes_byte_by_byte():
    import time

    def seconds(size: int) -> float:
        parser = ResponseParser(max_head=10**6)
        parser.feed(b"HTTP/1.1 200 OK\r\nX: ")
        start = time.process_time()
        for _ in range(size):
            parser.feed(b"x")
        return time.process_time() - start

    assert seconds(80_000) < 12 * max(seconds(10_000), 0.002)


@pytest.mark.parametrize("status", [101, 199, 204, 304])
def test_a_status_that_has_no_body_ends_with_its_head_whatever_that_says(status):
    head = b"HTTP/1.1 %d Short\r\nContent-Length: 2\r\n\r\n" % status
    assert read([head + ACCEPTED]) == ([] if status < 200 else [(status, b"")]) + [(202, b"")]


@pytest.mark.parametrize("status", [200, 203, 205, 303, 305, 599])
def test_any_other_status_has_the_body_that_its_head_says(status):
    assert read([b"HTTP/1.1 %d Long\r\nContent-Length: 2\r\n\r\nno" % status + ACCEPTED]) == [
        (status, b"no"),
        (202, b""),
    ]
