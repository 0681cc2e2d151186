"""Plain files from any place on."""

from __future__ import annotations

from fastidx.sources.excerpts import FETCHED_NBYTES, Excerpts
from fastidx.sources.protocol import Source

from .access import Access
from .plain import ByteReader, PlainDecoder


class PlainAccess(Access):
    """The bytes of an uncompressed source that can restart.

    Parameters
    ----------
    source : Source
        It knows its size.
    """

    notices_changes = False

    def __init__(self, source: Source) -> None:
        self._source = source

    def at(self, begin: int, end: int) -> RangeReader:
        """Return a reader of these bytes."""
        return RangeReader(self._source, begin, end)

    def parts(self, begin: int, end: int, n: int) -> list[int]:
        """Cut anywhere; but several requests to a server take longer than one."""
        if self._source.costly:
            return []
        return list(range(begin, end, max(1, -(-(end - begin) // n))))[1:]

    @property
    def known_nbytes(self) -> int | None:
        """The size of the source."""
        return self._source.nbytes


class RangeReader(PlainDecoder):
    """The bytes of a source from one place to another."""

    def __init__(self, source: Source, begin: int, end: int) -> None:
        self._ranges = _Ranges(source, begin, end)
        self._nbytes = source.nbytes
        super().__init__(self._ranges)

    @property
    def position(self) -> int:
        """Offset of the next byte in the source."""
        return self._ranges.position

    def at_end(self) -> bool:
        """Whether the source holds no more bytes."""
        return self._nbytes is None or self.position >= self._nbytes


class _Ranges(ByteReader):
    def __init__(self, source: Source, begin: int, end: int) -> None:
        self.position = begin
        self._source = source
        self._excerpts = Excerpts(source, end)
        self._end = end

    def read_into(self, out: memoryview) -> int:
        """Take as many bytes as fit, up to the end."""
        nbytes = min(len(out), self._end - self.position)
        if self._source.costly and nbytes < FETCHED_NBYTES:
            found = self._excerpts.take(self.position, self.position + nbytes)
            n = len(found)
            out[:n] = found
        else:
            n = self._source.read_range_into(self.position, out[:nbytes])
        self.position += n
        return n
