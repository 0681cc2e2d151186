"""File objects over a source, for libraries that read files, such as `zipfile`."""

from __future__ import annotations

import io
from typing import Protocol

import numpy as np


class Ranged(Protocol):
    """What a file object needs of a source."""

    def read_range_into(self, begin: int, out: memoryview, /) -> int:
        """Fill ``out`` from a position on; return how many bytes there were."""


class RangeFile(io.RawIOBase):
    """The content of a source as a seekable binary file.

    It has a position of its own and neither moves the source nor the file below it, so that a
    forked process can use it too. A read returns all bytes asked for, unless the source ends,
    as `zipfile` expects.

    Parameters
    ----------
    source : Source
        It can restart.
    nbytes : int
        Its size in bytes.

    Attributes
    ----------
    error : OSError or None
        The last error of the source. `zipfile` takes some of them for the end of the file.
    """

    def __init__(self, source: Ranged, nbytes: int) -> None:
        self.error: OSError | None = None
        self._source = source
        self._nbytes = nbytes
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._nbytes}[whence]
        if base + offset < 0:
            raise OSError(f"cannot seek to {offset} from {whence}")
        self._position = base + offset
        return self._position

    def read(self, nbytes: int | None = -1, /) -> bytes:
        """Return the next bytes, all to the end if ``nbytes`` is negative or None."""
        left = max(0, self._nbytes - self._position)
        wanted = left if nbytes is None or nbytes < 0 else min(nbytes, left)
        out = np.empty(wanted, np.uint8).data
        return bytes(out[: self.readinto(out)])

    def readinto(self, out: memoryview, /) -> int:  # type: ignore[override]
        """Fill ``out`` with the next bytes; return how many there were."""
        try:
            n = self._source.read_range_into(self._position, memoryview(out).cast("B"))
        except OSError as error:
            self.error = error
            raise
        self._position += n
        return n


class FullReads(io.RawIOBase):
    """A file whose reads return all bytes asked for, unless it ends, as `zipfile` expects.

    Parameters
    ----------
    file : binary file object
        It can seek; its own reads may be short.

    Attributes
    ----------
    error : OSError or None
        The last error of the file. `zipfile` takes some of them for the end of the file.
    """

    def __init__(self, file: io.RawIOBase) -> None:
        self.error: OSError | None = None
        self._file = file

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position."""
        return self._file.seek(offset, whence)

    def readinto(self, out: memoryview, /) -> int:  # type: ignore[override]
        """Fill ``out`` with the next bytes; return how many there were."""
        view = memoryview(out).cast("B")
        done = 0
        try:
            while done < len(view) and (n := self._file.readinto(view[done:])):
                done += n
        except OSError as error:
            self.error = error
            raise
        return done
