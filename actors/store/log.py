"""Whether SQLite's write-ahead log is whole, before SQLite reads it.

SQLite takes a log up to the first frame that does not hold, and leaves the rest out: right after a loss of power, when the
last transaction was not finished, but a flipped bit would take every later transaction away in silence. Here a log in which
whole transactions follow a damaged frame is refused. (The format: "The Write-Ahead Log" in SQLite's "Database File Format".)
"""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = struct.Struct(">8I")  # magic, version, page size, checkpoint, salt (2), checksum (2)
_FRAME = struct.Struct(">6I")  # page, pages after a commit (else 0), salt (2), checksum (2)
_MAGIC, _BIG_ENDIAN = 0x377F0682, 1
_WORD = 0xFFFF_FFFF


def damage_in(log: Path) -> str:
    """Return what is wrong with a log; "" if it can be read as it is, or is not there."""
    try:
        data = log.read_bytes()
    except FileNotFoundError:
        return ""
    if len(data) <= _HEADER.size:
        return ""  # nothing was ever committed to it
    magic, _, page_size, _, *rest = _HEADER.unpack_from(data)
    salt, checksum = rest[:2], rest[2:]
    order = ">" if magic & _BIG_ENDIAN else "<"
    sums = _checksum(data[:24], order, 0, 0)
    if magic & ~_BIG_ENDIAN != _MAGIC or list(sums) != checksum or page_size not in _PAGE_SIZES:
        return "the beginning of its log"
    size = _FRAME.size + page_size
    frames = range(_HEADER.size, len(data) - size + 1, size)
    for number, start in enumerate(frames):
        _, _, *rest = _FRAME.unpack_from(data, start)
        sums = _checksum(data[start : start + 8], order, *sums)
        sums = _checksum(data[start + _FRAME.size : start + size], order, *sums)
        if rest[:2] != salt or list(sums) != rest[2:]:
            return f"frame {number + 1} of its log" if _is_followed(data, frames[number:], salt) else ""
    return ""


_PAGE_SIZES = frozenset(2**power for power in range(9, 17))


def _checksum(data: bytes, order: str, first: int, second: int) -> tuple[int, int]:
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one, two in zip(words, words, strict=True):
        first = (first + one + second) & _WORD
        second = (second + two + first) & _WORD
    return first, second


def _is_followed(data: bytes, frames: range, salt: list[int]) -> bool:
    """Whether a later transaction than that of the first of these frames was begun: it had been finished before."""
    committed = False
    for start in frames:
        _, pages, *rest = _FRAME.unpack_from(data, start)
        if start != frames[0] and rest[:2] != salt:
            return False  # left from before the log was begun again
        if committed:
            return True
        committed = pages != 0
    return False
