"""What sources share that read their bytes piece by piece, through a small buffer."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from .protocol import PEEK_NBYTES, Source

# A piece stays in the L2 cache until it is decoded. Below 128 KiB the C library takes the buffer
# from memory at hand instead of asking the system for new pages.
CHUNK_NBYTES = 96 * 1024


class BufferedSource(Source):
    """A source that delivers its bytes by `read_once`.

    Parameters
    ----------
    name : str
        How messages call it.
    nbytes : int or None
        Its size, if that is known.
    """

    def __init__(self, name: str, nbytes: int | None) -> None:
        self.name = name
        self.nbytes = nbytes
        # One byte more than a small file, so that the first read already shows its end.
        size = CHUNK_NBYTES if nbytes is None else min(CHUNK_NBYTES, nbytes + 1)
        self._buffer = np.empty(size, np.uint8).data
        self._start = self._stop = 0

    @abstractmethod
    def read_once(self, out: memoryview) -> int:
        """Read some bytes into ``out``, which has room for one at least; 0 at the end."""

    @property
    def nbuffered(self) -> int:
        """How many bytes have been read and not yet taken."""
        return self._stop - self._start

    def drop_buffered(self) -> None:
        """Forget the bytes that have been read and not taken."""
        self._start = self._stop = 0

    def peek(self, nbytes: int = PEEK_NBYTES) -> bytes:
        """Return the next bytes without taking them.

        Read no more than that takes: the rest of a pipe may come late, or never.
        """
        while self._stop - self._start < min(nbytes, len(self._buffer)):
            n = self.read_once(self._buffer[self._stop :])
            if n == 0:
                break
            self._stop += n
        return bytes(self._buffer[self._start : self._stop][:nbytes])

    def next_chunk(self) -> memoryview:
        """Take the bytes in the buffer, or else read some; empty at the end."""
        if self._start == self._stop:
            self._start = self._stop = 0
            self._stop = self.read_once(self._buffer)
        chunk = self._buffer[self._start : self._stop]
        self._start = self._stop
        return chunk

    def read_into(self, out: memoryview) -> int:
        """Take as many bytes as fit into ``out``."""
        done = min(len(out), self._stop - self._start)
        out[:done] = self._buffer[self._start : self._start + done]
        self._start += done
        while done < len(out):
            n = self.read_once(out[done:])
            if n == 0:
                break
            done += n
        return done

    def read_all(self, threads: int) -> memoryview:  # noqa: ARG002 - in order by one thread
        """Return the whole content; for sources that can restart and know their size."""
        self.restart_at(0)
        data = np.empty(self.nbytes or 0, np.uint8).data
        return data[: self.read_into(data)]

    def for_threads(self) -> Source:
        """Return the content in memory, which all threads can read."""
        from .memory import MemorySource

        return MemorySource(self.read_all(1), self.name)
