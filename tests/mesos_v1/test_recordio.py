"""RecordIO: the same records however the bytes are cut; malformed, too long and truncated told apart."""

import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_v1.recordio import (
    Decoder,
    MalformedLength,
    RecordIOError,
    RecordTooLong,
    TruncatedRecord,
    encode,
)

RECORDS = [b"", b"x", b"hello\nworld", b"7\n", bytes(range(256)) * 2, b"0"]
STREAM = b"".join(encode(record) for record in RECORDS)


def run(pieces, **options):
    """Feed the pieces; return (records, name of the error or None)."""
    decoder = Decoder(**options)
    records = []
    try:
        for piece in pieces:
            records += decoder.feed(piece)
        decoder.finish()
    except RecordIOError as error:
        return records, type(error).__name__
    return records, None


def test_a_record_is_framed_by_its_length_in_decimal_and_a_newline():
    assert encode(b"hello") == b"5\nhello"
    assert encode(b"") == b"0\n"


def test_records_come_out_the_same_however_the_stream_is_cut(cuts):
    for pieces in cuts(STREAM):
        assert run(pieces) == (RECORDS, None)


@pytest.mark.parametrize("size", [1, 2, 3, 17, 513])
def test_records_come_out_the_same_in_pieces_of_equal_size(size):
    pieces = [STREAM[i : i + size] for i in range(0, len(STREAM), size)]
    assert run(pieces) == (RECORDS, None)


def test_bytearrays_and_memoryviews_are_read_like_bytes():
    decoder = Decoder()
    assert decoder.feed(bytearray(b"3\nab")) == []
    assert decoder.feed(memoryview(b"c2\nde")) == [b"abc", b"de"]
    assert all(type(record) is bytes for record in Decoder().feed(bytearray(b"1\nx")))


@pytest.mark.parametrize(
    "stream",
    [
        b"x",
        b"-1\n",
        b"+1\n",
        b" 1\nx",
        b"1 \nx",
        b"\n",
        b"1_0\n",
        b"0x5\nhello",
        b"5\r\nhello",
        b"1.0\nx",
        b"\xd9\xa1\n",
    ],
)
def test_garbage_where_a_length_must_be_is_malformed(stream, cuts):
    for pieces in cuts(stream):
        assert run(pieces) == ([], "MalformedLength")


def test_a_length_with_more_digits_than_64_bits_have_is_malformed_even_without_a_newline(cuts):
    for pieces in cuts(b"0" * 21):
        assert run(pieces) == ([], "MalformedLength")


@pytest.mark.parametrize("stream", [b"101\n", b"99999999999999999999\n", b"101\n" + b"x" * 101])
def test_a_record_above_the_limit_is_too_long(stream, cuts):
    for pieces in cuts(stream):
        assert run(pieces, max_record_bytes=100) == ([], "RecordTooLong")


def test_the_first_byte_that_is_wrong_says_what_is_wrong_however_the_bytes_are_cut(cuts):
    for pieces in cuts(b"9999x\n"):
        assert run(pieces, max_record_bytes=100) == ([], "RecordTooLong")
    for pieces in cuts(b"99x99\n"):
        assert run(pieces, max_record_bytes=100) == ([], "MalformedLength")


def test_a_length_above_the_limit_is_refused_before_its_newline():
    with pytest.raises(RecordTooLong, match="limit is 100"):
        Decoder(max_record_bytes=100).feed(b"1010")


def test_a_record_of_exactly_the_limit_passes():
    assert run([encode(b"x" * 100)], max_record_bytes=100) == ([b"x" * 100], None)


@pytest.mark.parametrize("stream", [b"5\nhell", b"5\n", b"5", b"12"])
def test_a_stream_that_ends_inside_a_record_is_truncated(stream, cuts):
    for pieces in cuts(stream):
        assert run(pieces) == ([], "TruncatedRecord")


def test_the_error_says_how_much_of_the_record_was_there():
    decoder = Decoder()
    decoder.feed(b"5\nhel")
    with pytest.raises(TruncatedRecord, match="3 of the 5 bytes"):
        decoder.finish()
    decoder = Decoder()
    decoder.feed(b"1\nx42")
    with pytest.raises(TruncatedRecord, match="'42'"):
        decoder.finish()


def test_records_before_an_error_are_never_lost(cuts):
    for pieces in cuts(encode(b"one") + encode(b"two") + b"garbage"):
        assert run(pieces) == ([b"one", b"two"], "MalformedLength")


def test_a_decoder_knows_at_once_that_its_stream_is_broken():
    decoder = Decoder()
    assert decoder.feed(b"1\nxgarbage") == [b"x"]
    assert decoder.failed
    with pytest.raises(MalformedLength):
        decoder.finish()


def test_a_broken_decoder_stays_broken():
    decoder = Decoder()
    with pytest.raises(MalformedLength):
        decoder.feed(b"?")
    with pytest.raises(MalformedLength):
        decoder.feed(encode(b"fine"))


def test_a_stream_that_ends_between_records_is_complete():
    decoder = Decoder()
    decoder.finish()
    decoder.feed(encode(b"x"))
    decoder.finish()
    assert decoder.pending == 0


@given(st.lists(st.binary(max_size=60)), st.lists(st.integers(0, 500)))
def test_any_records_survive_any_cuts(records, places):
    stream = b"".join(encode(record) for record in records)
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert run(pieces) == (records, None)


lengthy = st.lists(
    st.sampled_from([b"0", b"1", b"5", b"9", b"\n", b"x", b"49\n", b"2\nab"]), max_size=30
).map(b"".join)


@given(st.binary(max_size=80) | lengthy, st.lists(st.integers(0, 80)))
def test_any_bytes_give_the_same_records_and_error_however_they_are_cut(stream, places):
    whole = run([stream], max_record_bytes=50)
    edges = sorted({0, len(stream), *(min(place, len(stream)) for place in places)})
    assert run([stream[a:b] for a, b in pairwise(edges)], max_record_bytes=50) == whole
    assert run([stream[i : i + 1] for i in range(len(stream))], max_record_bytes=50) == whole


def test_a_large_record_in_small_pieces_takes_linear_time_and_bounded_memory():
    def seconds(size):
        data = encode(b"x" * size)
        pieces = [data[i : i + 64] for i in range(0, len(data), 64)]
        began = time.process_time()
        assert run(pieces)[1] is None
        return time.process_time() - began

    seconds(1 << 16)
    small = min(seconds(1 << 18) for _ in range(3))
    large = min(seconds(1 << 21) for _ in range(3))
    assert large < small * 8 * 4  # quadratic would be 64 times

    tracemalloc.start()
    try:
        decoder = Decoder()
        decoder.feed(b"67108864\n")
        for _ in range(1 << 14):
            decoder.feed(b"x" * 16)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * (16 << 14)  # what came, not what was announced
