"""Random access to the data in a gzip stream, from checkpoints.

A checkpoint is a block boundary at which decoding can start: its bit position, and the 32 KiB of
data before it. Whoever decodes where nobody has been leaves some behind; an index file brings them
along. The stretch between two of them is decoded as a whole, so that its CRC-32 can be checked
where it is known, and the last few stretches are kept.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import struct
import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastidx._kernel import DataPiece, GzipDecoder, crc32_combine
from fastidx.base.memory import Bytes1D
from fastidx.base.threads import run_all
from fastidx.codecs.detect import Decoder
from fastidx.codecs.plain import PlainDecoder
from fastidx.errors import ChecksumError, CorruptError, TrailingDataError
from fastidx.items.destination import Destination, Reader
from fastidx.sources.memory import MemorySource
from fastidx.sources.protocol import Source

from .index import Checkpoint, GzipIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastidx._kernel import Expansion

# So that one that is slower than the others does not keep them waiting.
_PARTS_PER_THREAD = 4

# Decoded stretches to keep: two, so that items across a boundary do not decode both again and
# again.
_KEPT_STRETCHES = 2

# Where checkpoints are farther apart, the way from one is decoded only as far as is asked for: that
# cannot be checked, but takes neither the time nor the memory.
_MOST_STRETCH_NBYTES = 1 << 20

# Compressed bytes per byte of data, assumed until so much data has shown what it is.
_FIRST_RATE = 1 / 8
_KNOWN_RATE_NBYTES = 64 * 1024

# Data that is passed over is decoded in pieces of this size.
_SKIPPED_NBYTES = 1 << 20

# Where each range is a request to a server, the compressed bytes of so many stretches come at once.
_FETCHED_NBYTES = 4 << 20

# Where a stream stands that has failed: behind whatever anyone will ask for.
_LOST = sys.maxsize


@dataclass
class CheckpointLog:
    """The checkpoints of one stream so far, from its beginning to as far as anyone has decoded.

    Attributes
    ----------
    spacing : int
        Bytes of data between two, about.
    most : int or None
        How many windows may be held; with more, every other checkpoint is dropped and spacing
        doubled.
    complete : bool
        Whether the last stretch ends with the stream.
    """

    spacing: int
    most: int | None = None
    points: list[Checkpoint] = field(default_factory=list)
    members: list[DataPiece] = field(default_factory=list)  # what is before each of its member
    crcs: list[int] = field(default_factory=list)  # of the stretches that end at a checkpoint
    nbytes: int = 0  # of data, up to the last checkpoint or, once complete, to the end
    complete: bool = False

    @classmethod
    def of_index(cls, index: GzipIndex, nbytes: int) -> CheckpointLog:
        """Take over what an index knows of a stream that should decode to ``nbytes``."""
        return cls(
            index.spacing,
            points=list(index.points),
            crcs=list(index.crcs or []),
            nbytes=index.uncompressed_nbytes or nbytes,
            complete=True,
        )

    def find(self, offset: int) -> int:
        """Return the number of the last checkpoint at or before ``offset``."""
        return bisect.bisect_right(self.points, offset, key=lambda point: point.offset) - 1

    def end(self, number: int) -> int:
        """Return where a stretch ends, as far as is known."""
        return self.points[number + 1].offset if number + 1 < len(self.points) else self.nbytes

    def add(self, point: Checkpoint, member: DataPiece, crc: int | None) -> None:
        """Append a checkpoint, its member so far, and the CRC-32 of the stretch before it."""
        if self.points and crc is not None:
            self.crcs.append(crc)
        self.points.append(point)
        self.members.append(member)
        self.nbytes = point.offset
        # Only ever from an odd number, of which the first and the last remain.
        if self.most is not None and len(self.points) > self.most and len(self.points) % 2:
            self._thin_out()

    def finish(self, nbytes: int, crc: int | None) -> None:
        """Note the end of the stream, and the CRC-32 of the last stretch."""
        if crc is not None:
            self.crcs.append(crc)
        self.nbytes = nbytes
        self.complete = True

    def forget(self) -> None:
        """Drop everything: a checksum has shown some of it to be wrong."""
        self.points, self.members, self.crcs, self.nbytes = [], [], [], 0

    def _thin_out(self) -> None:
        self.spacing *= 2
        if self.crcs:
            ends = [point.offset for point in self.points[1:]]
            self.crcs = [
                crc32_combine(self.crcs[i], self.crcs[i + 1], ends[i + 1] - ends[i])
                for i in range(0, len(self.crcs), 2)
            ]
        self.points = self.points[::2]
        self.members = self.members[::2]


class GzipStream:
    """The data from one place on, in order; where nobody has been, it leaves checkpoints.

    Parameters
    ----------
    source : Source
        It is put to where the stream starts.
    log : CheckpointLog
    verify : bool
        Whether to compute and check checksums.
    number : int, optional
        Of the checkpoint to start from; by default from the beginning of the file.
    """

    def __init__(
        self,
        source: Source,
        log: CheckpointLog,
        *,
        verify: bool,
        number: int | None = None,
    ) -> None:
        self._log = log
        self._verify = verify
        self._first_bit = self._first_offset = 0
        self._crc_at_point = 0  # checksum of the data up to the last checkpoint of the log
        self._decoder = GzipDecoder(source, verify=verify)
        if number is not None:
            point = log.points[number]
            member = log.members[number] if log.members else None
            if member is not None:
                self._crc_at_point = member.crc
            self._first_bit = point.bit // 8 * 8
            self._first_offset = point.offset - (0 if member is None else member.nbytes)
            source.restart_at(point.bit // 8)
            self._decoder.resume(point.bit % 8, point.window, member)
            self.position = point.offset
        else:
            source.restart_at(0)
            self.position = 0
        # A stream records if it will pass the end of what is known, having seen all since there.
        self._recording = not log.complete and (number or 0) >= len(log.points) - 1
        if self._recording:
            self._decoder.pause_at = self._next_pause() if log.points else 0

    @property
    def truncated(self) -> bool:
        """Whether the input has ended inside a member."""
        return self._decoder.truncated

    def read_into(
        self, out: Any, item_nbytes: int = 1, start: int = 0, expansion: Expansion | None = None
    ) -> int:
        """Fill memory with items; see `fastidx._kernel.GzipDecoder.read_into`."""
        done = 0
        while True:
            with self._lost_if_it_fails():
                n = self._decoder.read_into(out, item_nbytes, start + done, expansion)
            done += n
            self.position += n
            if not self._at_pause():
                return done
            self._record()

    def skip(self, nbytes: int) -> int:
        """Pass over so many bytes; returns how many there were."""
        done = 0
        while True:
            with self._lost_if_it_fails():
                n = self._decoder.skip(nbytes - done)
            done += n
            self.position += n
            if not self._at_pause():
                return done
            self._record()

    def at_end(self) -> bool:
        """Whether nothing more will come, with the last member checked."""
        while True:
            with self._lost_if_it_fails():
                ended = self._decoder.at_end()
            if not ended:
                return False
            if not self._at_pause():
                break
            self._record()
        if self._recording and not self._decoder.truncated:
            self._recording = False
            self._log.finish(self._end(), self._crc_since_point())
        return True

    @contextlib.contextmanager
    def _lost_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.position = _LOST
            if isinstance(error, ChecksumError) and not self._log.complete:
                self._log.forget()
            raise

    def _at_pause(self) -> bool:
        decoder = self._decoder
        return (
            self._recording
            and decoder.at_block_boundary
            and decoder.position >= 8 * decoder.pause_at
        )

    def _end(self) -> int:
        """Offset of the end of what is decoded, delivered or not."""
        return self._first_offset + self._decoder.decoded.nbytes

    def _crc_since_point(self) -> int | None:
        """Checksum of the data decoded since the last checkpoint of the log."""
        if not self._verify:
            return None
        nbytes = self._end() - (self._log.points[-1].offset if self._log.points else 0)
        # What comes after a text changes its CRC as it does that of as many zeros.
        return self._decoder.decoded.crc ^ crc32_combine(self._crc_at_point, 0, nbytes)

    def _record(self) -> None:
        """At a block boundary: leave a checkpoint if it is time, and say when to pause next."""
        log, decoder = self._log, self._decoder
        if not log.points or self._end() - log.points[-1].offset >= log.spacing:
            crc = self._crc_since_point()
            point = Checkpoint(self._first_bit + decoder.position, self._end(), decoder.window())
            self._crc_at_point = decoder.decoded.crc
            log.add(point, decoder.member, crc)
        decoder.pause_at = self._next_pause()

    def _next_pause(self) -> int:
        """Estimate where in the input the next checkpoint is due."""
        here = self._decoder.position // 8
        last = self._log.points[-1].offset if self._log.points else 0
        due = self._log.spacing - (self._end() - last)
        # At the rate so far or, where little has been seen, early enough to know better then.
        made, taken = self._end(), self._first_bit // 8 + here
        rate = taken / made if made > _KNOWN_RATE_NBYTES else _FIRST_RATE
        return here + 1 + int(max(0, due) * rate)


class Access(Protocol):
    """The data in a source, counted in bytes after decompression, from any place on."""

    def at(self, begin: int, end: int) -> Reader:
        """Return what reads the data from ``begin`` on, at least to ``end``."""

    def parts(self, begin: int, end: int, n: int) -> list[int]:
        """Return where to cut this, into about ``n``, for threads to read; fewer if there are."""

    def independent(self, begin: int, end: int) -> Reader:
        """Return what reads such a part while other threads read others."""


def read_in_threads(access: Access, items: Destination, place: int, threads: int) -> bool:
    """Read what a destination is for, from a place in the data on, in several threads.

    Returns
    -------
    bool
        False if there is only one decoder, too little to divide, or if data are missing.
    """
    item, nbytes = items.item_nbytes, items.nbytes
    cuts = access.parts(place, place + nbytes, _PARTS_PER_THREAD * threads)
    edges = sorted({0, *((cut - place) // item * item for cut in cuts), nbytes})
    if len(edges) < 3:
        return False

    def read(part: tuple[int, int]) -> bool:
        begin, end = part
        reader = access.independent(place + begin, place + end)
        return items.read(reader, begin, end) == end - begin

    return all(run_all(read, list(itertools.pairwise(edges)), threads))


class PlainAccess:
    """The bytes of an uncompressed source that can seek."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def at(self, begin: int, end: int) -> Reader:
        """Read in place, wherever it is."""
        return PlainDecoder(_Ranges(self._source, begin, end))

    independent = at

    def parts(self, begin: int, end: int, n: int) -> list[int]:
        """Cut anywhere; but several requests to a server take longer than one."""
        return (
            []
            if self._source.costly
            else list(range(begin, end, max(1, -(-(end - begin) // n))))[1:]
        )


class ForwardAccess:
    """The data of a decoder that can only go forward, or start again from the beginning.

    Parameters
    ----------
    source : Source
    decoder : Decoder
        Of the source, and
    position : int
        how much of the data it has delivered.
    decode : callable
        Makes another for the restarted source.
    """

    def __init__(
        self,
        source: Source,
        decoder: Decoder,
        position: int,
        decode: Callable[[], Decoder],
    ) -> None:
        self._source = source
        self._decode = decode
        self.cursor = ForwardReader(decoder, position)

    def at(self, begin: int, end: int) -> Reader:  # noqa: ARG002 - it goes on to the end
        """Skip to a place; a source that cannot go back says so."""
        if self.cursor.position > begin:
            self._source.restart_at(0)
            self.cursor = ForwardReader(self._decode(), 0)
        self.cursor.skip_to(begin)
        return self.cursor

    def parts(self, begin: int, end: int, n: int) -> list[int]:  # noqa: ARG002
        """There is only one decoder."""
        return []

    independent = at


class GzipAccess:
    """The data of a gzip stream, from the nearest checkpoint.

    Parameters
    ----------
    source : Source
        Of the compressed file; it must be able to restart.
    log : CheckpointLog
    verify : bool
        Whether to check each stretch's CRC-32 where it is known, and each member's where all of
        it is decoded.
    """

    def __init__(self, source: Source, log: CheckpointLog, *, verify: bool) -> None:
        self._source = source
        self._verify = verify
        self.log = log
        self._stream: GzipStream | None = None
        self._kept: OrderedDict[int, Bytes1D] = OrderedDict()
        self._crcs: dict[int, tuple[int, int]] = {}  # decoded stretches by offset: CRC-32, size

    def at(self, begin: int, end: int) -> Reader:
        """Go on where the last read stopped, or take known stretches, or decode to the place."""
        stream = self._stream
        if stream is not None and stream.position == begin:
            return stream
        if self._knows(end) and self.log.spacing <= _MOST_STRETCH_NBYTES:
            return PlainDecoder(_Stretches(self, begin, end))
        number = self.log.find(begin)
        nearest = self.log.points[number].offset if number >= 0 else 0
        if stream is None or not nearest <= stream.position <= begin:
            # From the first checkpoint as from the file's beginning, so that the member is checked.
            stream = GzipStream(
                self._source, self.log, verify=self._verify, number=number if number > 0 else None
            )
            self._stream = stream
        stream.skip(begin - stream.position)
        return stream

    def parts(self, begin: int, end: int, n: int) -> list[int]:
        """Cut where stretches begin, if they are known, so that each is decoded by one thread."""
        if self._source.costly or not self._knows(end):
            return []
        first, last = self.log.find(begin), self.log.find(end - 1)
        step = -(-(last + 1 - first) // n)
        return [point.offset for point in self.log.points[first + step : last + 1 : step]]

    def independent(self, begin: int, end: int) -> Reader:
        """Decode known stretches without keeping them."""
        return PlainDecoder(_Stretches(self, begin, end, keep=False))

    def decode_all(self, progress: Callable[[int], object] | None = None) -> None:
        """Complete the log."""
        stream = GzipStream(self._source, self.log, verify=self._verify)
        while n := stream.skip(_SKIPPED_NBYTES):
            if progress is not None:
                progress(n)
        stream.at_end()

    def _knows(self, end: int) -> bool:
        # At the end of what is known so far, the stream itself has to say what comes.
        return end < self.log.nbytes + self.log.complete

    def may_be_one_member(self) -> bool:
        """Whether the last member's length is that of all data."""
        return self._footer()[4:] == struct.pack("<I", self.log.nbytes % 2**32)

    def agrees_with_footer(self) -> bool:
        """Whether all stretches together have the CRC-32 that the last member states."""
        return self._footer()[:4] == struct.pack("<I", self._crc_of_all() or 0)

    def check_footer(self) -> None:
        """With all data read: compare them with the file's own footer, where that can be done.

        Raises
        ------
        ChecksumError
            If the index and the file contradict each other.
        """
        crc = self._crc_of_all() if self._verify and self.log.complete else None
        if crc is None or not self.may_be_one_member():
            return
        (stated,) = struct.unpack("<I", self._footer()[:4])
        if stated != crc:
            raise ChecksumError(
                f"{self._source.name}: expected data with CRC-32 {stated:08x}, as the gzip member "
                f"says, found {crc:08x} with the index; the index is damaged: build the index anew"
            )

    def _crc_of_all(self) -> int | None:
        """Return the CRC-32 of all data; None if not all stretches have been decoded."""
        crc = 0
        for number, point in enumerate(self.log.points):
            nbytes = self.log.end(number) - point.offset
            found, size = self._crcs.get(point.offset, (0, 0))
            if size != nbytes:
                return None
            crc = crc32_combine(crc, found, nbytes)
        return crc

    def _footer(self) -> bytes:
        """CRC-32 and ISIZE of the last member (RFC 1952, section 2.3.1)."""
        nbytes = self._source.nbytes or 0
        return bytes(self._source.read_range(max(0, nbytes - 8), nbytes))

    def excerpts(self, end: int) -> _Excerpts:
        """Return what fetches the compressed bytes of known stretches up to some place."""
        return _Excerpts(self._source, self.extent(self.log.find(end - 1))[1])

    def extent(self, number: int) -> tuple[int, int]:
        """Return where the compressed bytes of a known stretch begin and end."""
        points = self.log.points
        end = self._source.nbytes or 0
        if number + 1 < len(points):
            end = -(-points[number + 1].bit // 8)
        return points[number].bit // 8, end

    def stretch(self, offset: int, excerpts: _Excerpts, *, keep: bool) -> tuple[int, Bytes1D]:
        """Return the decoded stretch that holds a known place, and where it begins."""
        number = self.log.find(offset)
        begin = self.log.points[number].offset
        data = self._kept.get(begin) if keep else None
        if data is None or len(data) < self.log.end(number) - begin:  # thinning out joins stretches
            data = self.decode(number, excerpts)
            if keep:
                self._kept[begin] = data
                if len(self._kept) > _KEPT_STRETCHES:
                    self._kept.popitem(last=False)
        return begin, data

    def decode(self, number: int, excerpts: _Excerpts, out: memoryview | None = None) -> Bytes1D:
        """Decode a known stretch, to memory that is large enough or to new memory."""
        log = self.log
        point = log.points[number]
        compressed = excerpts.take(*self.extent(number))
        decoder = GzipDecoder(MemorySource(compressed, self._source.name), verify=self._verify)
        decoder.resume(point.bit % 8, point.window)
        nbytes = log.end(number) - point.offset
        data = np.empty(nbytes, np.uint8) if out is None else np.frombuffer(out, np.uint8, nbytes)
        try:
            done = decoder.read_into(data)
        except TrailingDataError:
            done = decoder.decoded.nbytes
        if done < len(data):
            raise CorruptError(
                f"{self._source.name}: expected {len(data):,} bytes of data from byte "
                f"{point.offset:,} on, found {done:,}; the file does not belong to this index, "
                "or has changed: build the index anew"
            )
        found = decoder.decoded.crc
        self._crcs[point.offset] = found, nbytes
        if self._verify and number < len(log.crcs) and found != log.crcs[number]:
            raise ChecksumError(
                f"{self._source.name}: expected data with CRC-32 {log.crcs[number]:08x} from byte "
                f"{point.offset:,} on, found {found:08x}; the file is damaged or has changed "
                "since its index was made: fetch it again, or build the index anew"
            )
        return data


class ForwardReader:
    """A decoder that knows where it is."""

    def __init__(self, decoder: Decoder, position: int) -> None:
        self._decoder = decoder
        self.position = position

    @property
    def truncated(self) -> bool:
        """Whether the input has ended where it must not."""
        return self._decoder.truncated

    def read_into(
        self, out: Any, item_nbytes: int = 1, start: int = 0, expansion: Expansion | None = None
    ) -> int:
        """Fill memory with items; see `fastidx._kernel.GzipDecoder.read_into`."""
        try:
            n = self._decoder.read_into(out, item_nbytes, start, expansion)
        except BaseException:
            self.position = _LOST
            raise
        self.position += n
        return n

    def at_end(self) -> bool:
        """Whether nothing more will come, with the last member checked."""
        return self._decoder.at_end()

    def skip_member(self) -> bool:
        """Go to the end of a member, where its checks are; False if more data came before it."""
        nbytes = self.position
        self._decoder.skip_member()
        return not isinstance(self._decoder, GzipDecoder) or self._decoder.decoded.nbytes <= nbytes

    def skip_to(self, position: int) -> None:
        """Pass over what comes before a place, as far as there is something."""
        scratch = np.empty(min(_SKIPPED_NBYTES, position - self.position), np.uint8)
        while self.position < position:
            if not self.read_into(scratch[: position - self.position]):
                return


class _Excerpts:
    """Ranges of a source, one after the other, up to some place.

    Where each would be a request to a server, those that follow come along.
    """

    def __init__(self, source: Source, end: int) -> None:
        self._source = source
        self._end = end
        self._begin = 0
        self._data = memoryview(b"")

    def take(self, begin: int, end: int) -> memoryview:
        """Return a range; fewer bytes where there are no more."""
        if not self._begin <= begin <= end <= self._begin + len(self._data):
            stop = end
            if self._source.costly:
                stop = max(end, min(self._end, begin + _FETCHED_NBYTES))
            self._begin, self._data = begin, memoryview(b"")
            self._data = self._source.read_range(begin, stop)
        return self._data[begin - self._begin : end - self._begin]


class _Ranges:
    """The bytes of a source from one place to another, for `PlainDecoder`."""

    def __init__(self, source: Source, begin: int, end: int) -> None:
        self._source = source
        self._excerpts = _Excerpts(source, end)
        self._pos = begin
        self._end = end

    def read_into(self, out: memoryview) -> int:
        nbytes = min(len(out), self._end - self._pos)
        if self._source.costly and nbytes < _FETCHED_NBYTES:
            piece = self._excerpts.take(self._pos, self._pos + nbytes)
            n = len(piece)
            out[:n] = piece
        else:
            n = self._source.read_range_into(self._pos, out[:nbytes])
        self._pos += n
        return n


class _Stretches:
    """The data of known stretches from some place on, for `PlainDecoder`."""

    def __init__(self, access: GzipAccess, begin: int, end: int, *, keep: bool = True) -> None:
        self._access = access
        self._excerpts = access.excerpts(end)
        self._pos = begin
        self._keep = keep
        self._begin = 0
        self._data: Bytes1D = np.empty(0, np.uint8)

    def read_into(self, out: memoryview) -> int:
        done = 0
        while done < len(out) and self._pos < self._access.log.nbytes:
            n = self._decode_whole(out[done:]) or self._copy(out[done:])
            done += n
            self._pos += n
        return done

    def _decode_whole(self, out: memoryview) -> int:
        """Decode a stretch in place, if all of it is wanted."""
        access = self._access
        number = access.log.find(self._pos)
        end = access.log.end(number)
        if access.log.points[number].offset != self._pos or end - self._pos > len(out):
            return 0
        return len(access.decode(number, self._excerpts, out))

    def _copy(self, out: memoryview) -> int:
        if not self._begin <= self._pos < self._begin + len(self._data):
            self._begin, self._data = self._access.stretch(
                self._pos, self._excerpts, keep=self._keep
            )
        piece = self._data[self._pos - self._begin :][: len(out)]
        out[: len(piece)] = piece.data
        return len(piece)
