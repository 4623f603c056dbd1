import asyncio
import contextlib
from dataclasses import replace

import pytest

from mesos_http import (
    ApiError,
    ConnectFailed,
    Credentials,
    Endpoint,
    NotSent,
    RedirectFailed,
    StreamBroken,
    Subscription,
)
from mesos_http import subscription as subscription_module
from mesos_http.connecting import Timeouts
from mesos_v1 import recordio
from tests.support.raw_server import STREAM_HEAD, chunk, in_pieces, raw_server, records_of, response

RECORDS = [b"first", b"", b"x" * 3000, b'{"type": "HEARTBEAT"}', "€".encode()]
STREAM = b"".join(map(recordio.encode, RECORDS))
BODY = STREAM_HEAD + b"".join(chunk(STREAM[i : i + 700]) for i in range(0, len(STREAM), 700))


async def all_records(subscription: Subscription) -> tuple[list[bytes], str]:
    records: list[bytes] = []
    try:
        async for record in records_of(subscription):
            records.append(record)  # noqa: PERF401 - what came before an error counts
    except StreamBroken as broken:
        return records, broken.reason
    return records, ""


async def test_records_come_out_as_they_went_in_and_the_stream_id_is_known():
    async def handler(request, writer):
        writer.write(BODY)

    async with raw_server(handler) as server:
        subscription = await Subscription.open(
            server.endpoint,
            b"subscribe!",
            content_type="application/json",
            credentials=Credentials("me", "hush"),
        )
        got = []
        async for record in records_of(subscription):
            got.append(record)
            if len(got) == len(RECORDS):
                subscription.close()
        assert got == RECORDS
        assert subscription.stream_id == "stream-1"
        assert subscription.endpoint == server.endpoint
    (request,) = server.requests
    assert request.method == "POST"
    assert request.path == "/api/v1/scheduler"
    assert request.body == b"subscribe!"
    assert request.headers["accept"] == request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Basic bWU6aHVzaA=="


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1000])
async def test_chunks_and_records_may_be_cut_at_any_byte(size):
    async def handler(request, writer):
        await in_pieces(writer, BODY + b"0\r\n\r\n", size)

    async with raw_server(handler) as server:
        subscription = await Subscription.open(server.endpoint, b"")
        assert await all_records(subscription) == (RECORDS, "the other side ended the stream")


async def test_batches_give_everything_in_order():
    async def handler(request, writer):
        await in_pieces(writer, BODY + b"0\r\n\r\n", 50)

    async with raw_server(handler) as server:
        subscription = await Subscription.open(server.endpoint, b"")
        got: list[bytes] = []
        with contextlib.suppress(StreamBroken):
            async for batch in subscription.batches():
                got.extend(batch)
        assert got == RECORDS


@pytest.mark.parametrize(
    ("body", "records", "says"),
    [
        (STREAM_HEAD + chunk(b"5\nhello"), [b"hello"], "closed by the other side"),
        (STREAM_HEAD + chunk(b"5\nhel"), [], "in the middle of a record"),
        (STREAM_HEAD + chunk(b"5\nhello5"), [b"hello"], "in the middle of a record"),
        (STREAM_HEAD + chunk(b"5\nhel") + b"0\r\n\r\n", [], "in the middle of a record"),
        (STREAM_HEAD + chunk(b"5\nhello") + b"0\r\n\r\n", [b"hello"], "ended the stream"),
        (STREAM_HEAD + chunk(b"2\nokgarbage"), [b"ok"], "expected the length"),
        (STREAM_HEAD + chunk(b"99999999999\n"), [], "limit"),
        (STREAM_HEAD + b"zz\r\n", [], "not a chunk size"),
    ],
)
async def test_however_a_stream_ends_it_says_how_after_the_last_whole_record(body, records, says):
    async def handler(request, writer):
        writer.write(body)
        writer.close()

    async with raw_server(handler) as server:
        got, reason = await all_records(await Subscription.open(server.endpoint, b""))
        assert got == records
        assert says in reason


async def test_garbage_in_a_stream_that_stays_open_ends_it_at_once():
    async def handler(request, writer):
        writer.write(STREAM_HEAD + chunk(b"2\nokgarbage\n"))
        await writer.drain()
        await asyncio.sleep(30)

    async with raw_server(handler) as server:
        got, reason = await asyncio.wait_for(all_records(await Subscription.open(server.endpoint, b"")), 5)
        assert got == [b"ok"]
        assert "expected the length" in reason


