"""Anything that can be read, as chunks of bytes, and the decoder that its content asks for.

A source delivers bytes in order and once. It knows its name for messages and, where that can be
known without reading, its size. A decoder takes a source and fills memory with the bytes of the IDX
file inside: `fastidx._kernel.GzipDecoder` for gzip, `PlainDecoder` for a file as it is.
"""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from ._kernel import Expansion, GzipDecoder, convert
from .destination import Bytes1D
from .threads import run_all

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Read in pieces that stay in the L2 cache until they are decoded.
_CHUNK_NBYTES = 256 * 1024
# Enough for the longest header that numpy can hold, and for messages to recognise other files.
_PEEK_NBYTES = 4096

_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1


class BinaryReader(Protocol):
    """What is asked of a file object."""

    def read(self, nbytes: int, /) -> bytes:
        """Return at most that many bytes, none at the end."""


Source: TypeAlias = "str | os.PathLike[str] | Buffer | BinaryReader"


class BytesSource:
    """A bytes-like object, used where it lies."""

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

    def peek(self) -> bytes:
        """Return the first bytes without taking them."""
        return bytes(self._rest[:_PEEK_NBYTES])

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

    def read_all(self, threads: int) -> memoryview:  # noqa: ARG002 - nothing is to be read
        """Return the whole content, whatever has been taken before."""
        return self._all

    def read_range(self, begin: int, end: int | None) -> memoryview:
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

    def rewind(self) -> None:
        """Do nothing: reading has no effect on the object."""

    def close(self) -> None:
        """Let go of the object."""
        self._all = self._rest = memoryview(b"")


