"""Save an array as an IDX file: complete or not at all, and the same bytes on each run."""

from __future__ import annotations

import operator
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np

from fastidx.base.replace import path_of, replacement, write_all
from fastidx.base.threads import available_threads, check_threads, run_all
from fastidx.format.header import IdxHeader, header_for

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastidx.base.replace import Writable

Compression: TypeAlias = Literal["infer", "gzip", "bgzf"] | None

# Large enough that a slice costs more than the Python around it, small enough to stay in cache.
_SLICE_NBYTES = 1 << 20

# Data per member of a BGZF file: so little less than 64 KiB that even what does not compress fits
# with its framing into the 16 bits that a member's length has.
_BGZF_DATA_NBYTES = 0xFF00
_BGZF_TASK_NBYTES = 16 * _BGZF_DATA_NBYTES


def save(
    target: str | os.PathLike[str] | Writable,
    array: ArrayLike,
    *,
    compression: Compression = "infer",
    level: int = 6,
    threads: int | None = None,
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
    compression : {"infer", "gzip", "bgzf", None}
        ``"infer"`` means ``"gzip"`` if ``target`` is a path that ends in ``.gz``, else None.
        ``"bgzf"`` writes gzip too, for every tool that reads it, but as independent members of
        64 KiB that say how long they are: it is compressed, and later loaded, on all cores, and
        can be read from the middle. Such a file is some percent larger.
    level : int
        Of the compression, from 0 (none) to 9 (smallest), as in `zlib.compressobj`.
    threads : int, optional
        How many threads compress where they can (``"bgzf"``); by default as many as there are
        CPUs. The bytes written do not depend on it.

    Raises
    ------
    UnsupportedDTypeError
        If IDX lacks the type; the message names the nearest type that would fit. Nothing is
        converted silently.
    HeaderError
        If a dimension does not fit into 32 bits.
    ValueError
        If ``compression``, ``level`` or ``threads`` is none of the above.
    OSError
        If the file cannot be written.

    Notes
    -----
    A gzip header holds neither a name, nor a time, nor the operating system (RFC 1952, section
    2.3.1), so that with one version of zlib the same array always gives the same bytes.

    BGZF is described in section 4.1 of the SAM/BAM format specification.

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
    if threads is not None:
        check_threads(threads)
    path = path_of(target)
    name = path if path is not None else str(getattr(target, "name", "<file object>"))
    values = np.asarray(array)
    header = header_for(values, name=name)
    parts = file_parts(header, slices(values, header.file_dtype))
    save_parts(target, parts, compression=compression, level=level, threads=threads)


def save_parts(
    target: str | os.PathLike[str] | Writable,
    parts: Iterable[bytes],
    *,
    compression: Compression = "infer",
    level: int = 6,
    threads: int | None = None,
) -> None:
    """Write a file of these bytes, compressed as `save` does it."""
    path = path_of(target)
    # The name of a file object is not asked: that of a GzipFile ends in .gz, and must not count.
    named_gz = path is not None and path.lower().endswith(".gz")
    if compression == "gzip" or (compression == "infer" and named_gz):
        parts = _gzip(parts, level)
    elif compression == "bgzf":
        parts = _bgzf(parts, level, available_threads() if threads is None else threads)
    if path is None:
        write_all(cast("Writable", target), parts)
    else:
        with replacement(path) as file:
            write_all(file, parts)


def _check_options(compression: object, level: int) -> None:
    if compression not in ("infer", "gzip", "bgzf", None):
        raise ValueError(
            f"compression: expected 'infer', 'gzip', 'bgzf' or None (plain), found {compression!r}"
        )
    if not 0 <= operator.index(level) <= 9:
        raise ValueError(f"level: expected an integer from 0 to 9, found {level}")


def file_parts(header: IdxHeader, slices: Iterable[np.ndarray[Any, Any]]) -> Iterator[bytes]:
    """Yield an IDX file's bytes: the header, then the data, which come in C order."""
    yield header.to_bytes()
    for values in slices:
        yield values.astype(header.file_dtype, copy=False).tobytes()


def slices(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> Iterator[np.ndarray[Any, Any]]:
    """Yield an array's values in C order, in slices of 1 MiB that are valid until the next."""
    found = np.nditer(
        array,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_dtypes=[dtype],
        order="C",
        casting="equiv",
        buffersize=_SLICE_NBYTES // dtype.itemsize,
    )
    return cast("Iterator[np.ndarray[Any, Any]]", found)


def _gzip(parts: Iterable[bytes], level: int) -> Iterator[bytes]:
    """Yield the bytes of one gzip member (RFC 1952)."""
    yield _gzip_header(level)
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc = nbytes = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
        nbytes += len(part)
        yield compressor.compress(part)
    yield compressor.flush()
    yield struct.pack("<II", crc, nbytes & 0xFFFFFFFF)


def _gzip_header(level: int, flags: int = 0) -> bytes:
    # Section 2.3: magic, CM 8 (DEFLATE), FLG, no MTIME, XFL by the level, OS 255 (unknown).
    extra_flags = {9: 2, 1: 4}.get(level, 0)
    return bytes([0x1F, 0x8B, 8, flags, 0, 0, 0, 0, extra_flags, 255])


def _bgzf(parts: Iterable[bytes], level: int, threads: int) -> Iterator[bytes]:
    """Yield the bytes of a BGZF file, compressing a few MiB at a time with several threads."""

    def compress(pieces: list[memoryview]) -> bytes:
        return b"".join(_bgzf_member(piece, level) for piece in pieces)

    batch: list[list[memoryview]] = []
    for block in _blocks(parts, _BGZF_TASK_NBYTES):
        view = memoryview(block)
        batch.append(
            [view[i : i + _BGZF_DATA_NBYTES] for i in range(0, len(view), _BGZF_DATA_NBYTES)]
        )
        if len(batch) == threads:
            yield from run_all(compress, batch, threads)
            batch = []
    yield from run_all(compress, batch, threads)
    yield _bgzf_member(memoryview(b""), level)  # the mark by which a whole file is known


def _bgzf_member(data: memoryview, level: int) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(data) + compressor.flush()
    header = _gzip_header(level, flags=4)  # FEXTRA
    nbytes = len(header) + 8 + len(body) + 8
    # XLEN, and the one subfield: "BC", its length, and the member's whole length less one.
    extra = struct.pack("<H2sHH", 6, b"BC", 2, nbytes - 1)
    return header + extra + body + struct.pack("<II", zlib.crc32(data), len(data))


def _blocks(parts: Iterable[bytes], nbytes: int) -> Iterator[bytes]:
    """Yield the same bytes in blocks of one size, the last of which may be smaller."""
    rest = bytearray()
    for part in parts:
        rest += part
        whole = len(rest) - len(rest) % nbytes
        for begin in range(0, whole, nbytes):
            yield bytes(rest[begin : begin + nbytes])
        del rest[:whole]
    if rest:
        yield bytes(rest)
