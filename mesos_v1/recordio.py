r"""RecordIO, the framing of every Mesos event stream: a length in decimal digits, `\n`, that many bytes, and again.

Bytes in, records out; no socket and no loop. The decoder gives the same records however the bytes are cut, in time
linear in their number, and holds at most one record that is not complete.

A length is 1 to 20 ASCII digits; 0 is an empty record. What is wrong after complete records in one chunk never costs the
reader those records: the next call raises it (`failed` says so at once), and the decoder stays broken.
Source: Mesos documentation, Scheduler HTTP API, "RecordIO response format".
"""

from mesos_v1.errors import MalformedLength, RecordIOError, RecordTooLong, TruncatedRecord

__all__ = ["Decoder", "MalformedLength", "RecordIOError", "RecordTooLong", "TruncatedRecord", "encode"]

DEFAULT_MAX_RECORD_BYTES = 64 * 1024 * 1024
_MAX_DIGITS = 20  # as many as the largest 64-bit length has


def encode(record: bytes) -> bytes:
    """Return `record` with its length before it."""
    return b"%d\n%b" % (len(record), record)


class Decoder:
    """Turns the bytes of a stream, in pieces of any size, into records.

    A record that announces more than `max_record_bytes` is refused before any of it is kept.
    """

    __slots__ = ("_error", "_header", "_max", "_missing", "_partial")

    def __init__(self, max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES) -> None:
        self._max = max_record_bytes
        self._header = b""  # the digits of a length whose newline is still to come
        self._partial = bytearray()  # what is there of a record that is not complete
        self._missing = 0  # how many of its bytes are still to come; 0: no record has begun
        self._error: RecordIOError | None = None

    @property
    def failed(self) -> bool:
        """Whether the stream is known to be broken: the next `feed` or `finish` raises."""
        return self._error is not None

    @property
    def pending(self) -> int:
        """How many bytes of an incomplete record (or of its length) are held."""
        return len(self._header) + len(self._partial)

    def feed(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """Return the records that `data` completes, in order; raises RecordIOError for a length that cannot be."""
        if self._error is not None:
            raise self._error
        data, self._header = self._header + bytes(data), b""
        records: list[bytes] = []
        position = self._complete(data, records) if self._missing else 0
        end = len(data)
        try:
            while position < end:
                newline = data.find(b"\n", position, position + _MAX_DIGITS + 1)
                if newline < 0:  # refuse garbage without waiting for one
                    self._header = data[position : position + _MAX_DIGITS + 1]
                    self._length(self._header)
                    break
                size = self._length(data[position:newline], b"\n")
                position = newline + 1
                stop = position + size
                if stop > end:
                    self._partial += data[position:]
                    self._missing = stop - end
                    break
                records.append(data[position:stop])
                position = stop
        except RecordIOError as error:
            self._error = error
            if not records:
                raise
        return records

    def finish(self) -> None:
        """Tell the decoder that the stream has ended; raises TruncatedRecord if that was inside a record."""
        if self._error is not None:
            raise self._error
        if self._missing:
            got = len(self._partial)
            whole = got + self._missing
            raise TruncatedRecord(f"the stream ended after {got} of the {whole} bytes of a record")
        if self._header:
            raise TruncatedRecord(
                f"the stream ended inside a record's length, after {self._header.decode()!r}"
            )

    def _complete(self, data: bytes, records: list[bytes]) -> int:
        """Continue the record that an earlier chunk began; return how much of `data` belongs to it."""
        taken = self._missing
        if len(data) < taken:
            self._partial += data
            self._missing = taken - len(data)
            return len(data)
        self._partial += data[:taken]
        records.append(bytes(self._partial))
        self._partial.clear()
        self._missing = 0
        return taken

    def _length(self, digits: bytes, end: bytes = b"") -> int:
        if not digits.isdigit() or len(digits) > _MAX_DIGITS or (size := int(digits)) > self._max:
            raise self._refusal(digits + end)
        return size

    def _refusal(self, found: bytes) -> RecordIOError:
        """Say what is wrong by the first byte that is wrong, so that it does not depend on how the bytes were cut."""
        for index in range(min(len(found), _MAX_DIGITS)):
            if not found[index : index + 1].isdigit():
                break
            size = int(found[: index + 1])
            if size > self._max:
                return RecordTooLong(f"a record of at least {size} bytes; the limit is {self._max}")
        wanted = "the length of a record in decimal digits and a newline"
        return MalformedLength(f"expected {wanted}, found {found[: _MAX_DIGITS + 1]!r}")
