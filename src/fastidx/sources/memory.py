"""Bytes that are in memory."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from .protocol import PEEK_NBYTES

if TYPE_CHECKING:
    from typing_extensions import Buffer


class MemorySource:
    """A bytes-like object, used where it lies."""

    costly = False
    may_wait = False
    only_at_hand = False

    def __init__(self, data: Buffer, name: str) -> None:
        view = memoryview(data)
        if not view.c_contiguous:
            raise TypeError(
                f"{name}: expected a C-contiguous bytes-like object, found one with gaps; "
                "copy it first (bytes(data))"
            )
        self.name = name
        self._all = self._rest = view.cast("B") if view.nbytes else memoryview(b"")
        self.nbytes: int | None = view.nbytes

    def peek(self, nbytes: int = PEEK_NBYTES) -> bytes:
        """Return the first bytes without taking them: so many, if there are."""
        return bytes(self._rest[:nbytes])

    def next_chunk(self) -> memoryview:
        """Take all that is left."""
        chunk, self._rest = self._rest, self._rest[:0]
        return chunk

    def read_into(self, out: memoryview) -> int:
        """Take as many bytes as fit; fewer only at the end."""
        n = min(len(out), len(self._rest))
        out[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n

    is_local_file = False

    def for_threads(self) -> MemorySource:
        """Return a source of the same content of which several threads may read ranges at once."""
        return self

    def read_all(self, threads: int) -> memoryview:  # noqa: ARG002 - nothing is to be read
        """Return the whole content, whatever has been taken before."""
        return self._all

    def read_range(
        self,
        begin: int,
        end: int | None,
        memory: memoryview | None = None,  # noqa: ARG002
    ) -> memoryview:
        """Return bytes from any place; fewer, and to the end if None, where there are no more."""
        return self._all[begin:end]

    def read_range_into(self, begin: int, out: memoryview) -> int:
        """Fill ``out`` from any place; returns how many bytes there were."""
        piece = self._all[begin : begin + len(out)]
        out[: len(piece)] = piece
        return len(piece)

    @property
    def can_restart(self) -> bool:
        """Whether `restart_at` and `read_range` work."""
        return True

    def restart_at(self, position: int) -> None:
        """Continue from any place."""
        self._rest = self._all[position:]

    def as_file(self) -> Any:
        """Return the whole as a file object that can seek."""
        return io.BytesIO(self._all)

    def rewind(self) -> None:
        """Do nothing: reading has no effect on the object."""

    def check_unchanged(self, *, suspicious: bool) -> None:
        """Do nothing: there is no telling."""

    def close(self) -> None:
        """Let go of the object."""
        self._all = self._rest = memoryview(b"")
