"""Save an array as an IDX file: complete or not at all, and the same bytes on each run."""

from __future__ import annotations

import contextlib
import errno
import operator
import os
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, TypeAlias, cast

import numpy as np

from .header import IdxHeader, header_for

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike

    class _Writable(Protocol):
        def write(self, data: bytes, /) -> object: ...


Compression: TypeAlias = Literal["infer", "gzip"] | None

# Large enough that a slice costs more than the Python around it, small enough to stay in cache.
_SLICE_NBYTES = 1 << 20


def save(
    target: str | os.PathLike[str] | _Writable,
    array: ArrayLike,
    *,
    compression: Compression = "infer",
    level: int = 6,
) -> None:
    """Save an array as an IDX file, plain or gzipped.

    A file at a path is replaced in one step, after all has been written and synchronised: whatever
    goes wrong, a full disk or an interruption included, the old file stays as it was and nothing
    is left beside it. The new file keeps the permissions of the one that it replaces; a symbolic
    link is followed. What is not a regular file (a pipe, a device) is written to as it is.

    Parameters
    ----------
    target : str, PathLike or binary file object
        Where to write. A file object needs a ``write`` method; it is left open.
    array : array_like
        Of one of IDX's types (uint8, int8, int16, int32, float32, float64), in any byte order and
        memory layout, with any number of dimensions, zero-length ones included. It is converted
        to big-endian in slices of 1 MiB, so that memory-mapped arrays may be larger than memory.
    compression : {"infer", "gzip", None}
        ``"infer"`` compresses if ``target`` is a path that ends in ``.gz``.
    level : int
        Of the compression, from 0 (none) to 9 (smallest), as in `zlib.compressobj`.

    Raises
    ------
    UnsupportedDTypeError
        If IDX lacks the type; the message names the nearest type that would fit. Nothing is
        converted silently.
    HeaderError
        If a dimension does not fit into 32 bits.
    ValueError
        If ``compression`` or ``level`` is none of the above.
    OSError
        If the file cannot be written.

    Notes
    -----
    A gzip header holds neither a name, nor a time, nor the operating system (RFC 1952, section
    2.3.1), so that with one version of zlib the same array always gives the same bytes.

    Examples
    --------
    >>> import io
    >>> import fastidx
    >>> file = io.BytesIO()
    >>> fastidx.save(file, [[1.5, 2.5]])
    >>> file.getvalue().hex(" ", 4)
    '00000e02 00000001 00000002 3ff80000 00000000 40040000 00000000'
    """
    _check_options(compression, level)
    path = _path_of(target)
    name = path if path is not None else str(getattr(target, "name", "<file object>"))
    values = np.asarray(array)
    header = header_for(values, target=name)
    parts = _file_parts(values, header)
    # The name of a file object is not asked: that of a GzipFile ends in .gz, and must not count.
    named_gz = path is not None and path.lower().endswith(".gz")
    if compression == "gzip" or (compression == "infer" and named_gz):
        parts = _gzip(parts, level)
    if path is None:
        _write_all(cast("_Writable", target), parts)
    else:
        with _replacement(path) as file:
            _write_all(file, parts)


def _check_options(compression: object, level: int) -> None:
    if compression not in ("infer", "gzip", None):
        raise ValueError(
            f"compression: expected 'infer', 'gzip' or None (plain), found {compression!r}"
        )
    if not 0 <= operator.index(level) <= 9:
        raise ValueError(f"level: expected an integer from 0 to 9, found {level}")


def _path_of(target: object) -> str | None:
    """Return the path that ``target`` is, None for a file object."""
    if isinstance(target, (str, os.PathLike)):
        return os.fsdecode(target)
    if hasattr(target, "write"):
        return None
    raise TypeError(
        "target: expected a path or a binary file object, which has a write method, "
        f"found {type(target).__name__}"
    )


def _file_parts(array: np.ndarray[Any, Any], header: IdxHeader) -> Iterator[bytes]:
    """Yield the file's bytes: the header, then the data in C order, big-endian, in slices."""
    yield header.to_bytes()
    slices = np.nditer(
        array,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_dtypes=[header.file_dtype],
        order="C",
        casting="equiv",
        buffersize=_SLICE_NBYTES // header.file_dtype.itemsize,
    )
    for values in cast("Iterator[np.ndarray[Any, Any]]", slices):
        yield values.tobytes()


def _gzip(parts: Iterable[bytes], level: int) -> Iterator[bytes]:
    """Yield the bytes of one gzip member (RFC 1952)."""
    # Section 2.3: magic, CM 8 (DEFLATE), no flags, no MTIME, XFL by the level, OS 255 (unknown).
    extra_flags = {9: 2, 1: 4}.get(level, 0)
    yield b"\x1f\x8b\x08\x00" + bytes(4) + bytes([extra_flags, 255])
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc = nbytes = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
        nbytes += len(part)
        yield compressor.compress(part)
    yield compressor.flush()
    yield struct.pack("<II", crc, nbytes & 0xFFFFFFFF)


def _write_all(file: _Writable, parts: Iterable[bytes]) -> None:
    for part in parts:
        rest = part
        while rest:
            written = file.write(rest)
            # Only an unbuffered file may write less than it was given; others may return anything.
            if not isinstance(written, int) or written >= len(rest):
                break
            if written <= 0:
                raise OSError(errno.EIO, f"the file accepted none of {len(rest)} bytes")
            rest = rest[written:]


@contextlib.contextmanager
def _replacement(name: str) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the place of ``name`` if all goes well."""
    path, mode = _replaceable(name)
    if path is None:
        with open(name, "wb") as file:  # noqa: PTH123 - pathlib costs an import
            yield file
        return
    # In the same folder, since only within one file system is a replacement one step; and with
    # a name of its own, since one derived from the target's could be too long.
    temporary = path.with_name(f".fastidx-{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            if mode is not None:
                temporary.chmod(mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename in (None, os.fspath(temporary)):
            error.filename = name
        raise


def _replaceable(name: str) -> tuple[Path | None, int | None]:
    """Return the file to replace and its permissions, None if there is none yet.

    Without a path to replace, the file is to be opened as it is: that is a pipe or a device, which
    a replacement would destroy, or a folder, where opening gives the natural error.
    """
    from pathlib import Path  # here, since it would be a good part of the time to import fastidx

    try:
        status = os.stat(name)  # noqa: PTH116 - a Path would drop a trailing slash
    except FileNotFoundError:
        if not name or name.endswith((os.sep, "/")):
            raise
        return _without_link(Path(name)), None
    if not stat.S_ISREG(status.st_mode):
        return None, None
    path = _without_link(Path(name))
    # A replacement needs no permission to write the old file; to be refused it is still natural.
    os.close(os.open(path, os.O_WRONLY))
    return path, stat.S_IMODE(status.st_mode)


def _without_link(path: Path) -> Path:
    # Not for all: an absolute path can be out of reach where the relative one is not.
    return path.resolve() if path.is_symlink() else path
