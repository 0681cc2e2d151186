"""The process that serves mounted files: gzipped IDX files and, beside each, its array as .npy."""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fastidx import info, load
from fastidx.format.header import IdxHeader

from .mount import unmount

__all__ = ["Files", "main"]


class _Content(Protocol):
    """What is served under one name."""

    nbytes: int
    mtime_ns: int

    def read(self, nbytes: int, offset: int) -> bytes:
        """Return bytes from a position; fewer at the end."""

    def close(self) -> None:
        """Close the file that it comes from."""


class _Original:
    """A file as it is."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        status = os.fstat(self._file.fileno())
        self.nbytes, self.mtime_ns = status.st_size, status.st_mtime_ns

    def read(self, nbytes: int, offset: int) -> bytes:
        return os.pread(self._file.fileno(), nbytes, offset)

    def close(self) -> None:
        self._file.close()


class _Decoded:
    """The array in a file, as numpy saves it; decoded when it is first read."""

    def __init__(self, path: Path) -> None:
        # Opened now, for the folder it is in may be gone when it is first read.
        self._file = path.open("rb", buffering=0)
        header = info(self._file)
        self._header = _npy_header(header)
        self._data: memoryview | None = None
        self.nbytes = len(self._header) + header.nbytes
        self.mtime_ns = os.fstat(self._file.fileno()).st_mtime_ns

    def read(self, nbytes: int, offset: int) -> bytes:
        if self._data is None:
            self._data = load(self._file).reshape(-1).view(np.uint8).data
        start = len(self._header)
        head = self._header[offset : offset + nbytes]
        begin = max(0, offset - start)
        return head + bytes(self._data[begin : max(begin, offset + nbytes - start)])

    def close(self) -> None:
        self._file.close()


def _npy_header(header: IdxHeader) -> bytes:
    file = io.BytesIO()
    description = {"descr": header.dtype.str, "fortran_order": False, "shape": header.shape}
    np.lib.format.write_array_header_1_0(file, description)
    return file.getvalue()


class Files:
    """The operations of a read-only file system of one folder; paths begin with a slash.

    Parameters
    ----------
    sources : dict
        Gzipped IDX files by the names to serve them under.
    """

    use_ns = True  # of mfusepy: times are in nanoseconds

    def __init__(self, sources: dict[str, str]) -> None:
        self._contents: dict[str, _Content] = {}
        for name, source in sources.items():
            self._contents[f"/{name}"] = _Original(Path(source))
            self._contents[f"/{name.removesuffix('.gz')}.npy"] = _Decoded(Path(source))

    def getattr(self, path: str, _handle: int | None = None) -> dict[str, int]:
        """Return what `os.stat` shows."""
        owner = {"st_uid": os.getuid(), "st_gid": os.getgid()}
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o555, "st_nlink": 2, **owner}
        content = self._content(path)
        times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), content.mtime_ns)
        mode = stat.S_IFREG | 0o444
        return {"st_mode": mode, "st_nlink": 1, "st_size": content.nbytes, **owner, **times}

    def readdir(self, _path: str, _handle: int) -> list[str]:
        """Return the names in the folder."""
        return [".", "..", *(path.removeprefix("/") for path in self._contents)]

    def open(self, path: str, flags: int) -> int:
        """Let a file be opened to be read."""
        self._content(path)
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return 0

    def read(self, path: str, nbytes: int, offset: int, _handle: int) -> bytes:
        """Return bytes of a file."""
        return self._content(path).read(nbytes, offset)

    def destroy(self, _path: str) -> None:
        """Let go of all files, after the last operation."""
        for content in self._contents.values():
            content.close()

    def _content(self, path: str) -> _Content:
        try:
            return self._contents[path]
        except KeyError:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT)) from None


def main(arguments: list[Any]) -> None:
    """Serve files until they are unmounted, which the end of standard input leads to as well.

    Parameters
    ----------
    arguments : list
        The folder to mount on, and the sources of `Files`.
    """
    folder, sources = arguments
    files = Files(sources)
    mfusepy = import_module("mfusepy")
    threading.Thread(target=_unmount_at_end, args=(folder,), daemon=True).start()
    mfusepy.FUSE(
        files, folder, foreground=True, nothreads=True, ro=True, fsname="fastidx", kernel_cache=True
    )


def _unmount_at_end(folder: str) -> None:
    # Not through sys.stdin, whose lock this thread would hold when the process ends.
    while os.read(0, 1):
        pass
    unmount(folder)
