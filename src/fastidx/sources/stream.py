"""File objects of any kind as sources: pipes, sockets, responses, files that decompress.

Only their methods are used: ``readinto`` or ``read``, and ``tell`` and ``seek`` where they work.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import Any

from fastidx.errors import IdxError, TruncatedError

from .buffered import BufferedSource
from .protocol import NothingAtHand
from .range_file import RangeFile


class StreamSource(BufferedSource):
    """A binary file object, from its position on.

    Parameters
    ----------
    file : binary file object
        Short reads are as good as others.
    name : str
        How messages call it.
    owned : bool
        Whether `close` closes the file.
    """

    def __init__(self, file: Any, name: str, *, owned: bool) -> None:
        begin, nbytes = _extent(file)
        super().__init__(name, nbytes)
        self._file = file
        self._owned = owned
        self._begin = begin
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self.can_restart = begin is not None
        self.may_wait = begin is None
        # The position of any other object may be that of a descriptor, which processes share.
        self.survives_fork = type(file) is io.BytesIO or type(file).__module__ == "mmap"

    @property
    def begin(self) -> int | None:
        """The file object's position when it was passed; None if it cannot tell."""
        return self._begin

    def read_once(self, out: memoryview) -> int:
        """Read once; short reads are passed on."""
        if self.only_at_hand and not self._is_ready():
            raise NothingAtHand
        if os.getpid() != self._pid and not self.survives_fork:
            raise self._shared_position()
        try:
            return self._read(out)
        except Exception as error:
            if not _tells_early_end(error):
                raise
            raise TruncatedError(
                f"{self.name}: expected more data, found that the source ends early "
                f"({type(error).__name__}: {error}); fetch it again"
            ) from error

    def restart_at(self, position: int) -> None:
        """Continue from a position, if the file object can seek."""
        begin = self._seekable_begin(position)
        self._file.seek(begin + position)
        self.drop_buffered()

    def read_range_into(self, begin: int, out: memoryview) -> int:
        """Fill ``out`` from a position on, and seek back to where the next read goes on."""
        first = self._seekable_begin(begin)
        if self.nbytes is not None and begin >= self.nbytes:
            return 0  # some objects refuse to seek behind their end
        with self._lock:
            here = self._file.tell()
            self._file.seek(first + begin)
            done = 0
            while done < len(out) and (n := self.read_once(out[done:])):
                done += n
            self._file.seek(here)
        return done

    def as_file(self) -> RangeFile | None:
        """Return a file object over the content; it may have to decompress all to know the size."""
        if self._begin is None:
            return None
        nbytes = self.nbytes
        if nbytes is None:
            here = self._file.tell()
            self._file.seek(0, os.SEEK_END)
            nbytes = max(0, int(self._file.tell()) - self._begin)
            self._file.seek(here)
        return RangeFile(self, nbytes)

    def rewind(self) -> None:
        """Put the file object back, if it can seek."""
        if self._begin is not None:
            self.restart_at(0)

    def close(self) -> None:
        """Close the file, if it was opened here."""
        self.drop_buffered()
        if self._owned:
            self._file.close()

    def _is_ready(self) -> bool:
        """Whether the system knows that a read would not block, even if it finds the end."""
        import select

        try:
            return bool(select.select([self._file], [], [], 0)[0])
        except (AttributeError, OSError, TypeError, ValueError):
            return False  # the system knows nothing of this object

    def _read(self, out: memoryview) -> int:
        """Call the file object, and check what it answers."""
        n: Any
        if isinstance(self._file, (io.BufferedReader, io.BufferedRandom, io.BufferedRWPair)):
            n = self._file.readinto1(out)  # readinto() would wait until all of ``out`` is full
        elif hasattr(self._file, "readinto"):
            n = self._file.readinto(out)
        else:
            data = self._file.read(len(out))
            if isinstance(data, str):
                raise text_error(self.name)
            n = None if data is None else len(data)
            if n and n <= len(out):
                out[:n] = data
        if n is None:
            raise BlockingIOError(
                f"{self.name}: expected a blocking file, found a non-blocking one without data; "
                "make it blocking first (os.set_blocking)"
            )
        if not 0 <= int(n) <= len(out):
            raise OSError(
                f"{self.name}: expected 0 to {len(out):,} bytes from one read, found that the file "
                f"object claims {int(n):,}; its read or readinto method is wrong"
            )
        return int(n)

    def _seekable_begin(self, position: int) -> int:
        if self._begin is None:
            raise io.UnsupportedOperation(
                f"{self.name}: expected a source that can seek, to go to byte {position:,}, found "
                "one that cannot; read forward only, or open a path, URL or bytes"
            )
        return self._begin

    def _shared_position(self) -> RuntimeError:
        return RuntimeError(
            f"{self.name}: expected to be read in the process that opened it, found a forked one, "
            "which shares the file's position with its parent; open a path, URL or bytes "
            "instead, or open the file after the fork"
        )


def text_error(name: str) -> TypeError:
    """Return the error for a file object that gives text."""
    return TypeError(
        f"{name}: expected a binary file, found one open as text; open it in mode 'rb', or pass "
        "the file below it (such as sys.stdin.buffer)"
    )


def _extent(file: Any) -> tuple[int | None, int | None]:
    """Return a file object's position and the bytes from there to its end; Nones if unknown.

    Some objects, such as `mmap.mmap` before Python 3.13, seek without a method ``seekable``.
    """
    try:
        if hasattr(file, "seekable") and not file.seekable():
            return None, None
        begin = int(file.tell())
        if isinstance(file, io.BufferedIOBase) and not isinstance(
            file, (io.BytesIO, io.BufferedReader, io.BufferedRandom)
        ):
            # A file that decompresses as it goes (GzipFile, ZipExtFile): its end is far away.
            return begin, None
        file.seek(0, os.SEEK_END)
        end = int(file.tell())  # many a wrapper swallows what seek() returns
        file.seek(begin)
    except (AttributeError, TypeError, ValueError, OSError):
        return None, None
    return begin, max(0, end - begin)


def _tells_early_end(error: Exception) -> bool:
    """Whether a file object says by this error that its data are incomplete."""
    client = sys.modules.get("http.client")  # a program that reads a response has imported it
    incomplete = () if client is None else (client.IncompleteRead,)
    return isinstance(error, (EOFError, *incomplete)) and not isinstance(error, IdxError)
