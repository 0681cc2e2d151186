"""What a user may pass as a source, and what every opened source can do.

Each kind of source is one class in this folder: `MemorySource`, `LocalSource`, `StreamSource` and
`RemoteSource`; `fastidx.opening.zip` adds the members of zip archives.
`fastidx.opening.open` chooses among them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from typing_extensions import Buffer

# Enough for the longest header that numpy can hold, and for messages to recognise other files.
PEEK_NBYTES = 4096


class BinaryReader(Protocol):
    """The least that a user's file object must have."""

    def read(self, nbytes: int, /) -> bytes:
        """Return at most that many bytes, none at the end."""


SourceLike: TypeAlias = "str | os.PathLike[str] | Buffer | BinaryReader"


class NothingAtHand(Exception):
    """Raised instead of blocking, when the caller asked not to wait."""


class Source(ABC):
    """An opened source: its bytes in order and, where it can restart, from any place.

    Positions count from where the source begins. For a user's file object that is the position
    which the object had when it was passed.

    Attributes
    ----------
    name : str
        How messages call the source.
    nbytes : int or None
        Its size in bytes; None where only reading to the end tells.
    path : str or None
        Where it lies on this machine; None if it is no regular file with a name.
    costly : bool
        Whether each range is a request to a server.
    may_wait : bool
        Whether a read behind the data may block until somebody writes or closes.
    is_local_file : bool
        Whether threads can read ranges of it at the same time without a copy in memory.
    can_restart : bool
        Whether `restart_at` works and, where ``nbytes`` is known, `read_range`.
    survives_fork : bool
        Whether a child process can go on reading without disturbing its parent.
    only_at_hand : bool
        Set by the caller: raise `NothingAtHand` where a read may block.
    """

    name: str
    nbytes: int | None
    path: str | None = None
    costly = False
    may_wait = False
    is_local_file = False
    can_restart: bool
    survives_fork = False
    only_at_hand = False

    # ---- In order ----

    @abstractmethod
    def peek(self, nbytes: int = PEEK_NBYTES) -> bytes:
        """Return the next bytes without taking them; fewer only where the source ends."""

    @abstractmethod
    def next_chunk(self) -> memoryview:
        """Take the bytes at hand, or read some; empty at the end. Valid until the next call."""

    @abstractmethod
    def read_into(self, out: memoryview) -> int:
        """Take as many bytes as fit into ``out``; fewer only where the source ends."""

    # ---- From any place ----

    @abstractmethod
    def restart_at(self, position: int) -> None:
        """Continue from a position.

        Raises
        ------
        io.UnsupportedOperation
            If the source cannot restart.
        """

    @abstractmethod
    def read_range_into(self, begin: int, out: memoryview) -> int:
        """Fill ``out`` from a position on; return how many bytes there were.

        What `read_into` and `next_chunk` return next does not change.

        Raises
        ------
        io.UnsupportedOperation
            If the source cannot restart.
        """

    def read_range(
        self, begin: int, end: int | None, memory: memoryview | None = None
    ) -> memoryview:
        """Return the bytes from ``begin`` to ``end``, or to the end of the source if None.

        They lie in ``memory``, which an earlier call has returned, if it is large enough. Fewer
        bytes come back where the source ends.
        """
        nbytes = max(0, (self.nbytes or 0 if end is None else end) - begin)
        if memory is None or len(memory) < nbytes:
            memory = np.empty(nbytes, np.uint8).data
        return memory[: self.read_range_into(begin, memory[:nbytes])]

    @abstractmethod
    def read_all(self, threads: int) -> memoryview:
        """Return the whole content, read by several threads where that is faster."""

    @abstractmethod
    def for_threads(self) -> Source:
        """Return a source of the same content whose ranges threads can read at the same time."""

    def as_file(self) -> Any:
        """Return a file object with its own position over the content; None if that cannot be."""
        from .range_file import RangeFile

        if not self.can_restart or self.nbytes is None:
            return None
        return RangeFile(self, self.nbytes)

    # ---- Servers and containers ----

    def limit_pieces(self, nbytes: int) -> None:  # noqa: B027 - only servers are asked in pieces
        """Limit the size of one read-ahead request to a server."""

    def expect(self, at_once: int, *, stop: int | None = None) -> None:  # noqa: B027
        """Tell a server's source how much to ask for at once, and behind which byte nothing is.

        Parameters
        ----------
        at_once : int
            Bytes of one request.
        stop : int, optional
            Where the part ends that will be read; by default the end of the source.
        """

    def skip_rest(self) -> None:  # noqa: B027 - most sources have no checks of their own
        """Read to the end, where what contains the source has a checksum of its own."""

    # ---- State ----

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self.name}: expected a path, URL or bytes to pickle, found an opened source; pass "
            "what it was opened from, and open that in the other process"
        )

    @property
    def identity(self) -> Mapping[str, object]:
        """Properties that change with the content, such as size and time; empty if none are known.

        Two openings show the same content only if the properties that both have are equal.
        """
        return {}

    def rewind(self) -> None:  # noqa: B027 - nothing moves an object in memory
        """Put a user's file object back to the position at which it was passed."""

    def check_unchanged(self, *, suspicious: bool) -> None:  # noqa: B027 - not all can tell
        """Raise `SourceChangedError` if the content is not what it was at opening.

        Parameters
        ----------
        suspicious : bool
            Whether the data that were read give reason to ask. Otherwise a source asks only where
            that is cheap, or where its pieces may come from two versions.
        """

    @abstractmethod
    def close(self) -> None:
        """Close what was opened here; a user's object stays open."""