async def test_a_redirect_is_followed_with_credentials_and_the_new_address_is_known():
    async def leader(request, writer):
        writer.write(BODY)

    async with raw_server(leader) as second:

        async def follower(request, writer):
            writer.write(response(307, headers=f"Location: //{second.endpoint.authority}{request.path}\r\n"))

        async with raw_server(follower) as first:
            subscription = await Subscription.open(
                first.endpoint, b"s", credentials=Credentials("me", "hush")
            )
            assert subscription.endpoint == second.endpoint
            subscription.close()
    assert second.requests[0].body == b"s"
    assert "authorization" in second.requests[0].headers


@pytest.mark.parametrize(
    ("given", "to", "others", "is_followed"),
    [
        ("127.0.0.1", "127.0.0.1", (), True),
        ("127.0.0.1", "localhost", (), False),  # it is the name's owner who says where that leads
        ("127.0.0.1", "localhost", ("localhost",), True),
        ("localhost", "127.0.0.1", (), True),  # an address of the host that was given
        ("127.0.0.1", "127.0.0.2", (), False),
        ("127.0.0.1", "127.0.0.2", ("no.such.name.invalid", "127.0.0.2"), True),
    ],
)
async def test_credentials_are_told_to_no_host_that_was_not_given(given, to, others, is_followed):
    async def leader(request, writer):
        writer.write(BODY)

    async def follower(request, writer):
        port = second.endpoint.port
        writer.write(response(307, headers=f"Location: //{to}:{port}{request.path}\r\n"))

    async def subscribe(credentials):
        subscription = await Subscription.open(
            replace(first.endpoint, host=given), b"s", credentials=credentials, trusted=others
        )
        subscription.close()

    async with raw_server(leader, host="0.0.0.0") as second, raw_server(follower) as first:
        if is_followed:
            await subscribe(Credentials("me", "hush"))
            assert "authorization" in second.requests[0].headers
        else:
            with pytest.raises(RedirectFailed, match=f"to {to}:.* not one of the addresses .* name it too"):
                await subscribe(Credentials("me", "hush"))
            assert second.requests == []
            await subscribe(None)
            assert "authorization" not in second.requests[0].headers


async def test_a_circle_of_redirects_is_noticed():
    async def handler(request, writer):
        path = "/b" if request.path == "/a" else "/a"
        writer.write(response(307, headers=f"Location: {path}\r\n"))

    async with raw_server(handler) as server:
        with pytest.raises(RedirectFailed, match="in a circle"):
            await Subscription.open(server.endpoint.with_path("/a"), b"")


async def test_redirects_have_a_bound():
    async def handler(request, writer):
        writer.write(response(307, headers=f"Location: {request.path}x\r\n"))

    async with raw_server(handler) as server:
        with pytest.raises(RedirectFailed, match="more than 3 redirects"):
            await Subscription.open(server.endpoint, b"", follow_redirects=3)
        with pytest.raises(ApiError) as caught:
            await Subscription.open(server.endpoint, b"", follow_redirects=0)
        assert caught.value.not_leader


async def test_a_redirect_without_location_is_an_error():
    async def handler(request, writer):
        writer.write(response(307))

    async with raw_server(handler) as server:
        with pytest.raises(RedirectFailed, match="does not say where to"):
            await Subscription.open(server.endpoint, b"")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b""),
        (403, b"Not authorized to use role 'x'"),
        (503, b"Agent has not finished recovery"),
        (400, b"Failed to validate scheduler::Call: \xe2\x82\xac"),
        (500, b"\xff\xfe not text"),
    ],
)
async def test_any_other_answer_is_an_api_error_with_its_body(status, body):
    async def handler(request, writer):
        await in_pieces(writer, response(status, body), 9)

    async with raw_server(handler) as server:
        with pytest.raises(ApiError) as caught:
            await Subscription.open(server.endpoint, b"", credentials=Credentials("me", "hush"))
        assert caught.value.status == status
        assert caught.value.body.encode()[:5] == body.decode("utf-8", "replace").encode()[:5]
        assert "hush" not in str(caught.value)


async def test_an_error_whose_body_breaks_off_is_still_that_error():
    async def handler(request, writer):
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 50\r\n\r\nNot re")
        writer.close()

    async with raw_server(handler) as server:
        with pytest.raises(ApiError, match="503"):
            await Subscription.open(server.endpoint, b"")


