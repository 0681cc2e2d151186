r"""Places in a gzip file from which decoding can start, kept in a file beside it.

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

import operator
import os
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from fastidx._kernel import crc32
from fastidx.base.replace import path_of, replacement, write_all
from fastidx.errors import GzipIndexError, TruncatedError
from fastidx.opening.open import open_source
from fastidx.sources.protocol import Source, SourceLike

if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Buffer

    from fastidx.base.replace import Writable

    ReadAt: TypeAlias = Callable[[int, int], Buffer]

_MAGIC = b"GZIDX"
_HEADER = struct.Struct("<5sBBQQIII")
_POINTS = {0: struct.Struct("<QQB"), 1: struct.Struct("<QQBB")}  # by version

_SECTION_MAGIC = b"fastidx\x01"
_SECTION = struct.Struct("<8sBI")
_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_HAS_FINGERPRINT = 1
_HAS_CRCS = 2

_WINDOW_NBYTES = 32768  # RFC 1951, section 2: no distance is longer
# RFC 1951, section 3.2.5: 258 bytes from a length and a distance of one bit each.
_MAX_NBYTES_PER_BIT = 129
# indexed_gzip refuses an index whose points lie no farther apart than a window is long.
_MIN_SPACING = _WINDOW_NBYTES + 1

_FINGERPRINT_NBYTES = 16
# At either end of the compressed file. The last bytes hold the CRC-32 and the length of the last
# member (RFC 1952, section 2.3.1), which stand for all of its data.
_SAMPLE_NBYTES = 4096

# What is read at once: a number in a damaged file must not decide how much memory is taken.
_PIECE_NBYTES = 1 << 20

_REBUILD = "build the index again"


# An index has the name of the file that it belongs to, and this.
INDEX_SUFFIX = ".gzidx"


class Checkpoint(NamedTuple):
    """A place in a gzip file from which decoding can start: the begin of a DEFLATE block.

    Parameters
    ----------
    bit : int
        Where the block begins in the compressed file, in bits.
    offset : int
        How many bytes of decoded data come before it, those of all members counted.
    window : bytes
        The last 32768 of them, oldest first; fewer near the begin of a member, none where the
        block needs none.
    """

    bit: int
    offset: int
    window: bytes


@dataclass
class GzipIndex:
    """Checkpoints of one gzip file, and what tells whether a file is that one.

    Parameters
    ----------
    compressed_nbytes : int
        Size of the gzip file.
    uncompressed_nbytes : int
        Size of the decoded data; 0 if it is unknown.
    spacing : int
        How far apart the points are meant to be, in bytes of decoded data.
    points : list of Checkpoint
        In the order of the file. The first is its first block, at offset 0.
    crcs : list of int, optional
        CRC-32 of the decoded data from each point to the next one, from the last to the end. None
        if the index was not made by fastidx: then data read from the middle cannot be verified.
    fingerprint : bytes, optional
        Of the gzip file, see `fingerprint`. None if the index was not made by fastidx.
    name : str, optional
        What to call the index in messages: the file that it was loaded from.

    Examples
    --------
    A file of one block needs one point:

    >>> import gzip, io
    >>> from fastidx.gzipped.index import Checkpoint, GzipIndex
    >>> data = gzip.compress(bytes(1000))
    >>> index = GzipIndex(len(data), 1000, 1 << 20, [Checkpoint(80, 0, b"")])
    >>> file = io.BytesIO()
    >>> index.save(file)
    >>> GzipIndex.load(file.getvalue()) == index
    True
    """

    compressed_nbytes: int
    uncompressed_nbytes: int
    spacing: int
    points: list[Checkpoint] = field(repr=False)
    crcs: list[int] | None = field(default=None, repr=False)
    fingerprint: bytes | None = None
    name: str = field(default="<GzipIndex>", compare=False)

    def nearest(self, offset: int) -> int:
        """Return which point is the last one at or before an offset.

        Parameters
        ----------
        offset : int
            Into the decoded data, in bytes.

        Returns
        -------
        int
            An index into ``points``.

        Raises
        ------
        ValueError
            If ``offset`` is negative.

        Examples
        --------
        >>> from fastidx.gzipped.index import Checkpoint, GzipIndex
        >>> points = [Checkpoint(80, 0, b""), Checkpoint(8083, 5000, bytes(5000))]
        >>> index = GzipIndex(2000, 9000, 1 << 20, points)
        >>> index.nearest(4999), index.nearest(5000)
        (0, 1)
        """
        if operator.index(offset) < 0:
            raise ValueError(f"offset: expected 0 or more, found {offset}")
        return bisect_right(self.points, offset, key=operator.attrgetter("offset")) - 1

    def save(self, target: str | os.PathLike[str] | Writable) -> None:
        """Write the index, for fastidx, indexed_gzip and rapidgzip.

        A file at a path is replaced in one step, as by `fastidx.save`. A spacing of less than
        32769 is written as 32769: indexed_gzip refuses one that is less than a window.

        Parameters
        ----------
        target : str, PathLike or binary file object
            Where to write. A file object is left open.

        Raises
        ------
        ValueError
            If the points contradict each other or the sizes; nothing is written then.
        OSError
            If the file cannot be written.
        """
        if fault := _fault(self):
            raise ValueError(f"{self.name}: {fault}")
        path = path_of(target)
        if path is None:
            write_all(cast("Writable", target), _with_crc(_file_parts(self)))
        else:
            with replacement(path) as file:
                write_all(file, _with_crc(_file_parts(self)))

    @classmethod
    def load(cls, source: SourceLike) -> GzipIndex:
        """Read an index that fastidx, indexed_gzip or rapidgzip wrote, in the format GZIDX.

        Whether it belongs to a gzip file is for `check` to say.

        Parameters
        ----------
        source : str, PathLike, bytes-like or binary file object
            All of it is read; a file object, from its position on. It is left open.

        Returns
        -------
        GzipIndex
            Without ``crcs`` and ``fingerprint`` if another program wrote it.

        Raises
        ------
        GzipIndexError
            If this is not an index, or is one that was cut short or damaged. Damage of another
            program's windows cannot be seen.
        OSError
            If the file cannot be read.
        """
        opened = open_source(source)
        try:
            return _load(_Input(opened))
        finally:
            opened.close()

    def check(self, nbytes: int, read_at: ReadAt, *, source: str = "<data>") -> None:
        """Refuse a gzip file that is not the one that the index was made from.

        Parameters
        ----------
        nbytes : int
            Size of the gzip file.
        read_at : callable
            ``read_at(position, nbytes)`` returns that part of it. Called at most twice, and not
            at all if the sizes differ or the index has no fingerprint.
        source : str, optional
            Its name, for messages.

        Raises
        ------
        GzipIndexError
            If it is another file: of another size or with another fingerprint.
        TruncatedError
            If ``read_at`` returns less than asked for.

        Examples
        --------
        >>> import gzip
        >>> from fastidx import IdxError
        >>> from fastidx.gzipped.index import Checkpoint, GzipIndex
        >>> index = GzipIndex(2000, 9000, 1 << 20, [Checkpoint(80, 0, b"")])
        >>> data = gzip.compress(bytes(1000))
        >>> try:
        ...     index.check(len(data), lambda pos, n: data[pos : pos + n])
        ... except IdxError as error:
        ...     print(str(error).partition(", of ")[2])
        2,000 bytes, found one of 29 bytes; build the index again
        """
        if nbytes != self.compressed_nbytes:
            raise GzipIndexError(
                f"{source}: expected the file that {self.name} was made from, of "
                f"{self.compressed_nbytes:,} bytes, found one of {nbytes:,} bytes; {_REBUILD}"
            )
        if self.fingerprint is None:
            return
        found = fingerprint(nbytes, read_at, source=source)
        if found != self.fingerprint:
            raise GzipIndexError(
                f"{source}: expected the file that {self.name} was made from (fingerprint "
                f"{self.fingerprint.hex()}), found another of the same size ({found.hex()}); "
                f"{_REBUILD}"
            )


def find_index(
    index: str | os.PathLike[str] | GzipIndex | None,
    source: Source,
    compression: str | None,
) -> GzipIndex | None:
    """Return the index that a user passed for a source, if it belongs to it.

    Parameters
    ----------
    index : "auto", path, GzipIndex or None
        ``"auto"`` for the file beside a local one with the same name and ``.gzidx``, if there is
        one.
    source : Source
    compression : str or None
        Of the source.

    Raises
    ------
    GzipIndexError
        If it is the index of another file, or damaged.
    ValueError
        If an index is given for a source that can have none.
    """
    can_have_one = compression == "gzip" and source.can_restart and source.nbytes is not None
    if isinstance(index, str) and index == "auto":
        path = f"{source.path}{INDEX_SUFFIX}"
        index = path if can_have_one and source.path and os.path.isfile(path) else None
    if index is None:
        return None
    if not can_have_one:
        raise ValueError(needs_gzip(source.name))
    if not isinstance(index, GzipIndex):
        index = GzipIndex.load(index)
    index.check(
        source.nbytes or 0,
        lambda position, nbytes: source.read_range(position, position + nbytes),
        source=source.name,
    )
    return index


def needs_gzip(name: str) -> str:
    """Return what to say of a source that can have no index."""
    return (
        f"{name}: expected a gzip file that can seek, which an index is for, found another source; "
        "do without an index"
    )


def fingerprint(nbytes: int, read_at: ReadAt, *, source: str = "<data>") -> bytes:
    """Return what tells one gzip file from another of the same size.

    It is the 16-byte BLAKE2b hash of the first and the last 4096 bytes. The first hold the header
    and the begin of the data; the last, the CRC-32 of all data of the last member. In a file of
    several members a change of only those in the middle is not noticed.

    Parameters
    ----------
    nbytes : int
        Size of the file.
    read_at : callable
        ``read_at(position, nbytes)`` returns that part of it. Called at most twice.
    source : str, optional
        Its name, for messages.

    Returns
    -------
    bytes
        16 of them.

    Raises
    ------
    TruncatedError
        If ``read_at`` returns less than asked for.

    Examples
    --------
    >>> from fastidx.gzipped.index import fingerprint
    >>> data = bytes(10000)
    >>> fingerprint(len(data), lambda pos, n: data[pos : pos + n]).hex()
    '9bc3d8f02692191aec9b7dec833205ac'
    """
    # A CRC-32 would not do: over stored blocks, which end in their own data's CRC-32, it comes to
    # the same for any data.
    from hashlib import blake2b

    digest = blake2b(digest_size=_FINGERPRINT_NBYTES)
    head = min(nbytes, _SAMPLE_NBYTES)
    tail = max(head, nbytes - _SAMPLE_NBYTES)
    for begin, end in ((0, head), (tail, nbytes)):
        if begin == end:
            continue
        piece = memoryview(read_at(begin, end - begin))
        if piece.nbytes != end - begin:
            raise TruncatedError(
                f"{source}: expected {end - begin:,} bytes at position {begin:,}, found "
                f"{piece.nbytes:,}; the file was cut or replaced while it was read: try again"
            )
        digest.update(piece)
    return digest.digest()


def _fault(index: GzipIndex) -> str | None:
    """Say what makes an index useless, expected and found; None if nothing does."""
    if not index.points:
        return "expected at least one point to start from, found none"
    if index.points[0].offset != 0:
        return f"expected the first point at offset 0, found it at {index.points[0].offset:,}"
    if index.crcs is not None and len(index.crcs) != len(index.points):
        return f"expected a CRC for each of {len(index.points):,} points, found {len(index.crcs):,}"
    if index.fingerprint is not None and len(index.fingerprint) != _FINGERPRINT_NBYTES:
        return (
            f"expected a fingerprint of {_FINGERPRINT_NBYTES} bytes, "
            f"found {len(index.fingerprint)} bytes"
        )
    end = Checkpoint(
        8 * index.compressed_nbytes, index.uncompressed_nbytes or index.points[-1].offset, b""
    )
    for number, (point, following) in enumerate(pairwise([*index.points, end])):
        if fault := _fault_of_point(point, following):
            return f"point {number:,} of {len(index.points):,}: {fault}"
    return None


def _fault_of_point(point: Checkpoint, following: Checkpoint) -> str | None:
    if not 0 <= point.bit < following.bit:
        return (
            f"expected its place before that of the next, bit {following.bit:,}, "
            f"found it at bit {point.bit:,}"
        )
    most = point.offset + (following.bit - point.bit) * _MAX_NBYTES_PER_BIT
    if not point.offset <= following.offset <= most:
        return (
            f"expected the next at an offset from {point.offset:,} to {most:,}, "
            f"found it at {following.offset:,}"
        )
    if len(point.window) > min(point.offset, _WINDOW_NBYTES):
        return (
            f"expected at most {min(point.offset, _WINDOW_NBYTES):,} bytes of data before it, "
            f"found {len(point.window):,}"
        )
    return None


def _file_parts(index: GzipIndex) -> Iterator[bytes]:
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
        _WINDOW_NBYTES,
        len(rows),
    )
    yield b"".join(_POINTS[1].pack(*row) for row in rows)
    for point in kept:
        yield point.window.rjust(_WINDOW_NBYTES, b"\0")
    yield from _section_parts(index)


def _section_parts(index: GzipIndex) -> Iterator[bytes]:
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


def _load(file: _Input) -> GzipIndex:
    _check_kind(file)
    header = _HEADER.unpack(file.take(_HEADER.size, "the header"))
    _, version, _, compressed_nbytes, uncompressed_nbytes, spacing, window_nbytes, count = header
    if version not in _POINTS:
        raise file.refusal(
            f"expected version 0 or 1 of the format GZIDX, found version {version}",
            "update fastidx, or build the index with it",
        )
    if window_nbytes < _WINDOW_NBYTES:
        raise file.refusal(
            f"expected windows of {_WINDOW_NBYTES:,} bytes or more, found {window_nbytes:,}"
        )
    points = _read_points(file, version, count, window_nbytes)
    index = GzipIndex(compressed_nbytes, uncompressed_nbytes, spacing, points, name=file.name)
    if (start := file.take_if_any(_SECTION.size, "what fastidx adds")) is not None:
        _read_section(file, start, index)
    else:
        _adopt_points(index)
    if fault := _fault(index):
        raise file.refusal(fault)
    return index


def _check_kind(file: _Input) -> None:
    prefix = file.peek()
    if prefix[: len(_MAGIC)] == _MAGIC[: len(prefix)] and prefix:
        return
    from fastidx.format.recognise import describe_content

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
            file.take_last(_WINDOW_NBYTES, window_nbytes, what) if has_window else b"",
        )
        for bit, offset, has_window in rows
    ]


def _adopt_points(index: GzipIndex) -> None:
    """Make points of another program's into ours."""
    while len(index.points) > 1 and index.points[-1].offset == index.uncompressed_nbytes:
        index.points.pop()  # nothing is to be decoded from the end of the data
    index.points = [_last_of_window(point, point.offset) for point in index.points]


def _last_of_window(point: Checkpoint, nbytes: int) -> Checkpoint:
    return point._replace(window=point.window[max(0, len(point.window) - nbytes) :])


def _read_section(file: _Input, start: bytearray, index: GzipIndex) -> None:
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
        index.fingerprint = bytes(file.take(_FINGERPRINT_NBYTES, "the fingerprint"))
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
