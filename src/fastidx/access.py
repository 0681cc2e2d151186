"""Random access to the data in a gzip stream, from checkpoints.

A checkpoint is a block boundary at which decoding can start: its bit position, and the 32 KiB of
data before it. Whoever decodes where nobody has been leaves some behind; an index file brings them
along. The stretch between two of them is decoded as a whole, so that its CRC-32 can be checked
where it is known, and the last few stretches are kept.
"""

from __future__ import annotations

import bisect
import contextlib
import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ._kernel import GzipDecoder, crc32_combine
from .destination import Bytes1D, Destination, Reader
from .errors import ChecksumError, CorruptError, IdxError
from .gzindex import Checkpoint, GzipIndex
from .sources import BytesSource, Decoder, FileSource, PlainDecoder
from .threads import run_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._kernel import Expansion

# Decoded stretches to keep: two, so that items across a boundary do not decode both again and
# again.
_KEPT_STRETCHES = 2

# Where checkpoints are farther apart, the way from one is decoded only as far as is asked for: that
# cannot be checked, but takes neither the time nor the memory.
_MOST_STRETCH_NBYTES = 1 << 20
# Unless several threads read much of the data, where most of it is asked for anyway.
_MOST_PARALLEL_STRETCH_NBYTES = 16 << 20

# Compressed bytes per byte of data, assumed until so much data has shown what it is.
_FIRST_RATE = 1 / 8
_KNOWN_RATE_NBYTES = 64 * 1024

# Data that is passed over is decoded in pieces of this size.
_SKIPPED_NBYTES = 1 << 20

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
    crcs: list[int] = field(default_factory=list)  # of the stretches that end at a checkpoint
    nbytes: int = 0  # of data, up to the last checkpoint or, once complete, to the end
    complete: bool = False

    @classmethod
    def of_index(cls, index: GzipIndex, nbytes: int) -> CheckpointLog:
        """Take over what an index knows of a stream that decodes to ``nbytes``."""
        return cls(
            index.spacing,
            points=list(index.points),
            crcs=list(index.crcs or []),
            nbytes=nbytes,
            complete=True,
        )

    def find(self, offset: int) -> int:
        """Return the number of the last checkpoint at or before ``offset``."""
        return bisect.bisect_right(self.points, offset, key=lambda point: point.offset) - 1

    def end(self, number: int) -> int:
        """Return where a stretch ends, as far as is known."""
        return self.points[number + 1].offset if number + 1 < len(self.points) else self.nbytes

    def add(self, point: Checkpoint, crc: int | None) -> None:
        """Append a checkpoint, and the CRC-32 of the stretch before it."""
        if self.points and crc is not None:
            self.crcs.append(crc)
        self.points.append(point)
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
        self.points, self.crcs, self.nbytes = [], [], 0

    def _thin_out(self) -> None:
        self.spacing *= 2
        if self.crcs:
            ends = [point.offset for point in self.points[1:]]
            self.crcs = [
                crc32_combine(self.crcs[i], self.crcs[i + 1], ends[i + 1] - ends[i])
                for i in range(0, len(self.crcs), 2)
            ]
        self.points = self.points[::2]


