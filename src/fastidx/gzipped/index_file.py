r"""The file format GZIDX, read and written.

The file's format is GZIDX, that of indexed_gzip, which rapidgzip reads and writes too. All numbers
are little-endian::

    "GZIDX"                     5 bytes
    version                     u8: 0 or 1
    reserved                    u8
    compressed size             u64
    uncompressed size           u64, 0 where it is unknown
    spacing                     u32
    window size                 u32
    number of points            u32
    for each point:
        compressed offset       u64: of the first whole byte
        uncompressed offset     u64
        bits                    u8: how many bits of the byte before that come first, 0 to 7
        has a window            u8; not in version 0, where all points but the first have one
    for each point that has a window:
        window                  the bytes before it, oldest first

The last point that others write is the end of the file, where nothing can be decoded. It is
written here too, since indexed_gzip decodes a file again behind its last point, and is left out
of `GzipIndex.points`.

Behind the windows, where no other reader looks, comes what GZIDX has no room for::

    "fastidx\x01"                8 bytes
    flags                       u8: 1 for a fingerprint, 2 for CRCs
    number of points            u32: without the end of the file
    fingerprint                 16 bytes
    for each point:
        window size             u16: the last bytes of its window are real, those before are zeros
    for each point:
        CRC                     u32: CRC-32 of the data from this point to the next
    CRC                         u32: CRC-32 of the file up to here
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from fastidx._kernel import crc32
from fastidx.errors import GzipIndexError
from fastidx.format.recognise import describe_content
from fastidx.sources.protocol import Source

from .index_data import FINGERPRINT_NBYTES, WINDOW_NBYTES, Checkpoint, IndexData

_MAGIC = b"GZIDX"
_HEADER = struct.Struct("<5sBBQQIII")
_POINTS = {0: struct.Struct("<QQB"), 1: struct.Struct("<QQBB")}  # by version

_SECTION_MAGIC = b"fastidx\x01"
_SECTION = struct.Struct("<8sBI")
_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_HAS_FINGERPRINT = 1
_HAS_CRCS = 2

# indexed_gzip refuses an index whose points lie no farther apart than a window is long.
_MIN_SPACING = WINDOW_NBYTES + 1

# What is read at once: a number in a damaged file must not decide how much memory is taken.
_PIECE_NBYTES = 1 << 20

_REBUILD = "build the index again"


def file_pieces(index: IndexData) -> Iterator[bytes]:
    """Yield the bytes of an index file."""
    yield from _with_crc(_file_parts(index))


def read_index(source: Source) -> IndexData:
    """Read an index file from an opened source."""
    return _load(_Input(source))


def _file_parts(index: IndexData) -> Iterator[bytes]:
    """Yield an index file's bytes but for the CRC at its end."""
    # indexed_gzip takes the bits before the first whole byte into account only with a window.
    kept = [point for point in index.points if point.window or point.bit % 8]
    rows = [
        (-(-point.bit // 8), point.offset, -point.bit % 8, bool(point.window or point.bit % 8))
        for point in index.points
    ]
    if index.uncompressed_nbytes:
        rows.append((index.compressed_nbytes, index.uncompressed_nbytes, 0, False))
    yield _HEADER.pack(
        _MAGIC,
        1,
        0,
        index.compressed_nbytes,
        index.uncompressed_nbytes,
        min(max(index.spacing, _MIN_SPACING), 0xFFFFFFFF),
        WINDOW_NBYTES,
        len(rows),
    )
    yield b"".join(_POINTS[1].pack(*row) for row in rows)
    for point in kept:
        yield point.window.rjust(WINDOW_NBYTES, b"\0")
    yield from _section_parts(index)


def _section_parts(index: IndexData) -> Iterator[bytes]:
    flags = _HAS_FINGERPRINT * (index.fingerprint is not None)
    flags |= _HAS_CRCS * (index.crcs is not None)
    npoints = len(index.points)
    yield _SECTION.pack(_SECTION_MAGIC, flags, npoints)
    yield index.fingerprint or b""
    yield struct.pack(f"<{npoints}H", *(len(point.window) for point in index.points))
    if index.crcs is not None:
        yield struct.pack(f"<{npoints}I", *index.crcs)


def _with_crc(parts: Iterator[bytes]) -> Iterator[bytes]:
    crc = 0
    for part in parts:
        crc = crc32(part, crc)
        yield part
    yield struct.pack("<I", crc)


class _Input:
    """An index file, read in order; all that is read counts in the CRC."""

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.crc = 0
        self.position = 0
        self._source = source

    def peek(self) -> bytes:
        """Return the first bytes without taking them."""
        return self._source.peek(_HEADER.size)

    def at_end(self) -> bool:
        """Whether nothing more will come; what does come, is lost."""
        return self._source.read_into(memoryview(bytearray(1))) == 0

    def take(self, nbytes: int, what: str) -> bytearray:
        """Take so many bytes; the caller sees to it that these are not too many for memory."""
        piece = self.take_if_any(nbytes, what)
        if piece is None:
            raise self._cut(nbytes, what, 0)
        return piece

    def take_if_any(self, nbytes: int, what: str) -> bytearray | None:
        """Take so many bytes, or none at the end."""
        piece = bytearray(nbytes)
        found = self._source.read_into(memoryview(piece))
        if found == 0:
            return None
        if found < nbytes:
            raise self._cut(nbytes, what, found)
        self.crc = crc32(piece, self.crc)
        self.position += nbytes
        return piece

    def take_last(self, last: int, nbytes: int, what: str) -> bytes:
        """Take so many bytes and return the last of them."""
        skipped = nbytes - last
        while skipped > 0:
            skipped -= len(self.take(min(skipped, _PIECE_NBYTES), what))
        return bytes(self.take(last, what))

    def take_records(self, record: struct.Struct, count: int, what: str) -> Iterator[Any]:
        """Take so many records, a piece at a time."""
        most = _PIECE_NBYTES // record.size
        for begin in range(0, count, most):
            piece = self.take(min(count - begin, most) * record.size, what)
            yield from record.iter_unpack(piece)

    def _cut(self, nbytes: int, what: str, found: int) -> GzipIndexError:
        return self.refusal(
            f"expected {nbytes:,} bytes of {what} at position {self.position:,}, found {found:,}",
            "the index was cut short: copy it again or build it again",
        )

    def refusal(self, fault: str, remedy: str = f"it is damaged: {_REBUILD}") -> GzipIndexError:
        """Return the error that says what is wrong with this file."""
        return GzipIndexError(f"{self.name}: {fault}; {remedy}")


def _load(file: _Input) -> IndexData:
    _check_kind(file)
    header = _HEADER.unpack(file.take(_HEADER.size, "the header"))
    _, version, _, compressed_nbytes, uncompressed_nbytes, spacing, window_nbytes, count = header
    if version not in _POINTS:
        raise file.refusal(
            f"expected version 0 or 1 of the format GZIDX, found version {version}",
            "update fastidx, or build the index with it",
        )
    if window_nbytes < WINDOW_NBYTES:
        raise file.refusal(
            f"expected windows of {WINDOW_NBYTES:,} bytes or more, found {window_nbytes:,}"
        )
    points = _read_points(file, version, count, window_nbytes)
    index = IndexData(compressed_nbytes, uncompressed_nbytes, spacing, points, name=file.name)
    if (start := file.take_if_any(_SECTION.size, "what fastidx adds")) is not None:
        _read_section(file, start, index)
    else:
        _adopt_points(index)
    if fault := index.fault():
        raise file.refusal(fault)
    return index


def _check_kind(file: _Input) -> None:
    prefix = file.peek()
    if prefix[: len(_MAGIC)] == _MAGIC[: len(prefix)] and prefix:
        return

    # indexed_gzip and rapidgzip can be asked for this instead; it has eight zero bytes in front.
    kind = "an index of gztool" if prefix[8:15] == b"gzipind" else describe_content(prefix)
    raise file.refusal(
        f"expected an index in the format GZIDX, found {kind or 'something else'}",
        "give the index file, or build one",
    )


def _read_points(file: _Input, version: int, count: int, window_nbytes: int) -> list[Checkpoint]:
    """Read all points, with the last 32768 bytes of their windows, and the end of the file."""
    rows: list[tuple[int, int, bool]] = []
    for row in file.take_records(_POINTS[version], count, "points"):
        first_byte, offset, bits = row[:3]
        if bits > 7:
            raise file.refusal(f"point {len(rows):,}: expected 0 to 7 bits, found {bits}")
        has_window = row[3] if version else len(rows) > 0
        rows.append((8 * first_byte - bits, offset, bool(has_window)))
    what = "a window"
    return [
        Checkpoint(
            bit,
            offset,
            file.take_last(WINDOW_NBYTES, window_nbytes, what) if has_window else b"",
        )
        for bit, offset, has_window in rows
    ]


def _adopt_points(index: IndexData) -> None:
    """Make points of another program's into ours."""
    while len(index.points) > 1 and index.points[-1].offset == index.uncompressed_nbytes:
        index.points.pop()  # nothing is to be decoded from the end of the data
    index.points = [_last_of_window(point, point.offset) for point in index.points]


def _last_of_window(point: Checkpoint, nbytes: int) -> Checkpoint:
    return point._replace(window=point.window[max(0, len(point.window) - nbytes) :])


def _read_section(file: _Input, start: bytearray, index: IndexData) -> None:
    """Read what fastidx adds, and check that nothing in the file has changed."""
    if index.points and index.points[-1].bit == 8 * index.compressed_nbytes:
        index.points.pop()  # the end of the file
    magic, flags, count = _SECTION.unpack(start)
    npoints = len(index.points)
    if (magic, count) != (_SECTION_MAGIC, npoints) or flags & ~(_HAS_FINGERPRINT | _HAS_CRCS):
        raise file.refusal(
            f"expected the end of the file, or what fastidx adds for {npoints:,} points, at "
            f"position {file.position - len(start):,}, found other bytes"
        )
    if flags & _HAS_FINGERPRINT:
        index.fingerprint = bytes(file.take(FINGERPRINT_NBYTES, "the fingerprint"))
    sizes = [size for (size,) in file.take_records(_U16, npoints, "window sizes")]
    if flags & _HAS_CRCS:
        index.crcs = [crc for (crc,) in file.take_records(_U32, npoints, "CRCs")]
    computed = file.crc
    (stored,) = _U32.unpack(file.take(_U32.size, "the CRC"))
    if stored != computed:
        raise file.refusal(f"expected a CRC-32 of {stored:08x}, found {computed:08x}")
    if not file.at_end():
        raise file.refusal(f"expected the end at position {file.position:,}, found more bytes")
    index.points = [
        _last_of_window(point, size) for point, size in zip(index.points, sizes, strict=True)
    ]