async def test_nobody_listening_is_a_failed_connect_that_names_the_address():
    async with raw_server(lambda *_: asyncio.sleep(0)) as server:
        endpoint = server.endpoint
    with pytest.raises(ConnectFailed, match=rf"no connection to 127.0.0.1:{endpoint.port}"):
        await Subscription.open(endpoint, b"")


async def test_a_server_that_does_not_answer_is_given_up():
    async def handler(request, writer):
        await asyncio.sleep(30)

    async with raw_server(handler) as server:
        with pytest.raises(StreamBroken, match="no answer within 0.05 s"):
            await Subscription.open(server.endpoint, b"", timeouts=Timeouts(connect=5, response=0.05))


@pytest.mark.parametrize(
    ("answer", "says"),
    [(b"", "without an answer"), (b"HTTP/1.1 2", "closed"), (b"SSH-2.0-x\r\n", "not an HTTP response")],
)
async def test_a_server_that_answers_nothing_or_nonsense_is_a_broken_stream(answer, says):
    async def handler(request, writer):
        writer.write(answer)
        writer.close()

    async with raw_server(handler) as server:
        with pytest.raises(StreamBroken, match=says):
            await Subscription.open(server.endpoint, b"")


async def test_a_reset_connection_is_a_broken_stream():
    async def handler(request, writer):
        writer.write(STREAM_HEAD + chunk(b"5\nhello"))
        await writer.drain()
        await asyncio.sleep(30)

    async with raw_server(handler) as server:
        subscription = await Subscription.open(server.endpoint, b"")
        server.drop_connections()
        got, reason = await all_records(subscription)
        assert got in ([b"hello"], [])
        assert reason


async def test_closing_ends_the_records_without_an_error():
    async def handler(request, writer):
        writer.write(STREAM_HEAD + chunk(b"5\nhello"))

    async with raw_server(handler) as server:
        subscription = await Subscription.open(server.endpoint, b"")
        reading = asyncio.ensure_future(all_records(subscription))
        await asyncio.sleep(0)
        subscription.close()
        subscription.close()
        _got, reason = await reading
        assert reason == ""


async def test_a_slow_reader_holds_the_sender_back(monkeypatch):
    record = recordio.encode(b"x" * 65536)
    sent = 0

    async def handler(request, writer):
        nonlocal sent
        writer.write(STREAM_HEAD)
        for _ in range(800):
            writer.write(chunk(record))
            await writer.drain()
            sent += 1
        writer.write(b"0\r\n\r\n")

    async with raw_server(handler) as server:
        subscription = await Subscription.open(server.endpoint, b"")
        while True:  # until the sender stands still
            before = sent
            await asyncio.sleep(0.05)
            if sent and sent == before:
                break
        assert sent < 800
        assert subscription._stream._waiting < subscription_module.HIGH_WATER + 2**20
        got, _reason = await all_records(subscription)
        assert len(got) == 800


async def test_a_domain_socket_is_an_endpoint_like_any_other(tmp_path):
    async def handler(request, writer):
        writer.write(BODY)

    async with raw_server(handler, socket_path=str(tmp_path / "agent.sock")) as server:
        endpoint = Endpoint.parse(server.endpoint.url)
        subscription = await Subscription.open(endpoint, b"")
        assert [await anext(records_of(subscription))] == RECORDS[:1]
        subscription.close()


async def test_a_socket_path_that_is_too_long_is_used_in_its_relative_form(tmp_path, monkeypatch):
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    monkeypatch.chdir(folder)

    async def handler(request, writer):
        writer.write(BODY)

    async with raw_server(handler, socket_path="agent.sock"):
        subscription = await Subscription.open(Endpoint.unix(str(folder / "agent.sock"), "/"), b"")
        subscription.close()
    monkeypatch.chdir("/")
    with pytest.raises(ConnectFailed, match="longer than 107 bytes"):
        await Subscription.open(Endpoint.unix(str(folder / "agent.sock"), "/"), b"")


async def test_a_subscribe_that_may_be_sent_no_more_when_there_is_a_connection_is_not_sent():
    async def handler(request, writer):
        writer.write(BODY)

    async with raw_server(handler) as server:
        with pytest.raises(NotSent):
            await Subscription.open(server.endpoint, b"", may_write=lambda: False)
        assert not server.requests