class GzipStream:
    """The data from one place on, in order; where nobody has been, it leaves checkpoints.

    Parameters
    ----------
    source : BytesSource or FileSource
        It is put to where the stream starts.
    log : CheckpointLog
    verify : bool
        Whether to compute and check checksums.
    number : int, optional
        Of the checkpoint to start from; by default from the beginning of the file.
    """

    def __init__(
        self,
        source: BytesSource | FileSource,
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
            self._first_bit = point.bit // 8 * 8
            self._first_offset = point.offset
            source.restart_at(point.bit // 8)
            self._decoder.resume(point.bit % 8, point.window)
        else:
            source.restart_at(0)
        self.position = self._first_offset
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
            log.add(point, crc)
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

    def independent(self, begin: int, end: int) -> Reader | None:
        """Return the same for use in another thread; None if there is no such thing."""


def read_in_parallel(access: Access, place: int, destination: Destination, threads: int) -> bool:
    """Read all that a destination is for, from ``place`` on, in parts that are decoded at once.

    Returns
    -------
    bool
        False if it is not known where parts can begin, or there is less data; what the destination
        holds is undefined then.
    """
    nbytes = destination.nbytes
    if access.independent(place, place + nbytes) is None:
        return False
    step = max(8, -(-nbytes // threads // 8) * 8)
    parts = [(begin, min(begin + step, nbytes)) for begin in range(0, nbytes, step)]

    def read(part: tuple[int, int]) -> bool:
        begin, end = part
        reader = access.independent(place + begin, place + end)
        return reader is not None and destination.read(reader, begin, end) == end - begin

    return all(run_all(read, parts, threads))


def load_by_index(
    source: BytesSource | FileSource,
    index: GzipIndex,
    items: Destination,
    *,
    threads: int,
    verify: bool,
) -> bool:
    """Load all items, in threads that each start at a checkpoint.

    Returns
    -------
    bool
        False if anything is wrong with the data or the index, or if the data cannot be verified
        this way and should be; what is wrong with a file is for the serial decoder to say.
    """
    place = items.header.header_nbytes
    log = CheckpointLog.of_index(index, place + items.nbytes)
    if index.uncompressed_nbytes not in (0, log.nbytes):
        return False
    access = GzipAccess(source, log, verify=verify)
    try:
        if not read_in_parallel(access, place, items, threads):
            return False
    except IdxError:
        return False
    return not verify or index.crcs is not None or _footer_holds(source, access)


def _footer_holds(source: BytesSource | FileSource, access: GzipAccess) -> bool:
    """Whether stretches that were decoded are all of the data of a file's only member.

    Its CRC-32 and ISIZE then tell; they are the last 8 bytes (RFC 1952, section 2.3.1).
    """
    log, nbytes = access.log, source.nbytes or 0
    crc = 0
    for number, point in enumerate(log.points):
        if number not in access.crcs:
            return False
        crc = crc32_combine(crc, access.crcs[number], log.end(number) - point.offset)
    footer = crc.to_bytes(4, "little") + (log.nbytes % 2**32).to_bytes(4, "little")
    return bytes(source.read_range(nbytes - 8, nbytes)) == footer


class PlainAccess:
    """The bytes of an uncompressed source that can seek."""

    def __init__(self, source: BytesSource | FileSource) -> None:
        self._source = source

    def at(self, begin: int, end: int) -> Reader:
        """Read in place, wherever it is."""
        return PlainDecoder(_Ranges(self._source, begin, end))

    independent = at


class ForwardAccess:
    """The data of a decoder that can only go forward, or start again from the beginning.

    Parameters
    ----------
    source : BytesSource or FileSource
    decoder : Decoder
        Of the source, and
    position : int
        how much of the data it has delivered.
    decode : callable
        Makes another for the restarted source.
    """

    def __init__(
        self,
        source: BytesSource | FileSource,
        decoder: Decoder,
        position: int,
        decode: Callable[[], Decoder],
    ) -> None:
        self._source = source
        self._decode = decode
        self._cursor = ForwardReader(decoder, position)

    def at(self, begin: int, end: int) -> Reader:  # noqa: ARG002 - it goes on to the end
        """Skip to a place; a source that cannot go back says so."""
        if self._cursor.position > begin:
            self._source.restart_at(0)
            self._cursor = ForwardReader(self._decode(), 0)
        self._cursor.skip_to(begin)
        return self._cursor

    def independent(self, begin: int, end: int) -> None:
        """There is only one decoder."""


class GzipAccess:
    """The data of a gzip stream, from the nearest checkpoint.

    Parameters
    ----------
    source : BytesSource or FileSource
        Of the compressed file; it must be able to restart.
    log : CheckpointLog
    verify : bool
        Whether to check each stretch's CRC-32 where it is known, and each member's where all of
        it is decoded.
    """

    def __init__(
        self, source: BytesSource | FileSource, log: CheckpointLog, *, verify: bool
    ) -> None:
        self._source = source
        self._verify = verify
        self.log = log
        self.crcs: dict[int, int] = {}  # of the stretches that have been decoded, by number
        self._stream: GzipStream | None = None
        self._kept: OrderedDict[int, Bytes1D] = OrderedDict()

    def at(self, begin: int, end: int) -> Reader:
        """Go on where the last read stopped, or take known stretches, or decode to the place."""
        stream = self._stream
        if stream is not None and stream.position == begin:
            return stream
        if end <= self.log.nbytes and self.log.spacing <= _MOST_STRETCH_NBYTES:
            self._prefetch(begin, end)
            return PlainDecoder(_Stretches(self, begin))
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

    def independent(self, begin: int, end: int) -> Reader | None:
        """Decode stretches without keeping them, if they are known."""
        if end > self.log.nbytes or self.log.spacing > _MOST_PARALLEL_STRETCH_NBYTES:
            return None
        return PlainDecoder(_Stretches(self, begin, keep=False))

    def _prefetch(self, begin: int, end: int) -> None:
        """Have the source fetch at once what known stretches take of it, if not all are kept."""
        log = self.log
        first, last = log.find(begin), log.find(end - 1)
        if first < last or log.points[first].offset not in self._kept:
            self._source.prefetch(*self._extent(first, last))

    def _extent(self, first: int, last: int) -> tuple[int, int]:
        """Return where in the source some stretches lie, in whole bytes."""
        points = self.log.points
        end = self._source.nbytes or 0
        if last + 1 < len(points):
            end = -(-points[last + 1].bit // 8)
        return points[first].bit // 8, end

    def decode_all(self) -> None:
        """Complete the log."""
        stream = GzipStream(self._source, self.log, verify=self._verify)
        while stream.skip(_SKIPPED_NBYTES):
            pass
        stream.at_end()

    def stretch(self, offset: int, *, keep: bool) -> tuple[int, Bytes1D]:
        """Return the decoded stretch that holds a known place, and where it begins."""
        number = self.log.find(offset)
        begin = self.log.points[number].offset
        data = self._kept.get(begin) if keep else None
        if data is None or len(data) < self.log.end(number) - begin:  # thinning out joins stretches
            data = self.decode(number)
            if keep:
                self._kept[begin] = data
                if len(self._kept) > _KEPT_STRETCHES:
                    self._kept.popitem(last=False)
        return begin, data

    def decode(self, number: int, out: memoryview | None = None) -> Bytes1D:
        """Decode a known stretch, to memory that is large enough or to new memory."""
        log = self.log
        point = log.points[number]
        compressed = self._source.read_range(*self._extent(number, number))
        decoder = GzipDecoder(BytesSource(compressed, self._source.name), verify=self._verify)
        decoder.resume(point.bit % 8, point.window)
        nbytes = log.end(number) - point.offset
        data = np.empty(nbytes, np.uint8) if out is None else np.frombuffer(out, np.uint8, nbytes)
        done = decoder.read_into(data)
        if done < len(data):
            raise CorruptError(
                f"{self._source.name}: expected {len(data):,} bytes of data from byte "
                f"{point.offset:,} on, found {done:,}; the file does not belong to this index, "
                "or has changed: build the index anew"
            )
        self.crcs[number] = found = decoder.decoded.crc
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

    def skip_to(self, position: int) -> None:
        """Pass over what comes before a place, as far as there is something."""
        scratch = np.empty(min(_SKIPPED_NBYTES, position - self.position), np.uint8)
        while self.position < position:
            if not self.read_into(scratch[: position - self.position]):
                return


class _Ranges:
    """The bytes of a source from one place to another, for `PlainDecoder`."""

    def __init__(self, source: BytesSource | FileSource, begin: int, end: int) -> None:
        self._source = source
        self._pos = begin
        self._end = end

    def read_into(self, out: memoryview) -> int:
        n = self._source.read_range_into(self._pos, out[: self._end - self._pos])
        self._pos += n
        return n


class _Stretches:
    """The data of known stretches from some place on, for `PlainDecoder`."""

    def __init__(self, access: GzipAccess, begin: int, *, keep: bool = True) -> None:
        self._access = access
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
        return len(access.decode(number, out))

    def _copy(self, out: memoryview) -> int:
        if not self._begin <= self._pos < self._begin + len(self._data):
            self._begin, self._data = self._access.stretch(self._pos, keep=self._keep)
        piece = self._data[self._pos - self._begin :][: len(out)]
        out[: len(piece)] = piece.data
        return len(piece)
