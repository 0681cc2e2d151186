"""The decoded data of a source, from any place on."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from typing import Protocol

from fastidx.base.threads import run_all
from fastidx.format.header import IdxHeader
from fastidx.items.destination import Destination, Reader

from .ending import Ending, check_end

# More parts than threads, so that a thread that is slower than the others does not hold them up.
_PARTS_PER_THREAD = 4


class PlacedReader(Ending, Protocol):
    """A reader that knows its place in the decoded data, the header included.

    After `Access.at` its position is less than what was asked for if the data end before.
    """

    @property
    def position(self) -> int:
        """Offset of the next byte."""


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
