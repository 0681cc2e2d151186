"""Anything that can be read, as chunks of bytes, and the decoder that its content asks for.

A source delivers bytes in order and once. It knows its name for messages and, where that can be
known without reading, its size. A member of a zip archive (`archives`) and what a URL names
(`remote`) are files to a source. A decoder takes a source and fills memory with the bytes of the
IDX file inside: `fastidx._kernel.GzipDecoder` for gzip, `xz.XzDecoder` for xz, `PlainDecoder` for a
file as it is.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from ._kernel import Expansion, GzipDecoder, convert
from .errors import IdxError, SourceChangedError, TruncatedError
from .threads import run_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Buffer

# Read in pieces that stay in the L2 cache until they are decoded, in a buffer so small that the C
# library has memory for it at hand (below 128 KiB).
_CHUNK_NBYTES = 96 * 1024
# Enough for the longest header that numpy can hold, and for messages to recognise other files.
_PEEK_NBYTES = 4096

_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1
_XZ_MAGIC = b"\xfd7zXZ\0"  # The .xz File Format, section 2.1.1.1
_ZIP_MAGIC = b"PK\3\4"  # APPNOTE.TXT, section 4.3.7

# A URL, or a chain of them as fsspec has it. One letter before the colon is a drive of Windows.
_URL = r"(?:[A-Za-z][\w+.-]+::)*[A-Za-z][\w+.-]+://"


class BinaryReader(Protocol):
    """What is asked of a file object."""

    def read(self, nbytes: int, /) -> bytes:
        """Return at most that many bytes, none at the end."""


Source: TypeAlias = "str | os.PathLike[str] | Buffer | BinaryReader"


class NothingAtHand(Exception):
    """To go on may mean to wait, which a source was told not to do."""


class BytesSource:
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

    def peek(self, nbytes: int = _PEEK_NBYTES) -> bytes:
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

    def for_threads(self) -> BytesSource:
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
        size = _CHUNK_NBYTES if self.nbytes is None else min(_CHUNK_NBYTES, self.nbytes + 1)
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
        self._stop = self._read_once(self._buffer)
        self._start = 0

    def peek(self, nbytes: int = _PEEK_NBYTES) -> bytes:
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

    def for_threads(self) -> BytesSource | FileSource:
        """Return a source of the same content of which several threads may read ranges at once."""
        if self.is_local_file:
            return self
        return BytesSource(self.read_all(1), self.name)

    def read_all(self, threads: int) -> memoryview:
        """Return the whole content, whatever has been taken before; for files that can seek."""
        self.rewind()
        self._start = self._stop = 0
        data = np.empty(self.nbytes or 0, np.uint8).data
        if not self.is_local_file:
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


@contextlib.contextmanager
def reading(
    source: Source, *, storage_options: Mapping[str, Any] | None = None, read_ahead: bool = True
) -> Iterator[BytesSource | FileSource]:
    """Open a source for a while, and see to it that what is read is one state of it.

    Takes and raises what `open_source` does. If the source changed meanwhile, that is said by a
    `SourceChangedError`, in place of the error that may come of it.
    """
    with contextlib.closing(
        open_source(source, storage_options=storage_options, read_ahead=read_ahead)
    ) as opened:
        try:
            yield opened
        except SourceChangedError:
            raise
        except IdxError:
            opened.check_unchanged(suspicious=True)
            raise
        opened.check_unchanged(suspicious=False)


def open_source(
    source: Source, *, storage_options: Mapping[str, Any] | None = None, read_ahead: bool = True
) -> BytesSource | FileSource:
    """Open what a user passed as ``source``; of a zip archive, the member that is meant.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        A path or URL is opened, everything else is used as it is and left open. A str that has
        ``://`` is a URL; ``zip://MEMBER::ARCHIVE`` names a member of a zip archive, which is itself
        named by path or URL.
    storage_options : mapping, optional
        What fsspec's file system is to be told, such as credentials. For URLs only.
    read_ahead : bool
        Whether what a URL names will be read to its end, hence in large pieces.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If the URL or the options make no sense.
    ImportError
        If a package is missing that the URL needs.
    OSError
        If the path or URL cannot be opened.
    IdxError
        If no member of a zip archive can be read.
    """
    member = None
    archive = source
    if isinstance(source, str) and source.startswith("zip://"):
        member, _, archive = source.removeprefix("zip://").partition("::")
        if not archive:
            raise ValueError(
                f"source: expected zip://MEMBER::ARCHIVE, found {source!r}; name the archive, by "
                "path or URL, behind two colons"
            )
    # Of an archive only little is read before its member is known.
    opened = _open_outermost(archive, storage_options, read_ahead and member is None)
    try:
        if member is None and not _begins(opened, _ZIP_MAGIC, cut=False):
            return opened
        from .archives import open_member

        return open_member(opened, member, read_ahead=read_ahead)
    except BaseException:
        opened.close()
        raise


def _open_outermost(
    source: Source, storage_options: Mapping[str, Any] | None, read_ahead: bool
) -> BytesSource | FileSource:
    """Open a source for what it is at first sight: as a zip archive it is not entered."""
    if isinstance(source, str) and "://" in source and re.match(_URL, source):
        from .remote import open_url

        file = open_url(source, storage_options or {}, read_ahead=read_ahead)
        return FileSource(file, file.name, owned=True)
    if storage_options:
        raise ValueError(
            "storage_options: expected a URL as the source, which they are for, found "
            f"{source if isinstance(source, str) else type(source).__name__}; leave them out"
        )
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
        f"{name}: expected a binary file, found one open as text; open it in mode 'rb', or pass "
        "the file below it (such as sys.stdin.buffer)"
    )


def _name_of(file: object) -> str:
    name = getattr(file, "name", None)
    return name if isinstance(name, str) and name else f"<{type(file).__name__}>"


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


class ByteReader(Protocol):
    """What `PlainDecoder` asks of a source."""

    def read_into(self, out: memoryview, /) -> int:
        """Take as many bytes as fit; fewer only at the end."""


class PlainDecoder:
    """The bytes of an uncompressed IDX file: the counterpart of `GzipDecoder`."""

    def __init__(self, source: ByteReader) -> None:
        self._source = source
        self._part = b""  # of an item that the source does not complete

    def read_into(
        self,
        out: Any,
        item_nbytes: int = 1,
        start: int = 0,
        expansion: Expansion | None = None,
    ) -> int:
        """Fill ``out`` with items; see `fastidx._kernel.GzipDecoder.read_into`."""
        if item_nbytes == 1 and expansion is None:
            view = memoryview(out)[start:]
            if not self._part:
                return self._source.read_into(view)
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

    @property
    def truncated(self) -> bool:
        """Whether the input has ended too early: a plain file cannot tell, but its header does."""
        return False

    def skip_member(self) -> bool:
        """Read on where what contains the file has checks of its own, as a zip archive has."""
        if hasattr(self._source, "skip_rest"):
            self._source.skip_rest()
        return True

    def at_end(self) -> bool:
        """Whether nothing more will come."""
        return self._source.read_into(memoryview(bytearray(1))) == 0


Decoder: TypeAlias = "GzipDecoder | PlainDecoder"  # XzDecoder is one


def open_decoder(
    source: BytesSource | FileSource, *, verify: bool = True, read_ahead: bool = True
) -> tuple[Decoder, str | None]:
    """Return the decoder for what the source's first bytes are, and the compression's name."""
    if _begins(source, _GZIP_MAGIC):
        return GzipDecoder(source, verify=verify, read_ahead=read_ahead), "gzip"
    if _begins(source, _XZ_MAGIC):
        return _open_xz(source), "xz"
    return PlainDecoder(source), None


def _open_xz(source: BytesSource | FileSource) -> PlainDecoder:
    try:
        from .xz import XzDecoder
    except ImportError as error:
        raise ImportError(
            f"{source.name}: expected Python's module lzma, which xz files take, found a Python "
            f"built without it ({error}); decompress the file first (unxz)"
        ) from error
    return XzDecoder(source)


def _begins(source: BytesSource | FileSource, magic: bytes, *, cut: bool = True) -> bool:
    """Whether a source is of a kind, or was before it was ``cut`` where it ends.

    No more bytes are waited for than tell.
    """
    for n in range(1, len(magic) + 1):
        prefix = source.peek(n)
        if len(prefix) < n:
            return cut and bool(prefix)
        if prefix != magic[:n]:
            return False
    return True
