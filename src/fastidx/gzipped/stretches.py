"""Data of a gzip file, stretch by stretch."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from fastidx._kernel import GzipDecoder, crc32_combine
from fastidx.base.memory import Bytes1D
from fastidx.codecs.plain import ByteReader, PlainDecoder
from fastidx.errors import ChecksumError, CorruptError, TrailingDataError
from fastidx.sources.excerpts import Excerpts
from fastidx.sources.memory import MemorySource
from fastidx.sources.protocol import Source

from .checkpoints import CheckpointLog

# Decoded stretches to keep: two, so that items across a boundary do not decode both each time.
_KEPT_STRETCHES = 2


class Stretches:
    """The stretches of one file that are known: decoded as a whole, checked, and some kept.

    Parameters
    ----------
    source : Source
        Of the compressed file; it can restart and knows its size.
    log : CheckpointLog
    verify : bool
        Whether to check each stretch's CRC-32 where it is known.
    """

    def __init__(self, source: Source, log: CheckpointLog, *, verify: bool) -> None:
        self.log = log
        self._source = source
        self._verify = verify
        self._kept: OrderedDict[int, Bytes1D] = OrderedDict()
        self._crcs: dict[int, tuple[int, int]] = {}  # decoded stretches by offset: CRC-32, size

    def excerpts(self, end: int) -> Excerpts:
        """Return what fetches the compressed bytes of known stretches up to some place."""
        return Excerpts(self._source, self.extent(self.log.find(end - 1))[1])

    def extent(self, number: int) -> tuple[int, int]:
        """Return where the compressed bytes of a known stretch begin and end."""
        points = self.log.points
        end = self._source.nbytes or 0
        if number + 1 < len(points):
            end = -(-points[number + 1].bit // 8)
        return points[number].bit // 8, end

    def stretch(self, offset: int, excerpts: Excerpts, *, keep: bool) -> tuple[int, Bytes1D]:
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

    def decode(self, number: int, excerpts: Excerpts, out: memoryview | None = None) -> Bytes1D:
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

    def crc_of_all(self) -> int | None:
        """Return the CRC-32 of all data; None if not all stretches have been decoded."""
        crc = 0
        for number, point in enumerate(self.log.points):
            nbytes = self.log.end(number) - point.offset
            found, size = self._crcs.get(point.offset, (0, 0))
            if size != nbytes:
                return None
            crc = crc32_combine(crc, found, nbytes)
        return crc


class StretchReader(PlainDecoder):
    """The data of known stretches from some place on.

    Parameters
    ----------
    stretches : Stretches
    begin, end : int
        Offsets into the data.
    keep : bool
        Whether to keep decoded stretches for later reads.
    """

    def __init__(self, stretches: Stretches, begin: int, end: int, *, keep: bool = True) -> None:
        self._stretches = stretches
        self._bytes = StretchBytes(stretches, begin, end, keep=keep)
        super().__init__(self._bytes)

    @property
    def position(self) -> int:
        """Offset of the next byte in the data."""
        return self._bytes.position

    def at_end(self) -> bool:
        """Whether the stream ends here."""
        return self.position >= self._stretches.log.nbytes


class StretchBytes(ByteReader):
    """The data of known stretches from some place on."""

    def __init__(self, stretches: Stretches, begin: int, end: int, *, keep: bool = True) -> None:
        self._stretches = stretches
        self._excerpts = stretches.excerpts(end)
        self.position = begin
        self._keep = keep
        self._begin = 0
        self._data: Bytes1D = np.empty(0, np.uint8)

    def read_into(self, out: memoryview) -> int:
        """Take as many bytes as fit; fewer only at the end of the data."""
        done = 0
        while done < len(out) and self.position < self._stretches.log.nbytes:
            n = self._decode_whole(out[done:]) or self._copy(out[done:])
            done += n
            self.position += n
        return done

    def _decode_whole(self, out: memoryview) -> int:
        """Decode a stretch in place, if all of it is wanted."""
        stretches = self._stretches
        number = stretches.log.find(self.position)
        end = stretches.log.end(number)
        if stretches.log.points[number].offset != self.position or end - self.position > len(out):
            return 0
        return len(stretches.decode(number, self._excerpts, out))

    def _copy(self, out: memoryview) -> int:
        if not self._begin <= self.position < self._begin + len(self._data):
            self._begin, self._data = self._stretches.stretch(
                self.position, self._excerpts, keep=self._keep
            )
        piece = self._data[self.position - self._begin :][: len(out)]
        out[: len(piece)] = piece.data
        return len(piece)
