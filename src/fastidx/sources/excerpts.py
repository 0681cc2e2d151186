"""Ranges of a source, with what follows them where each range is a request to a server."""

from __future__ import annotations

from .protocol import Source

# One request to a server fetches so many bytes.
FETCHED_NBYTES = 4 << 20


class Excerpts:
    """Ranges of a source, taken one after the other.

    Parameters
    ----------
    source : Source
    end : int
        Where the last range ends.
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
                stop = max(end, min(self._end, begin + FETCHED_NBYTES))
            self._begin, self._data = begin, memoryview(b"")
            self._data = self._source.read_range(begin, stop)
        return self._data[begin - self._begin : end - self._begin]
