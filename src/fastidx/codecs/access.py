"""The decoded data of a source, from any place on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from fastidx.format.header import IdxHeader
from fastidx.items.destination import Reader

from .ending import Ending, check_end


class PlacedReader(Ending, Protocol):
    """A reader that knows its place in the data.

    Attributes
    ----------
    position : int
        Offset of the next byte in the decoded data, header included. After `Access.at` it is less
        than what was asked for if the data end before.
    """

    position: int


class Access(ABC):
    """How to reach the data of one source: one class for each way.

    All places count bytes after decompression, the header included.

    Attributes
    ----------
    notices_changes : bool
        Whether data of a source that was replaced fail to decode, or fail a check.
    """

    notices_changes = True

    @abstractmethod
    def at(self, begin: int, end: int) -> PlacedReader:
        """Return a reader at ``begin``, which will be asked for the data up to ``end`` at least."""

    def independent(self, begin: int, end: int) -> Reader:
        """Return a reader as `at` does, for one thread while other threads use theirs."""
        return self.at(begin, end)

    def parts(self, begin: int, end: int, n: int) -> list[int]:  # noqa: ARG002
        """Return where to cut a range into about ``n`` parts for threads; none if it cannot be."""
        return []

    @property
    def known_nbytes(self) -> int | None:
        """How many bytes the source is known to decode to; None while that is unknown."""
        return None

    def check_end(self, reader: PlacedReader, header: IdxHeader, name: str) -> None:
        """Check what follows the last item, before the caller has that item.

        Raises
        ------
        TrailingDataError, TruncatedError
            If more data follow, or the compressed stream breaks off.
        """
        check_end(reader, header, name, strict=True)

    def finish(self, header: IdxHeader, name: str) -> None:  # noqa: B027 - most postpone none
        """Run the checks that `check_end` postponed so that the last item could be returned."""
