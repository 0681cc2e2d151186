"""What a source is asked for, and what a user may pass as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import os

    from typing_extensions import Buffer

# Read in pieces that stay in the L2 cache until they are decoded, in a buffer so small that the C
# library has memory for it at hand (below 128 KiB).
CHUNK_NBYTES = 96 * 1024
# Enough for the longest header that numpy can hold, and for messages to recognise other files.
PEEK_NBYTES = 4096


class BinaryReader(Protocol):
    """What is asked of a file object."""

    def read(self, nbytes: int, /) -> bytes:
        """Return at most that many bytes, none at the end."""


SourceLike: TypeAlias = "str | os.PathLike[str] | Buffer | BinaryReader"


class NothingAtHand(Exception):
    """To go on may mean to wait, which a source was told not to do."""


class Source(Protocol):
    """An open source: bytes in order and once or, where it can restart, from any place."""

    name: str
    nbytes: int | None
    only_at_hand: bool

    @property
    def costly(self) -> bool:
        """Whether each range that is read is a request to a server."""

    @property
    def may_wait(self) -> bool:
        """Whether to read behind the data may mean to wait for someone to write or close."""

    @property
    def is_local_file(self) -> bool:
        """Whether it is a file at a path here, of which threads can read ranges at once."""

    @property
    def can_restart(self) -> bool:
        """Whether `restart_at` and `read_range` work."""

    def peek(self, nbytes: int = PEEK_NBYTES) -> bytes:
        """Return the first bytes without taking them: so many, if there are."""

    def next_chunk(self) -> memoryview:
        """Take the bytes at hand, or read some; empty at the end. Valid until the next call."""

    def read_into(self, out: memoryview) -> int:
        """Take as many bytes as fit; fewer only at the end."""

    def for_threads(self) -> Source:
        """Return a source of the same content of which several threads may read ranges at once."""

    def read_all(self, threads: int) -> memoryview:
        """Return the whole content, whatever has been taken before."""

    def read_range(
        self, begin: int, end: int | None, memory: memoryview | None = None
    ) -> memoryview:
        """Return bytes from any place; fewer, and to the end if None, where there are no more."""

    def read_range_into(self, begin: int, out: memoryview) -> int:
        """Fill ``out`` from any place; returns how many bytes there were."""

    def restart_at(self, position: int) -> None:
        """Continue from any place."""

    def as_file(self) -> Any:
        """Return the whole as a file object that can seek; None if it cannot."""

    def rewind(self) -> None:
        """Put what the user passed back to where it was, if it can seek."""

    def check_unchanged(self, *, suspicious: bool) -> None:
        """Raise `SourceChangedError` if the content has changed since it was opened."""

    def close(self) -> None:
        """Close what was opened here."""
