"""Data that can only be decoded in order: xz files, pipes, members without a trusted size."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastidx._kernel import GzipDecoder
from fastidx.format.faults import trailing_error
from fastidx.format.header import IdxHeader
from fastidx.sources.protocol import NothingAtHand, Source

from .access import Access, PlacedReader
from .detect import Decoder

if TYPE_CHECKING:
    from fastidx._kernel import Expansion

# Data that are passed over are decoded so many bytes at a time.
_SKIPPED_NBYTES = 1 << 20

# The position of a reader that has failed: behind everything that a caller can ask for.
_LOST = sys.maxsize


class ForwardAccess(Access):
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
        self._unchecked = False
        self.cursor = ForwardReader(decoder, position)

    def at(self, begin: int, end: int) -> ForwardReader:  # noqa: ARG002 - it goes on to the end
        """Skip to a place; a source that cannot go back says so."""
        if self.cursor.position > begin:
            self._source.restart_at(0)
            self._unchecked = False
            self.cursor = ForwardReader(self._decode(), 0)
        self.cursor.skip_to(begin)
        return self.cursor

    def check_end(self, reader: PlacedReader, header: IdxHeader, name: str) -> None:
        """Check what follows, as far as that cannot block; `finish` checks the rest."""
        if not self._source.may_wait:
            super().check_end(reader, header, name)
            return
        self._unchecked = True
        self._source.only_at_hand = True
        try:
            super().check_end(reader, header, name)
            self._unchecked = False
        except NothingAtHand:
            pass
        finally:
            self._source.only_at_hand = False

    def finish(self, header: IdxHeader, name: str) -> None:
        """Read the checksum that must follow the data, and look for more data without waiting.

        The end of the stream need not ever come: a peer may keep it open.
        """
        if not self._unchecked:
            return
        if not self.cursor.skip_member():
            raise trailing_error(header, name)
        self.check_end(self.cursor, header, name)


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
