"""Files as they are, without compression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastidx._kernel import convert
from fastidx.sources.buffered import CHUNK_NBYTES

if TYPE_CHECKING:
    from fastidx._kernel import Expansion
    from fastidx.sources.protocol import Source


class ByteReader:
    """What `PlainDecoder` takes its bytes from; a `Source` is one, too."""

    def read_into(self, out: memoryview, /) -> int:
        """Take as many bytes as fit; fewer only at the end."""
        raise NotImplementedError

    def skip_rest(self) -> None:
        """Read to the end, where the container has a checksum of its own."""


class PlainDecoder:
    """The bytes of an uncompressed IDX file: the counterpart of `GzipDecoder`."""

    def __init__(self, source: ByteReader | Source) -> None:
        self._source = source
        self._part = b""  # of an item that the source does not complete

    def read_into(
        self,
        out: Any,
        item_nbytes: int = 1,
        start: int = 0,
        expansion: Expansion | None = None,
    ) -> int:
        """Fill ``out`` with items; see `fastidx._kernel.GzipDecoder.read_into`."""
        if item_nbytes == 1 and expansion is None:
            view = memoryview(out)[start:]
            if not self._part:
                return self._source.read_into(view)
            left = min(len(self._part), len(view))
            view[:left], self._part = self._part[:left], self._part[left:]
            return left + self._source.read_into(view[left:])
        width = item_nbytes if expansion is None else expansion.entry_nbytes
        nitems = len(out) // width - start // item_nbytes
        out = out[start // item_nbytes * width :]
        piece = memoryview(bytearray(min(CHUNK_NBYTES, nitems * item_nbytes)))
        done = 0
        while done < nitems:
            wanted = min(len(piece) // item_nbytes, nitems - done)
            nbytes = self._source.read_into(piece[: wanted * item_nbytes])
            n = nbytes // item_nbytes
            self._part = bytes(piece[n * item_nbytes : nbytes])
            results = out[done * width : (done + n) * width]
            convert(results, piece[: n * item_nbytes], item_nbytes, expansion)
            done += n
            if n < wanted:
                break
        return done * item_nbytes

    @property
    def truncated(self) -> bool:
        """Whether the input has ended too early: a plain file cannot tell, but its header does."""
        return False

    def skip_member(self) -> bool:
        """Read on where what contains the file has checks of its own, as a zip archive has."""
        self._source.skip_rest()
        return True

    def at_end(self) -> bool:
        """Whether nothing more will come. The next byte stays to be read."""
        if not self._part:
            byte = bytearray(1)
            self._part = bytes(byte[: self._source.read_into(memoryview(byte))])
        return not self._part
