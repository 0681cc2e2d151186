"""Random access to the data in a gzip stream, from checkpoints.

The stretch between two checkpoints is decoded as a whole, so that its CRC-32 can be checked where
it is known, and the last few stretches are kept.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from fastidx.codecs.access import Access, PlacedReader
from fastidx.errors import ChecksumError
from fastidx.format.header import IdxHeader
from fastidx.sources.protocol import Source

from .checkpoints import CheckpointLog
from .stream import GzipStream
from .stretches import Stretches, StretchReader

if TYPE_CHECKING:
    from collections.abc import Callable

# Beyond this spacing, decode only what was requested: cheaper, but without a CRC check.
_MOST_STRETCH_NBYTES = 1 << 20

# Data that are passed over are decoded so many bytes at a time.
_SKIPPED_NBYTES = 1 << 20


class GzipAccess(Access):
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
        self._stretches = Stretches(source, log, verify=verify)
        self._stream: GzipStream | None = None

    @property
    def log(self) -> CheckpointLog:
        """The checkpoints."""
        return self._stretches.log

    @log.setter
    def log(self, log: CheckpointLog) -> None:
        self._stretches = Stretches(self._source, log, verify=self._verify)

    def at(self, begin: int, end: int) -> GzipStream | StretchReader:
        """Go on where the last read stopped, or take known stretches, or decode to the place."""
        stream = self._stream
        if stream is not None and stream.position == begin:
            return stream
        if self._knows(end) and (begin == end or self.log.spacing <= _MOST_STRETCH_NBYTES):
            return StretchReader(self._stretches, begin, end)
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

    def independent(self, begin: int, end: int) -> StretchReader:
        """Decode known stretches without keeping them."""
        return StretchReader(self._stretches, begin, end, keep=False)

    def decode_all(self, progress: Callable[[int], object] | None = None) -> None:
        """Complete the log."""
        stream = GzipStream(self._source, self.log, verify=self._verify)
        while n := stream.skip(_SKIPPED_NBYTES):
            if progress is not None:
                progress(n)
        stream.at_end()

    @property
    def known_nbytes(self) -> int | None:
        """The size of all data, once the end of the stream has been seen."""
        return self.log.nbytes if self.log.complete else None

    def check_end(self, reader: PlacedReader, header: IdxHeader, name: str) -> None:
        """Check what follows the last item, and the file's footer."""
        super().check_end(reader, header, name)
        self.check_footer()

    def _knows(self, end: int) -> bool:
        # At the end of what is known so far, the stream itself has to say what comes.
        return end < self.log.nbytes + self.log.complete

    def may_be_one_member(self) -> bool:
        """Whether the last member's length is that of all data."""
        return self._footer()[4:] == struct.pack("<I", self.log.nbytes % 2**32)

    def agrees_with_footer(self) -> bool:
        """Whether all stretches together have the CRC-32 that the last member states."""
        return self._footer()[:4] == struct.pack("<I", self._stretches.crc_of_all() or 0)

    def check_footer(self) -> None:
        """With all data read: compare them with the file's own footer, where that can be done.

        Raises
        ------
        ChecksumError
            If the index and the file contradict each other.
        """
        crc = self._stretches.crc_of_all() if self._verify and self.log.complete else None
        if crc is None or not self.may_be_one_member():
            return
        (stated,) = struct.unpack("<I", self._footer()[:4])
        if stated != crc:
            raise ChecksumError(
                f"{self._source.name}: expected data with CRC-32 {stated:08x}, as the gzip member "
                f"says, found {crc:08x} with the index; the index is damaged: build the index anew"
            )

    def _footer(self) -> bytes:
        """CRC-32 and ISIZE of the last member (RFC 1952, section 2.3.1)."""
        nbytes = self._source.nbytes or 0
        return bytes(self._source.read_range(max(0, nbytes - 8), nbytes))