class FileSource:
    """A binary file object, from its position on. Short reads are as good as others."""

    def __init__(self, file: Any, name: str, *, owned: bool) -> None:
        self.name = name
        self._file = file
        self._owned = owned
        self._lock = threading.Lock()
        self._begin: int | None
        self.nbytes: int | None
        self._begin, self.nbytes = _extent(file)
        # One byte more than a small file, so that the first read already shows its end.
        size = _CHUNK_NBYTES if self.nbytes is None else min(_CHUNK_NBYTES, self.nbytes + 1)
        self._buffer = memoryview(bytearray(size))
        self._start = self._stop = 0

    def _read_once(self, out: memoryview) -> int:
        """Read once into ``out``; 0 at the end."""
        if hasattr(self._file, "readinto"):
            n = self._file.readinto(out)
        else:
            data = self._file.read(len(out))
            if isinstance(data, str):
                raise _text_file(self.name)
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
        self._start = 0
        self._stop = self._read_once(self._buffer)

    def peek(self) -> bytes:
        """Return the first bytes without taking them."""
        while self._stop - self._start < min(_PEEK_NBYTES, len(self._buffer)):
            n = self._read_once(self._buffer[self._stop :])
            if n == 0:
                break
            self._stop += n
        return bytes(self._buffer[self._start : self._stop][:_PEEK_NBYTES])

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

    def read_all(self, threads: int) -> memoryview:
        """Return the whole content, whatever has been taken before; for files that can seek."""
        self.rewind()
        self._start = self._stop = 0
        data = np.empty(self.nbytes or 0, np.uint8).data
        if not self._owned or not hasattr(os, "preadv"):
            return data[: self.read_into(data)]
        # With several threads because touching new memory takes longer than copying to it.
        step = max(_CHUNK_NBYTES, -(-len(data) // threads))
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

    def read_range(self, begin: int, end: int | None) -> memoryview:
        """Return bytes from any place; fewer, and to the end if None, where there are no more."""
        if end is None:
            end = self.nbytes or 0
        data = np.empty(max(0, end - begin), np.uint8).data
        return data[: self.read_range_into(begin, data)]

    def read_range_into(self, begin: int, out: memoryview) -> int:
        """Fill ``out`` from any place; returns how many bytes there were."""
        if self._owned and hasattr(os, "preadv") and isinstance(self._file, io.FileIO):
            return self._read_at(begin, out)
        if self._begin is None:
            raise self._cannot_seek(begin)
        with self._lock:
            # Whoever reads on from where the file is must find it there.
            here = self._file.tell()
            self._file.seek(self._begin + begin)
            done = 0
            while done < len(out) and (n := self._read_once(out[done:])):
                done += n
            self._file.seek(here)
            return done

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

    def rewind(self) -> None:
        """Put the file back to where it was, if it can seek."""
        if self._begin is not None:
            self._file.seek(self._begin)

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._file.close()


def open_source(source: Source) -> BytesSource | FileSource:
    """Open what a user passed as ``source``.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        A path is opened, everything else is used as it is and left open.

    Raises
    ------
    TypeError
        If it is none of these.
    OSError
        If the path cannot be opened.
    """
    if isinstance(source, (str, os.PathLike)):
        return FileSource(io.FileIO(os.fspath(source)), os.fsdecode(source), owned=True)
    if hasattr(source, "readinto") or hasattr(source, "read"):
        # An mmap is both a buffer and a file; like any file it is read from its position.
        if isinstance(source, io.TextIOBase):
            raise _text_file(_name_of(source))
        return FileSource(source, _name_of(source), owned=False)
    try:
        return BytesSource(source, f"<{type(source).__name__}>")
    except TypeError as error:
        if "bytes-like object is required" not in str(error):
            raise
    raise TypeError(
        "source: expected a path (str or PathLike), a bytes-like object or a binary file object, "
        f"found {type(source).__name__}"
    )


def _text_file(name: str) -> TypeError:
    return TypeError(
        f"{name}: expected a binary file, found one open as text; open it in mode 'rb'"
    )


def _name_of(file: object) -> str:
    name = getattr(file, "name", None)
    return name if isinstance(name, str) and name else f"<{type(file).__name__}>"


def _extent(file: Any) -> tuple[int, int] | tuple[None, None]:
    """Return a file's position and the bytes from there to its end; Nones if it cannot seek."""
    if isinstance(file, io.BufferedIOBase) and not isinstance(
        file, (io.BytesIO, io.BufferedReader, io.BufferedRandom)
    ):
        # A file that decompresses as it goes (GzipFile, ZipExtFile): its end is far away.
        return None, None
    try:
        if not file.seekable():
            return None, None
        begin = int(file.tell())
        file.seek(0, os.SEEK_END)
        end = int(file.tell())  # what seek() returns, many a wrapper swallows
        file.seek(begin)
    except (AttributeError, TypeError, ValueError, OSError):
        return None, None
    return begin, max(0, end - begin)


class ByteReader(Protocol):
    """What `PlainDecoder` asks of its source."""

    def read_into(self, out: memoryview) -> int:
        """Take as many bytes as fit; fewer only at the end."""


class PlainDecoder:
    """The bytes of an uncompressed IDX file: the counterpart of `GzipDecoder`."""

    truncated = False  # a plain file cannot tell; its header does

    def __init__(self, source: ByteReader) -> None:
        self._source = source
        self._part = b""  # of an item that the source does not complete

    def read_into(
        self,
        out: Bytes1D,
        item_nbytes: int = 1,
        start: int = 0,
        expansion: Expansion | None = None,
    ) -> int:
        """Fill ``out`` with items; see `fastidx._kernel.GzipDecoder.read_into`."""
        if item_nbytes == 1 and expansion is None:
            view = out.data[start:]
            left = min(len(self._part), len(view))
            view[:left], self._part = self._part[:left], self._part[left:]
            return left + self._source.read_into(view[left:])
        width = item_nbytes if expansion is None else expansion.entry_nbytes
        nitems = len(out) // width - start // item_nbytes
        out = out[start // item_nbytes * width :]
        piece = memoryview(bytearray(min(_CHUNK_NBYTES, nitems * item_nbytes)))
        done = 0
        while done < nitems:
            wanted = min(len(piece) // item_nbytes, nitems - done)
            nbytes = self._source.read_into(piece[: wanted * item_nbytes])
            n = nbytes // item_nbytes
            self._part = bytes(piece[n * item_nbytes : nbytes])
            results = out[done * width : (done + n) * width]
            convert(results, piece[: n * item_nbytes], item_nbytes, expansion)
            done += n
            if n < wanted:
                break
        return done * item_nbytes

    def skip_member(self) -> bool:
        """Do nothing: there are no members, hence no checks."""
        return True

    def at_end(self) -> bool:
        """Whether nothing more will come."""
        return self._source.read_into(memoryview(bytearray(1))) == 0


Decoder: TypeAlias = "GzipDecoder | PlainDecoder"


def open_decoder(
    source: BytesSource | FileSource, *, verify: bool = True, read_ahead: bool = True
) -> tuple[Decoder, str | None]:
    """Return the decoder for what the source's first bytes are, and the compression's name."""
    if (start := source.peek()[:2]) and _GZIP_MAGIC.startswith(start):
        return GzipDecoder(source, verify=verify, read_ahead=read_ahead), "gzip"
    return PlainDecoder(source), None
