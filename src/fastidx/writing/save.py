"""Save an array as an IDX file: all of it or nothing, and the same bytes on each run."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np

from fastidx.base.names import printable_name
from fastidx.base.replace import path_of, replacement, write_all
from fastidx.base.threads import available_threads, check_threads
from fastidx.format.header import IdxHeader, header_for

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastidx.base.replace import Writable

Compression: TypeAlias = Literal["infer", "gzip", "bgzf"] | None

# In larger slices the Python code around each of them costs nothing more; they stay in the cache.
_SLICE_NBYTES = 1 << 20


def save(
    target: str | os.PathLike[str] | Writable,
    array: ArrayLike,
    *,
    compression: Compression = "infer",
    level: int = 6,
    threads: int | None = None,
) -> None:
    """Save an array as an IDX file, plain or gzipped.

    At a path, the complete new file replaces the old one in one step, after it has been
    synchronised with the disk. Whatever fails, even by a full disk or an interrupt, leaves the old
    file as it was and nothing beside it. The new file keeps the permissions of the file that it
    replaces. A symbolic link is followed. A pipe or a device is not replaced, but written to.

    Parameters
    ----------
    target : str, PathLike or binary file object
        The file to write. A file object needs a ``write`` method and stays open.
    array : array_like
        An array of one of IDX's types (uint8, int8, int16, int32, float32, float64), in any byte
        order and memory layout, with any number of dimensions, zero-length ones included. It is
        converted to big-endian in slices of 1 MiB, so a memory-mapped array may be larger than
        memory.
    compression : {"infer", "gzip", "bgzf", None}
        ``"infer"`` means ``"gzip"`` if ``target`` is a path that ends in ``.gz``, else None.
        ``"bgzf"`` writes gzip, too, which every tool reads, but in independent members of 64 KiB
        that say how long they are. All cores compress such a file, and later load it, and a reader
        can start in its middle. It is a few percent larger.
    level : int
        The level of compression, from 0 (none) to 9 (smallest), as in `zlib.compressobj`.
    threads : int, optional
        How many threads compress, for ``"bgzf"``; by default as many as there are CPUs. The bytes
        written do not depend on it.

    Raises
    ------
    UnsupportedDTypeError
        If IDX lacks the type; the message names the nearest type that would fit. Nothing is
        converted silently.
    HeaderError
        If a dimension does not fit into 32 bits.
    ValueError
        If ``compression``, ``level`` or ``threads`` has another value.
    OSError
        If the file cannot be written.

    Notes
    -----
    The gzip header names no file, no time and no operating system (RFC 1952, section 2.3.1), so
    the same array always gives the same bytes with the same version of zlib.

    A process that is killed while it saves leaves a file beside the target, ``.fastidx-`` with 16
    hexadecimal digits and ``.tmp``. The next process that saves into the folder removes it, once
    it is an hour old.

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
    name = printable_name(
        path if path is not None else str(getattr(target, "name", "<file object>"))
    )
    values = np.asarray(array)
    header = header_for(values, name=name)
    pieces = file_pieces(header, slices(values, header.file_dtype))
    save_pieces(target, pieces, compression=compression, level=level, threads=threads)


def save_pieces(
    target: str | os.PathLike[str] | Writable,
    pieces: Iterable[bytes],
    *,
    compression: Compression = "infer",
    level: int = 6,
    threads: int | None = None,
) -> None:
    """Write a file of these bytes, with the options of `save`."""
    path = path_of(target)
    # The name of a file object does not count: that of a GzipFile ends in .gz.
    named_gz = path is not None and path.lower().endswith(".gz")
    if compression == "gzip" or (compression == "infer" and named_gz):
        from .compress import gzip_pieces  # here, as importing fastidx must be fast

        pieces = gzip_pieces(pieces, level)
    elif compression == "bgzf":
        from .compress import bgzf_pieces

        pieces = bgzf_pieces(pieces, level, available_threads() if threads is None else threads)
    if path is None:
        write_all(cast("Writable", target), pieces)
    else:
        with replacement(path) as file:
            write_all(file, pieces)


def _check_options(compression: object, level: int) -> None:
    if compression not in ("infer", "gzip", "bgzf", None):
        raise ValueError(
            f"compression: expected 'infer', 'gzip', 'bgzf' or None (plain), found {compression!r}"
        )
    if not 0 <= operator.index(level) <= 9:
        raise ValueError(f"level: expected an integer from 0 to 9, found {level}")


def file_pieces(header: IdxHeader, slices: Iterable[np.ndarray[Any, Any]]) -> Iterator[bytes]:
    """Yield the bytes of an IDX file; the slices hold its values in C order."""
    yield header.to_bytes()
    for values in slices:
        yield values.astype(header.file_dtype, copy=False).tobytes()


def slices(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> Iterator[np.ndarray[Any, Any]]:
    """Yield an array's values in C order, in slices of 1 MiB; each is valid until the next."""
    found = np.nditer(
        array,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_dtypes=[dtype],
        order="C",
        casting="equiv",
        buffersize=_SLICE_NBYTES // dtype.itemsize,
    )
    return cast("Iterator[np.ndarray[Any, Any]]", found)
