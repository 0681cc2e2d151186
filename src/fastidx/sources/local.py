"""Regular files of this machine as sources.

The system reads such a file at any place by its descriptor (``preadv``), without a position that
threads, forked processes or the user's file object would share.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastidx.base.threads import run_all
from fastidx.errors import SourceChangedError

from .buffered import CHUNK_NBYTES, BufferedSource

if TYPE_CHECKING:
    from .protocol import Source

_READS_ANYWHERE = hasattr(os, "preadv")  # Linux, macOS, BSD


class LocalSource(BufferedSource):
    """A regular file, opened here or by the user.

    Parameters
    ----------
    file : binary file object
        With a descriptor: `io.FileIO`, or what `open` returns.
    name : str
        How messages call it.
    status : os.stat_result
        Of the descriptor.
    begin : int
        Where the source begins in the file.
    path : str, optional
        Of the file.
    owned : bool
        Whether `close` closes the file.
    """

    is_local_file = True
    can_restart = True
    survives_fork = _READS_ANYWHERE

    def __init__(
        self,
        file: Any,
        name: str,
        status: os.stat_result,
        *,
        begin: int = 0,
        path: str | None = None,
        owned: bool = True,
    ) -> None:
        super().__init__(name, max(0, status.st_size - begin))
        self.path = path
        self._file = file
        self._begin = begin
        self._owned = owned
        self._stamp = _stamp(status)
        self._position = 0  # of the next byte that `read_once` reads
        self._lock = None if _READS_ANYWHERE else threading.Lock()

    def read_once(self, out: memoryview) -> int:
        """Read the next bytes."""
        n = self._read_at(self._position, out)
        self._position += n
        return n

    def restart_at(self, position: int) -> None:
        """Continue from a position."""
        self._position = position
        self.drop_buffered()

    def read_range_into(self, begin: int, out: memoryview) -> int:
        """Fill ``out`` from a position on."""
        done = 0
        while done < len(out):
            n = self._read_at(begin + done, out[done:])
            if n == 0:
                break
            done += n
        return done

    def read_all(self, threads: int) -> memoryview:
        """Return the whole content, read by several threads.

        The time goes into touching the new memory, which threads share.
        """
        data = np.empty(self.nbytes or 0, np.uint8).data
        step = max(CHUNK_NBYTES, -(-len(data) // threads))
        begins = range(0, len(data), step)
        done = run_all(
            lambda begin: self.read_range_into(begin, data[begin : begin + step]), begins, threads
        )
        if all(n == step for n in done[:-1]):
            return data[: sum(done)]
        return data[: done[0]]  # another process has cut the file

    def for_threads(self) -> Source:
        """Return this source: threads can read its ranges at the same time."""
        return self

    @property
    def identity(self) -> Mapping[str, object]:
        """Size in bytes and time of the last change in nanoseconds."""
        return {"size": self._stamp[0], "mtime": self._stamp[1]}

    def rewind(self) -> None:
        """Put the user's file object back."""
        self.restart_at(0)

    def check_unchanged(self, *, suspicious: bool) -> None:  # noqa: ARG002 - asking is cheap
        """Raise `SourceChangedError` if the file was written to since it was opened."""
        if not self._file.closed and _stamp(os.fstat(self._file.fileno())) != self._stamp:
            raise SourceChangedError(
                f"{self.name}: expected the file to stay as it was when it was opened, found that "
                "it was written to meanwhile; read it again when it is complete"
            )

    def close(self) -> None:
        """Close the file, or leave the user's file object behind what was taken from it."""
        place = self._begin + self._position - self.nbuffered
        self.drop_buffered()
        if self._owned:
            self._file.close()
            return
        with contextlib.suppress(OSError, ValueError):  # the user may have closed it
            self._file.seek(place)

    def _read_at(self, position: int, out: memoryview) -> int:
        """Read once at a position; 0 at the end."""
        if self._lock is None:
            # Ask for the descriptor each time: a closed one may be that of another file by now.
            return os.preadv(self._file.fileno(), [out], self._begin + position)
        with self._lock:
            self._file.seek(self._begin + position)
            return int(self._file.readinto(out))


def open_path(path: str | os.PathLike[str]) -> tuple[io.FileIO, os.stat_result]:
    """Open a path to read it; return the file and its status.

    Raises
    ------
    OSError
        If there is no such file, or it is a folder, or it may not be read.
    """
    try:
        file = io.FileIO(os.fspath(path))
    except IsADirectoryError as error:
        raise IsADirectoryError(
            error.errno,
            f"expected a file, found a folder of {sum(1 for _ in os.scandir(path)):,} entries; "
            "name one of the files in it",
            os.fsdecode(path),
        ) from None
    return file, os.fstat(file.fileno())


def regular_status(file: Any) -> os.stat_result | None:
    """Return the status of a user's file object if its descriptor alone gives its content.

    Only the classes of `io` and `tempfile` are known to add nothing to the bytes of the
    descriptor. What they hold back of written bytes is flushed.
    """
    inner = _without_wrapper(file)
    if type(inner) not in (io.FileIO, io.BufferedReader, io.BufferedRandom):
        return None
    if type(getattr(inner, "raw", inner)) is not io.FileIO or not inner.readable():
        return None
    if isinstance(inner, io.BufferedRandom):
        inner.flush()
    status = os.fstat(inner.fileno())
    return status if stat.S_ISREG(status.st_mode) else None


def is_regular(status: os.stat_result) -> bool:
    """Whether a status is that of a regular file, no pipe or device."""
    return stat.S_ISREG(status.st_mode)


def _without_wrapper(file: Any) -> Any:
    """Return the file in a named temporary file; other objects as they are."""
    tempfile = sys.modules.get("tempfile")  # a program that passes one has imported it
    wrapper = getattr(tempfile, "_TemporaryFileWrapper", None)
    return file.file if wrapper is not None and type(file) is wrapper else file


def _stamp(status: os.stat_result) -> tuple[int, int]:
    """Return what changes when a file is written to."""
    return status.st_size, status.st_mtime_ns
