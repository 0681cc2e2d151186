"""A bytes-like object as a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .protocol import PEEK_NBYTES, Source

if TYPE_CHECKING:
    from typing_extensions import Buffer


class MemorySource(Source):
    """A bytes-like object, read where it lies.

    Parameters
    ----------
    data : bytes-like
        C-contiguous. Until `close` it is locked against a change of its size.
    name : str
        How messages call it.

    Raises
    ------
    TypeError
        If ``data`` is not bytes-like, or has gaps.
    """

    can_restart = True
    survives_fork = True

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
        """Return the next bytes without taking them."""
        return bytes(self._rest[:nbytes])

    def next_chunk(self) -> memoryview:
        """Take all bytes that are left."""
        chunk, self._rest = self._rest, self._rest[:0]
        return chunk

    def read_into(self, out: memoryview) -> int:
        """Take as many bytes as fit into ``out``."""
        n = min(len(out), len(self._rest))
        out[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n

    def restart_at(self, position: int) -> None:
        """Continue from a position."""
        self._rest = self._all[position:]

    def read_range_into(self, begin: int, out: memoryview) -> int:
        """Copy bytes from a position on."""
        found = self._all[begin : begin + len(out)]
        out[: len(found)] = found
        return len(found)

    def read_range(
        self,
        begin: int,
        end: int | None,
        memory: memoryview | None = None,  # noqa: ARG002 - nothing is copied
    ) -> memoryview:
        """Return a view of the bytes from ``begin`` to ``end``."""
        return self._all[begin:end]

    def read_all(self, threads: int) -> memoryview:  # noqa: ARG002 - nothing is read
        """Return a view of the whole."""
        return self._all

    def for_threads(self) -> MemorySource:
        """Return this source: a view can be read by all threads."""
        return self

    def close(self) -> None:
        """Let go of the object."""
        self._all = self._rest = memoryview(b"")
