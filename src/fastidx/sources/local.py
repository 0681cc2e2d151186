"""Binary file objects."""

from __future__ import annotations

import io
import os
import stat
import sys
import threading
from typing import Any

import numpy as np

from fastidx.base.threads import run_all
from fastidx.errors import IdxError, SourceChangedError, TruncatedError

from .memory import MemorySource
from .protocol import CHUNK_NBYTES, PEEK_NBYTES, NothingAtHand


class FileSource:
    """A binary file object, from its position on. Short reads are as good as others.

    Attributes
    ----------
    only_at_hand : bool
        Whether to raise `NothingAtHand` where to read may mean to wait.
    """

    def __init__(self, file: Any, name: str, *, owned: bool) -> None:
        self.name = name
        self._file = file
        self._owned = owned
        self.only_at_hand = False
        self._lock = threading.Lock()
        self._stat = _stat(file) if owned else None
        self._begin: int | None
        self.nbytes: int | None
        # A file that has just been opened is at its beginning; others are asked.
        self._begin, self.nbytes = _extent(file) if self._stat is None else (0, self._stat[0])
        # One byte more than a small file, so that the first read already shows its end.
        size = CHUNK_NBYTES if self.nbytes is None else min(CHUNK_NBYTES, self.nbytes + 1)
        self._buffer = np.empty(size, np.uint8).data
        self._start = self._stop = 0

    def _read_once(self, out: memoryview) -> int:
        """Read once into ``out``; 0 at the end."""
        if self.only_at_hand and not self._is_ready():
            raise NothingAtHand
        try:
            return self._read_some(out)
        except Exception as error:
            if not _tells_early_end(error):
                raise
            raise TruncatedError(
                f"{self.name}: expected more data, found that the source ends early "
                f"({type(error).__name__}: {error}); fetch it again"
            ) from error

    def _is_ready(self) -> bool:
        """Whether the system knows that there is something to read, be it the end."""
        import select

        try:
            return bool(select.select([self._file], [], [], 0)[0])
        except (AttributeError, OSError, TypeError, ValueError):
            return False  # nothing that the system knows of

    def _read_some(self, out: memoryview) -> int:
        n: int | None
        if isinstance(self._file, (io.BufferedReader, io.BufferedRandom, io.BufferedRWPair)):
            n = self._file.readinto1(out)  # its readinto() waits until all of it is full
        elif hasattr(self._file, "readinto"):
            n = self._file.readinto(out)
        else:
            data = self._file.read(len(out))
            if isinstance(data, str):
                raise text_file(self.name)
            n = None if data is None else len(data)
            if n:
                out[:n] = data
        if n is None:
            raise BlockingIOError(
                f"{self.name}: expected a blocking file, found a non-blocking one without data; "
                "make it blocking first (os.set_blocking)"
            )
        return int(n)

    def _fill_buffer(self) -> None:
        self._stop = self._read_once(self._buffer)
        self._start = 0

    def peek(self, nbytes: int = PEEK_NBYTES) -> bytes:
        """Return the first bytes without taking them: so many, if there are, and no more.

        Of a pipe the rest may come late, or never.
        """
        while self._stop - self._start < min(nbytes, len(self._buffer)):
            n = self._read_once(self._buffer[self._stop :])
            if n == 0:
                break
            self._stop += n
        return bytes(self._buffer[self._start : self._stop][:nbytes])

    def next_chunk(self) -> memoryview:
        """Take the bytes at hand, or read some; empty at the end. Valid until the next call."""
        if self._start == self._stop:
            self._fill_buffer()
        chunk = self._buffer[self._start : self._stop]
        self._start = self._stop
        return chunk

    def read_into(self, out: memoryview) -> int:
        """Take as many bytes as fit; fewer only at the end."""
        done = min(len(out), self._stop - self._start)
        out[:done] = self._buffer[self._start : self._start + done]
        self._start += done
        while done < len(out):
            n = self._read_once(out[done:])
            if n == 0:
                break
            done += n
        return done

    @property
    def is_local_file(self) -> bool:
        """Whether it is a file at a path here, of which threads can read ranges at once."""
        return self._owned and _can_read_anywhere(self._file)

    def for_threads(self) -> MemorySource | FileSource:
        """Return a source of the same content of which several threads may read ranges at once."""
        if self.is_local_file:
            return self
        return MemorySource(self.read_all(1), self.name)

    def read_all(self, threads: int) -> memoryview:
        """Return the whole content, whatever has been taken before; for files that can seek."""
        self.rewind()
        self._start = self._stop = 0
        data = np.empty(self.nbytes or 0, np.uint8).data
        if not self.is_local_file:
            return data[: self.read_into(data)]
        # With several threads because touching new memory takes longer than copying to it.
        step = max(CHUNK_NBYTES, -(-len(data) // threads))
        parts = range(0, len(data), step)
        done = run_all(lambda pos: self._read_at(pos, data[pos : pos + step]), parts, threads)
        return data[: sum(done)] if all(n == step for n in done[:-1]) else data[: done[0]]

    def _read_at(self, pos: int, out: memoryview) -> int:
        done = 0
        while done < len(out):
            n = os.preadv(self._file.fileno(), [out[done:]], pos + done)
            if n == 0:
                break
            done += n
        return done

    def read_range(
        self, begin: int, end: int | None, memory: memoryview | None = None
    ) -> memoryview:
        """Return bytes from any place; fewer, and to the end if None, where there are no more.

        They are put in ``memory``, which an earlier call has returned, if there is enough of it.
        """
        nbytes = max(0, (self.nbytes or 0 if end is None else end) - begin)
        if memory is None or len(memory) < nbytes:
            memory = np.empty(nbytes, np.uint8).data
        return memory[: self.read_range_into(begin, memory[:nbytes])]

    def read_range_into(self, begin: int, out: memoryview) -> int:
        """Fill ``out`` from any place; returns how many bytes there were."""
        if self.is_local_file:
            return self._read_at(begin, out)
        if self._begin is None:
            raise self._cannot_seek(begin)
        with self._lock:
            if self.costly:
                n: int = self._file.read_range_into(self._begin + begin, out)
                return n
            # Whoever reads on from where the file is must find it there.
            here = self._file.tell()
            self._file.seek(self._begin + begin)
            done = 0
            while done < len(out) and (n := self._read_once(out[done:])):
                done += n
            self._file.seek(here)
            return done

    @property
    def costly(self) -> bool:
        """Whether each range that is read is a request to a server."""
        return hasattr(self._file, "read_range_into")

    @property
    def may_wait(self) -> bool:
        """Whether to read behind the data may mean to wait for someone to write or close."""
        return self._begin is None

    def limit_pieces(self, nbytes: int) -> None:
        """Set how much to ask a server for at once, at most, to have what comes next."""
        if self.costly:
            self._file.limit_pieces(nbytes)

    @property
    def can_restart(self) -> bool:
        """Whether `restart_at` and `read_range` work."""
        return self._begin is not None

    def restart_at(self, position: int) -> None:
        """Continue from any place, if the file can seek."""
        if self._begin is None:
            raise self._cannot_seek(position)
        self._file.seek(self._begin + position)
        self._start = self._stop = 0

    def _cannot_seek(self, position: int) -> io.UnsupportedOperation:
        return io.UnsupportedOperation(
            f"{self.name}: expected a source that can seek, to go to byte {position:,}, found one "
            "that cannot; read forward only, or open a path, URL or bytes"
        )

    def as_file(self) -> Any:
        """Return the file, put back to where it was; None if it cannot seek."""
        self.rewind()
        return None if self._begin is None else self._file

    def rewind(self) -> None:
        """Put the file back to where it was, if it can seek."""
        if self._begin is not None:
            self._file.seek(self._begin)

    def check_unchanged(self, *, suspicious: bool) -> None:
        """Raise `SourceChangedError` if the file has changed since it was opened here.

        Parameters
        ----------
        suspicious : bool
            Whether what was read gives cause to ask. If not, only those are asked whose pieces
            need not belong together and who give a reliable answer.
        """
        if self._owned and hasattr(self._file, "check_unchanged"):
            self._file.check_unchanged(suspicious=suspicious)
        elif suspicious and self._stat is not None and self._stat != _stat(self._file):
            raise SourceChangedError(
                f"{self.name}: expected the file to stay as it was when it was opened, found that "
                "it was written to meanwhile; read it again when it is complete"
            )

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._file.close()


def text_file(name: str) -> TypeError:
    """Return the error for a file that gives text."""
    return TypeError(
        f"{name}: expected a binary file, found one open as text; open it in mode 'rb', or pass "
        "the file below it (such as sys.stdin.buffer)"
    )


def _extent(file: Any) -> tuple[int | None, int | None]:
    """Return a file's position and the bytes from there to its end; Nones if it cannot tell."""
    try:
        if not file.seekable():
            return None, None
        begin = int(file.tell())
        if isinstance(file, io.BufferedIOBase) and not isinstance(
            file, (io.BytesIO, io.BufferedReader, io.BufferedRandom)
        ):
            # A file that decompresses as it goes (GzipFile, ZipExtFile): its end is far away.
            return begin, None
        file.seek(0, os.SEEK_END)
        end = int(file.tell())  # what seek() returns, many a wrapper swallows
        file.seek(begin)
    except (AttributeError, TypeError, ValueError, OSError):
        return None, None
    return begin, max(0, end - begin)


def _can_read_anywhere(file: Any) -> bool:
    """Whether threads can read a file at once, each at another position."""
    return isinstance(file, io.FileIO) and hasattr(os, "preadv")


def _stat(file: Any) -> tuple[int, int] | None:
    """Return what changes when a local file is written to; None where nothing tells."""
    if not isinstance(file, io.FileIO):
        return None
    status = os.fstat(file.fileno())
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _tells_early_end(error: Exception) -> bool:
    """Whether a file object says by this error that its data are incomplete."""
    # Whoever reads from a URL by the standard library has imported its module.
    client = sys.modules.get("http.client")
    incomplete = () if client is None else (client.IncompleteRead,)
    return isinstance(error, (EOFError, *incomplete)) and not isinstance(error, IdxError)
