"""Load IDX files into numpy arrays, and look at their headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from fastidx._kernel import GzipDecoder
from fastidx.base.threads import available_threads, check_threads
from fastidx.codecs.detect import Decoder
from fastidx.codecs.ending import check_end
from fastidx.format.faults import trailing_error, truncated_error
from fastidx.format.header import IdxHeader
from fastidx.items.conversion import Conversion, Number, conversion_for
from fastidx.items.destination import Destination, bytes_of_out
from fastidx.opening.idx import open_idx, take_bytes
from fastidx.opening.open import reading
from fastidx.sources.protocol import Source, SourceLike

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import numpy.typing as npt

    from fastidx.gzipped.index import GzipIndex

__all__ = ["info", "load"]

_Out = TypeVar("_Out")

# How much of a file is worth a thread, by compression. Plain ones are read as fast as memory is
# written; what threads save is the making of new pages, and up to 32 MiB the C library keeps used
# ones.
_NBYTES_PER_THREAD = {"gzip": 512 << 10, None: 16 << 20}

# Where the size of the source is unknown, memory grows with what has really come, from here.
_FIRST_GROWTH_NBYTES = 16 << 20


@overload
def load(
    source: SourceLike,
    *,
    out: None = None,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    verify: bool = True,
    strict: bool = True,
    threads: int | None = None,
    index: str | os.PathLike[str] | GzipIndex | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> np.ndarray[Any, Any]: ...
@overload
def load(
    source: SourceLike,
    *,
    out: _Out,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    verify: bool = True,
    strict: bool = True,
    threads: int | None = None,
    index: str | os.PathLike[str] | GzipIndex | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> _Out: ...
def load(
    source: SourceLike,
    *,
    out: Any = None,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    verify: bool = True,
    strict: bool = True,
    threads: int | None = None,
    index: str | os.PathLike[str] | GzipIndex | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Any:
    """Load an IDX file: plain, gzip, xz or the member of a zip archive, as its content tells.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        A str with ``://`` is a URL, which takes ``pip install "fastidx[remote]"``. A file object is
        read from its position to its end, and left open. Of a zip archive the one IDX file in it is
        loaded; ``"zip://MEMBER::ARCHIVE"`` names one of several, with the archive's path or URL.
    out : ndarray or writable buffer, optional
        Where to put the data: an array of exactly the file's shape and the result's type, in native
        byte order, or a buffer of exactly its size in bytes (such as a bytearray); C-contiguous and
        writable. After an error its content is undefined.
    dtype : dtype-like, optional
        Type of the result: bool, an integer or a float of at most 64 bits. By default the file's
        type; with ``scale`` or ``offset``, float64; with ``lut``, its type.
    scale, offset : int, float or Fraction, optional
        Load ``x * scale + offset``, computed in float64 and then rounded to ``dtype``, integers to
        nearest and on a tie to even. A `fractions.Fraction` as ``scale`` multiplies by its
        numerator and divides by its denominator: ``Fraction(1, 255)`` is exactly ``x / 255.0``.
    lut : array-like of 256 numbers, optional
        For 8-bit data instead of ``scale`` and ``offset``: load ``lut[x]``.
    verify : bool
        Check CRC-32 and length of gzip members. Without it a damaged file may load as wrong data.
        The checks of xz files and zip archives are always made.
    strict : bool
        Refuse bytes after the data. Without it they are ignored.
    threads : int, optional
        How many threads decode a gzipped file whose size is known, or read a plain file at a path.
        By default as many as ``FASTIDX_THREADS`` says or the process may use CPUs, but one for each
        512 KiB of the file at most (16 MiB of a plain one), so that small files take one. The
        result, and what is raised, does not depend on it.
    index : path, GzipIndex or "auto", optional
        As for `fastidx.open`: where several threads can start in a gzip file, so that none has to
        guess. ``"auto"`` takes the file of the same name and ``.gzidx`` beside it, if there is one.
        Each stretch is checked by its CRC-32 in an index made by fastidx; of another program's, all
        of the file by that at its end.
    storage_options : mapping, optional
        For a URL: what its file system in fsspec is to be told, such as credentials.

    Returns
    -------
    ndarray
        Writable, C-contiguous, aligned to 64 bytes, in native byte order; or ``out`` if given.

    Raises
    ------
    HeaderError
        If it is not an IDX file, or its header claims more than it can hold.
    CorruptError, ChecksumError
        If the compressed data is damaged.
    TruncatedError
        If the file ends early; the message says how much it holds.
    TrailingDataError
        If it goes on after the data, unless ``strict=False``.
    GzipIndexError
        If the index is damaged, or that of another file.
    ConversionError
        If ``dtype`` cannot hold a value that occurs in the file.
    SourceChangedError
        If the file was replaced or written to while it was being read.
    TypeError, ValueError
        If an argument is nothing that can be used, or not with this file.
    OSError
        If the file cannot be read.
    ImportError
        If a package is missing that the URL needs.

    Examples
    --------
    >>> import fastidx
    >>> labels = bytes.fromhex("00000801 00000003 050004")
    >>> fastidx.load(labels)
    array([5, 0, 4], dtype=uint8)
    >>> fastidx.load(labels, dtype="float32", scale=0.5, offset=-1)
    array([ 1.5, -1. ,  1. ], dtype=float32)
    """
    with reading(source, storage_options=storage_options) as opened:
        idx = open_idx(opened, verify=verify)
        decoder, header = idx.decoder, idx.header
        conversion = conversion_for(header, dtype, scale, offset, lut, name=opened.name)
        found = None if index is None else _find_index(index, opened, header.compression)
        items = _destination(out, header, conversion)
        nthreads = _choose_threads(threads, header, opened)
        if nthreads > 1:
            # To import them takes a third of the time to import fastidx.
            from .strategies import load_gzip_in_threads, load_plain_in_threads
        if nthreads > 1 and header.compression is None:
            if load_plain_in_threads(opened, items, nthreads):
                _check_size(header, opened.name, strict=strict)
                return items.array() if out is None else out
        elif nthreads > 1:
            whole = opened.for_threads()
            if load_gzip_in_threads(whole, items, found, threads=nthreads, verify=verify):
                return items.array() if out is None else out
            # Something is wrong with the data. What it is, the serial decoder says.
            whole.restart_at(0)
            decoder = GzipDecoder(whole, verify=verify)
            take_bytes(decoder, header.header_nbytes)
        items, done = _read_items(decoder, items)
        if done < header.nbytes:
            # And what there is of an item that is not complete.
            done += len(take_bytes(decoder, items.item_nbytes - 1))
            raise truncated_error(header, opened.name, done, decoder.truncated)
        if not strict:
            decoder.skip_member()
        check_end(decoder, header, opened.name, strict=strict)
    return items.array() if out is None else out


def info(source: SourceLike, *, storage_options: Mapping[str, Any] | None = None) -> IdxHeader:
    """Read the header of an IDX file, fetching and decoding no more than that takes.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        As for `load`. A file object is put back to its position if it can seek.
    storage_options : mapping, optional
        As for `load`.

    Returns
    -------
    IdxHeader
        With type, shape, size, compression and the source's size; in a zip archive, the member's.

    Raises
    ------
    HeaderError, TruncatedError, CorruptError
        If there is no valid header to be read.
    TypeError, ValueError, OSError, ImportError
        As for `load`.

    Examples
    --------
    >>> import fastidx
    >>> header = fastidx.info(bytes.fromhex("00000803 0000ea60 0000001c 0000001c"))
    >>> header.dtype, header.shape, header.nbytes
    (dtype('uint8'), (60000, 28, 28), 47040000)
    """
    with reading(source, storage_options=storage_options, read_ahead=False) as opened:
        try:
            return open_idx(opened, read_ahead=False, plausible=None).header
        finally:
            opened.rewind()


def _destination(out: Any, header: IdxHeader, conversion: Conversion | None) -> Destination:
    """Return the memory to load into: all of it, or the first part where the size is unknown."""
    if out is not None:
        dtype = header.dtype if conversion is None else conversion.dtype
        return Destination(header, conversion, bytes_of_out(out, header.shape, dtype))
    if header.compressed_nbytes is None:
        return Destination(header, conversion, nbytes=min(header.nbytes, _FIRST_GROWTH_NBYTES))
    return Destination(header, conversion)


def _find_index(
    index: str | os.PathLike[str] | GzipIndex, source: Source, compression: str | None
) -> GzipIndex | None:
    from fastidx.gzipped.index import find_index

    return find_index(index, source, compression)


def _read_items(decoder: Decoder, items: Destination) -> tuple[Destination, int]:
    """Read all items; where the size is unknown, memory grows with what has really come."""
    done = items.read(decoder, 0, items.nbytes)
    while done == items.nbytes < items.header.nbytes:
        items = items.grown(min(items.header.nbytes, 2 * items.nbytes))
        done += items.read(decoder, done, items.nbytes)
    return items, done


def _choose_threads(threads: int | None, header: IdxHeader, source: Source) -> int:
    """Return how many threads are to decode a file or, if it is plain, to read it."""
    if threads is not None:
        check_threads(threads)
    nbytes = header.compressed_nbytes
    if nbytes is None or header.compression == "xz":
        return 1
    if header.compression is None and not source.is_local_file:
        return 1
    if threads is None:
        most = nbytes // _NBYTES_PER_THREAD[header.compression]
        return min(most, available_threads()) if most > 1 else 1
    return threads


def _check_size(header: IdxHeader, name: str, *, strict: bool) -> None:
    """With all data of a plain file read: if strict, it must not be larger than they are."""
    if strict and header.compressed_nbytes != header.header_nbytes + header.nbytes:
        raise trailing_error(header, name)
