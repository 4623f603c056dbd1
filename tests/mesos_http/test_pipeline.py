import asyncio
import gc

import pytest

from mesos_http import CallPipeline, ConnectFailed, ConnectionLost, Credentials, Endpoint, NotSent
from mesos_http.connecting import Timeouts
from tests.support.raw_server import in_pieces, raw_server, response


async def accept(request, writer):
    writer.write(response(202))


async def echo(request, writer):
    writer.write(response(200, request.body))


async def outcomes(answers):
    return await asyncio.gather(*answers, return_exceptions=True)


async def test_answers_come_in_the_order_of_the_calls_over_one_connection():
    async with raw_server(echo) as server:
        pipeline = CallPipeline(
            server.endpoint, headers=(("Mesos-Stream-Id", "s-1"),), credentials=Credentials("me", "hush")
        )
        answers = [pipeline.send(b"%d" % n, "application/json") for n in range(3000)]
        assert [answer.body for answer in await asyncio.gather(*answers)] == [b"%d" % n for n in range(3000)]
        assert server.connections == 1
        assert {request.headers["mesos-stream-id"] for request in server.requests} == {"s-1"}
        assert {request.headers["authorization"] for request in server.requests} == {"Basic bWU6aHVzaA=="}
        assert "hush" not in repr(pipeline)
        pipeline.close()


async def test_calls_are_sent_without_waiting_for_answers_but_no_more_than_the_limit():
    release = asyncio.Event()

    async def hold(request, writer):
        if request.body == b"0":
            await release.wait()
        writer.write(response(202))

    async with raw_server(hold) as server:
        pipeline = CallPipeline(server.endpoint, max_in_flight=10)
        answers = [pipeline.send(b"%d" % n) for n in range(25)]
        while pipeline.in_flight < 10:
            await asyncio.sleep(0.001)
        assert (pipeline.in_flight, pipeline.queued) == (10, 15)
        release.set()
        assert {answer.status for answer in await asyncio.gather(*answers)} == {202}
        assert (pipeline.in_flight, pipeline.queued) == (0, 0)
        pipeline.close()


@pytest.mark.parametrize("size", [1, 3, 17])
async def test_answers_may_be_cut_at_any_byte(size):
    async def dribble(request, writer):
        await in_pieces(writer, response(400, b"Failed to validate " + request.body), size)

    async with raw_server(dribble) as server:
        pipeline = CallPipeline(server.endpoint)
        answers = await asyncio.gather(*(pipeline.send(b"%d" % n) for n in range(5)))
        assert [answer.text for answer in answers] == [f"Failed to validate {n}" for n in range(5)]
        pipeline.close()


async def test_refusals_and_redirects_are_answers_like_any_other():
    async def refuse(request, writer):
        writer.write(response(307, headers="Location: //other:5050/x\r\n"))

    async with raw_server(refuse) as server:
        pipeline = CallPipeline(server.endpoint)
        answer = await pipeline.send(b"x")
        assert (answer.status, answer.header("location")) == (307, "//other:5050/x")
        pipeline.close()


async def test_what_was_in_flight_when_the_connection_broke_is_lost_and_the_next_call_opens_another():
    async def half(request, writer):
        if request.body == b"die":
            writer.transport.abort()
        else:
            writer.write(response(202))

    async with raw_server(half) as server:
        pipeline = CallPipeline(server.endpoint)
        first = await outcomes([pipeline.send(b"ok"), pipeline.send(b"die"), pipeline.send(b"late")])
        assert first[0].status == 202
        assert [type(error) for error in first[1:]] == [ConnectionLost, ConnectionLost]
        assert (await pipeline.send(b"again")).status == 202
        assert server.connections == 2
        pipeline.close()


async def test_what_was_not_yet_written_goes_over_the_next_connection():
    async def close_after_one(request, writer):
        writer.write(response(202, headers="Connection: close\r\n"))

    async with raw_server(close_after_one) as server:
        pipeline = CallPipeline(server.endpoint, max_in_flight=1)
        answers = await outcomes([pipeline.send(b"%d" % n) for n in range(5)])
        assert [answer.status for answer in answers] == [202] * 5
        assert server.connections == 5
        pipeline.close()


async def test_an_announced_close_fails_the_calls_behind_it_at_once():
    async def close_after_one(request, writer):
        writer.write(response(202, headers="Connection: close\r\n"))
        await writer.drain()
        await asyncio.sleep(30)

    async with raw_server(close_after_one) as server:
        pipeline = CallPipeline(server.endpoint)
        answers = await asyncio.wait_for(outcomes([pipeline.send(b"1"), pipeline.send(b"2")]), 5)
        assert answers[0].status == 202
        assert isinstance(answers[1], ConnectionLost)
        pipeline.close()


async def test_an_idle_connection_that_the_server_closed_costs_no_call():
    async with raw_server(accept) as server:
        pipeline = CallPipeline(server.endpoint)
        assert (await pipeline.send(b"1")).status == 202
        server.drop_connections()
        await asyncio.sleep(0.05)
        assert (await pipeline.send(b"2")).status == 202
        assert server.connections == 2
        pipeline.close()


async def test_garbage_instead_of_an_answer_loses_the_calls_in_flight_with_a_clear_error():
    async def garbage(request, writer):
        writer.write(response(202) + b"what?\r\n\r\n")

    async with raw_server(garbage) as server:
        pipeline = CallPipeline(server.endpoint)
        answers = await outcomes([pipeline.send(b"1"), pipeline.send(b"2")])
        assert answers[0].status == 202
        assert isinstance(answers[1], ConnectionLost)
        assert "not an HTTP response: what?" in str(answers[1])
        pipeline.close()


async def test_a_server_that_falls_silent_is_given_up_after_the_time_limit():
    async def silent(request, writer):
        if request.body == b"1":
            writer.write(response(202))

    async with raw_server(silent) as server:
        pipeline = CallPipeline(server.endpoint, timeouts=Timeouts(connect=5, response=0.1))
        answers = await asyncio.wait_for(outcomes([pipeline.send(b"1"), pipeline.send(b"2")]), 5)
        assert answers[0].status == 202
        assert "no answer within 0.1 s" in str(answers[1])
        pipeline.close()


async def test_a_slow_but_steady_server_is_not_given_up():
    async def slow(request, writer):
        await asyncio.sleep(0.1)
        writer.write(response(202))

    async with raw_server(slow) as server:
        pipeline = CallPipeline(server.endpoint, timeouts=Timeouts(connect=5, response=0.5))
        answers = await outcomes([pipeline.send(b"x") for _ in range(8)])
        assert [answer.status for answer in answers] == [202] * 8
        pipeline.close()


async def test_nobody_listening_fails_each_call_that_waits():
    async with raw_server(accept) as server:
        endpoint = server.endpoint
    pipeline = CallPipeline(endpoint)
    answers = await outcomes([pipeline.send(b"1"), pipeline.send(b"2")])
    assert [type(error) for error in answers] == [ConnectFailed, ConnectFailed]
    assert answers[0] is not answers[1]
    pipeline.close()


async def test_closing_fails_what_has_no_answer_and_what_comes_after():
    async def silent(request, writer):
        await asyncio.sleep(30)

    async with raw_server(silent) as server:
        pipeline = CallPipeline(server.endpoint, max_in_flight=1)
        answers = [pipeline.send(b"1"), pipeline.send(b"2")]
        while not server.requests:
            await asyncio.sleep(0.001)
        pipeline.close("the subscription ended")
        answers.append(pipeline.send(b"3"))
        got = await outcomes(answers)
        assert [type(error) for error in got] == [ConnectionLost] * 3
        assert str(got[0]) == "the subscription ended"
        assert str(got[2]) == "the pipeline is closed"
        assert server.connections == 1


async def test_an_answer_that_nobody_waits_for_any_more_fails_in_silence(caplog):
    async with raw_server(accept) as server:
        pipeline = CallPipeline(server.endpoint)
        pipeline.send(b"x", "application/json")
        pipeline.close()
        pipeline.send(b"y", "application/json")
        gc.collect()
        await asyncio.sleep(0)
    assert not caplog.records


async def test_a_call_cancelled_before_it_is_written_is_not_sent():
    async with raw_server(echo) as server:
        pipeline = CallPipeline(server.endpoint)
        first, second = pipeline.send(b"1"), pipeline.send(b"2")
        first.cancel()
        assert (await second).body == b"2"
        assert [request.body for request in server.requests] == [b"2"]
        pipeline.close()


async def test_a_cancelled_answer_does_not_shift_the_ones_behind_it():
    release = asyncio.Event()

    async def hold(request, writer):
        await release.wait()
        writer.write(response(200, request.body))

    async with raw_server(hold) as server:
        pipeline = CallPipeline(server.endpoint)
        first, second = pipeline.send(b"1"), pipeline.send(b"2")
        while not server.requests:
            await asyncio.sleep(0.001)
        first.cancel()
        release.set()
        assert (await second).body == b"2"
        pipeline.close()


async def test_an_answer_to_no_call_closes_the_connection():
    async def chatty(request, writer):
        writer.write(response(202) + response(408))

    async with raw_server(chatty) as server:
        pipeline = CallPipeline(server.endpoint)
        assert (await pipeline.send(b"1")).status == 202
        assert pipeline.in_flight == 0
        assert (await pipeline.send(b"2")).status == 202
        assert server.connections == 2
        pipeline.close()


async def test_calls_go_over_a_domain_socket(tmp_path):
    async with raw_server(accept, socket_path=str(tmp_path / "s")) as server:
        pipeline = CallPipeline(server.endpoint)
        assert (await pipeline.send(b"1")).status == 202
        pipeline.close()


async def test_pipelined_calls_are_many_times_faster_than_one_at_a_time():
    async def slow_network(request, writer):  # each answer takes a millisecond of somebody else's time
        loop = asyncio.get_running_loop()
        loop.call_later(0.001, writer.write, response(202))

    async with raw_server(slow_network) as server:
        pipeline = CallPipeline(server.endpoint)
        loop = asyncio.get_running_loop()
        await pipeline.send(b"warm")
        start = loop.time()
        for _ in range(100):
            await pipeline.send(b"x")
        one_at_a_time = loop.time() - start
        start = loop.time()
        await asyncio.gather(*(pipeline.send(b"x") for _ in range(100)))
        assert loop.time() - start < one_at_a_time / 4
        pipeline.close()


def test_a_bad_address_is_noticed_when_the_pipeline_is_made():
    with pytest.raises(ValueError, match="not a path"):
        CallPipeline(Endpoint("http", "h", 1, "/a b")).send(b"")


async def test_what_may_be_sent_no_more_is_not_sent_however_long_it_has_waited():
    allowed = True

    async def slow(request, writer):
        nonlocal allowed
        allowed = False  # while the second waits for its place
        writer.write(response(202))

    async with raw_server(slow) as server:
        pipeline = CallPipeline(server.endpoint, max_in_flight=1, may_write=lambda: allowed)
        first, second = [pipeline.send(body) for body in (b"1", b"2")]
        assert (await first).status == 202
        with pytest.raises(NotSent):
            await second
        with pytest.raises(NotSent):
            await pipeline.send(b"3")
        allowed = True
        assert (await pipeline.send(b"4")).status == 202
        assert [request.body for request in server.requests] == [b"1", b"4"]
        pipeline.close()
