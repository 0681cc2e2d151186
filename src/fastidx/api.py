"""Load IDX files into numpy arrays, and look at their headers."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from ._kernel import GzipDecoder
from .conversion import Conversion, Number, plan
from .destination import Bytes1D, Destination
from .errors import IdxError, TrailingDataError, TruncatedError
from .header import IdxHeader, header_length, parse_header
from .members import find_tasks, load_tasks
from .parallel import ParallelLoad
from .sources import BytesSource, Decoder, FileSource, Source, open_decoder, open_source
from .threads import available_threads, check_threads

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["info", "load"]

_Out = TypeVar("_Out")

# DEFLATE's best: 258 bytes for two bits, with codes of one bit each (RFC 1951, section 3.2.5).
_MAX_EXPANSION = 1032

# As much as recognition of other kinds of file looks at.
_PREFIX_NBYTES = 512

# Below this, threads cost more than they save.
_MIN_PARALLEL_NBYTES = 1 << 20

# Where the size of the source is unknown, memory grows with what has really come, from here.
_FIRST_GROWTH_NBYTES = 16 << 20


@overload
def load(
    source: Source,
    *,
    out: None = None,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    verify: bool = True,
    strict: bool = True,
    threads: int | None = None,
) -> np.ndarray[Any, Any]: ...
@overload
def load(
    source: Source,
    *,
    out: _Out,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    verify: bool = True,
    strict: bool = True,
    threads: int | None = None,
) -> _Out: ...
def load(
    source: Source,
    *,
    out: Any = None,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    verify: bool = True,
    strict: bool = True,
    threads: int | None = None,
) -> Any:
    """Load an IDX file, gzipped or plain, as its content tells.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        A file object is read from its position to its end, and left open.
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
    strict : bool
        Refuse bytes after the data. Without it they are ignored.
    threads : int, optional
        How many threads decode a gzipped file whose size is known. By default as many as
        ``FASTIDX_THREADS`` says or the process may use CPUs, and one for files under 1 MiB. The
        result, and what is raised, does not depend on it.

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
    ConversionError
        If ``dtype`` cannot hold a value that occurs in the file.
    TypeError, ValueError
        If an argument is nothing that can be used, or not with this file.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import fastidx
    >>> labels = bytes.fromhex("00000801 00000003 050004")
    >>> fastidx.load(labels)
    array([5, 0, 4], dtype=uint8)
    >>> fastidx.load(labels, dtype="float32", scale=0.5, offset=-1)
    array([ 1.5, -1. ,  1. ], dtype=float32)
    """
    with contextlib.closing(open_source(source)) as opened:
        decoder, compression = open_decoder(opened, verify=verify)
        header = _read_header(decoder, opened, compression)
        _check_plausible(header, opened.name)
        conversion = plan(header, dtype, scale, offset, lut, source=opened.name)
        items = _destination(out, header, conversion)
        nthreads = _choose_threads(threads, header)
        if nthreads > 1:
            data = opened.read_all(nthreads)
            if _load_parallel(data, items, opened.name, nthreads, verify):
                return items.array() if out is None else out
            # Something is wrong with the data. What it is, the serial decoder says.
            decoder = GzipDecoder(BytesSource(data, opened.name), verify=verify)
            _take(decoder, header.header_nbytes)
        items, done = _read_items(decoder, items)
        if done < header.nbytes:
            done += len(_take(decoder, items.item_nbytes - 1))  # of an item that is not complete
            raise _truncated(header, opened.name, done, decoder.truncated)
        _check_end(decoder, header, opened.name, strict)
    return items.array() if out is None else out


def info(source: Source) -> IdxHeader:
    """Read the header of an IDX file, decoding no more than that takes.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        A file object is put back to its position if it can seek.

    Returns
    -------
    IdxHeader
        With type, shape, size, compression and the source's size.

    Raises
    ------
    HeaderError, TruncatedError, CorruptError
        If there is no valid header to be read.

    Examples
    --------
    >>> import fastidx
    >>> header = fastidx.info(bytes.fromhex("00000803 0000ea60 0000001c 0000001c"))
    >>> header.dtype, header.shape, header.nbytes
    (dtype('uint8'), (60000, 28, 28), 47040000)
    """
    with contextlib.closing(open_source(source)) as opened:
        try:
            decoder, compression = open_decoder(opened, read_ahead=False)
            return _read_header(decoder, opened, compression)
        finally:
            opened.rewind()


def _destination(out: Any, header: IdxHeader, conversion: Conversion | None) -> Destination:
    """Return the memory to load into: all of it, or the first part where the size is unknown."""
    if out is not None:
        dtype = header.dtype if conversion is None else conversion.dtype
        return Destination(header, conversion, _bytes_of_out(out, header.shape, dtype))
    if header.compressed_nbytes is None:
        return Destination(header, conversion, nbytes=min(header.nbytes, _FIRST_GROWTH_NBYTES))
    return Destination(header, conversion)


def _read_items(decoder: Decoder, items: Destination) -> tuple[Destination, int]:
    """Read all items; where the size is unknown, memory grows with what has really come."""
    done = items.read(decoder, 0, items.nbytes)
    while done == items.nbytes < items.header.nbytes:
        items = items.grown(min(items.header.nbytes, 2 * items.nbytes))
        done += items.read(decoder, done, items.nbytes)
    return items, done


def _load_parallel(
    data: memoryview, items: Destination, name: str, threads: int, verify: bool
) -> bool:
    """Decode a gzip file with several threads; False if anything is wrong with it."""
    tasks = find_tasks(data, items.header.header_nbytes + items.header.nbytes)
    if tasks is not None:
        return load_tasks(data, name, items, tasks, threads=threads, verify=verify)
    return ParallelLoad(data, name, items, threads=threads, verify=verify).run()


def _choose_threads(threads: int | None, header: IdxHeader) -> int:
    """Return how many threads are to decode a file."""
    if threads is not None:
        check_threads(threads)
    if header.compression != "gzip" or header.compressed_nbytes is None:
        return 1
    if threads is None:
        return available_threads() if header.compressed_nbytes >= _MIN_PARALLEL_NBYTES else 1
    return threads


def _take(decoder: Decoder, nbytes: int) -> bytes:
    data = np.empty(nbytes, np.uint8)
    return data[: decoder.read_into(data)].tobytes()


def _read_header(
    decoder: Decoder, source: BytesSource | FileSource, compression: str | None
) -> IdxHeader:
    prefix = _take(decoder, 4)
    length = None
    with contextlib.suppress(IdxError):
        length = header_length(prefix, source=source.name)
    if length is None:
        # With more of the content in view the message can say what it is instead.
        prefix += _take(decoder, _PREFIX_NBYTES - 4)
        _check_not_cut(decoder, source.name, prefix, 4)
        length = header_length(prefix, source=source.name)
    prefix += _take(decoder, length - len(prefix))
    _check_not_cut(decoder, source.name, prefix, length)
    header = parse_header(prefix, source=source.name)
    return dataclasses.replace(header, compression=compression, compressed_nbytes=source.nbytes)


def _check_not_cut(decoder: Decoder, name: str, prefix: bytes, length: int) -> None:
    """Refuse a compressed stream that ends before the header in it does."""
    if decoder.truncated and len(prefix) < length:
        raise TruncatedError(
            f"{name}: expected an IDX header of at least {length} bytes, but the gzip stream "
            f"breaks off after {len(prefix)}, as after a download that was cut; fetch it again"
        )


def _check_plausible(header: IdxHeader, name: str) -> None:
    """Refuse a header whose data the file cannot hold, before anything is allocated for it."""
    if header.compressed_nbytes is None:
        return
    if header.compression is None:
        held = max(0, header.compressed_nbytes - header.header_nbytes)
        if held < header.nbytes:
            raise _truncated(header, name, held, False)
    elif header.header_nbytes + header.nbytes > _MAX_EXPANSION * header.compressed_nbytes:
        raise TruncatedError(
            f"{name}: expected {header.nbytes:,} data bytes, as the header claims, found a file of "
            f"{header.compressed_nbytes:,} bytes, which can hold at most {_MAX_EXPANSION} times as "
            "many; it was cut or its header is damaged: fetch it again"
        )


def _truncated(header: IdxHeader, name: str, done: int, breaks_off: bool) -> IdxError:
    if breaks_off:
        cause = "the gzip stream breaks off, as after a download that was cut"
    elif header.compression == "gzip":
        cause = "the gzip stream itself is complete, so the header claims more than was written"
    else:
        cause = "the file was cut, or its header claims too much"
    items = ""
    if header.shape and header.item_nbytes:
        items = f"; {done // header.item_nbytes:,} of {header.shape[0]:,} items complete"
    return TruncatedError(
        f"{name}: holds {done:,} of {header.nbytes:,} data bytes{items}; {cause}: "
        "fetch or write it again"
    )


def _check_end(decoder: Decoder, header: IdxHeader, name: str, strict: bool) -> None:
    """With all data read: nothing must be missing after it and, if strict, nothing be there."""
    if not strict:
        decoder.skip_member()
    elif not decoder.at_end():
        raise TrailingDataError(
            f"{name}: expected the end after {header.nbytes:,} data bytes, as the header says, "
            "found more; the header is damaged, or pass strict=False to ignore what follows"
        )
    if decoder.truncated:
        raise TruncatedError(
            f"{name}: holds all {header.nbytes:,} data bytes, but the gzip stream breaks off "
            "before its end, so they cannot be verified; fetch it again"
        )


def _bytes_of_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Bytes1D:
    """Return the caller's memory as bytes, if it is exactly what the result needs."""
    if isinstance(out, np.ndarray):
        if out.dtype != dtype:
            order = "" if out.dtype.isnative else " in the other byte order"
            raise ValueError(
                f"out: expected dtype {dtype} in native byte order, found {out.dtype.name}{order}"
            )
        if out.shape != shape:
            raise ValueError(f"out: expected shape {shape}, found {out.shape}")
        if not out.flags.c_contiguous:
            raise ValueError("out: expected a C-contiguous array, found gaps or another order")
        if not out.flags.writeable:
            raise ValueError("out: expected a writable array, found a read-only one")
        return np.asarray(out).reshape(-1).view(np.uint8)  # of a subclass, the plain array
    nbytes = math.prod(shape) * dtype.itemsize
    try:
        view = memoryview(out)
    except TypeError:
        raise TypeError(
            f"out: expected an array or a writable buffer, found {type(out).__name__}"
        ) from None
    if view.readonly:
        raise ValueError("out: expected a writable buffer, found a read-only one")
    if not view.c_contiguous:
        raise ValueError("out: expected a C-contiguous buffer, found one with gaps")
    if view.nbytes != nbytes:
        raise ValueError(f"out: expected a buffer of {nbytes:,} bytes, found {view.nbytes:,}")
    return np.frombuffer(view.cast("B") if view.nbytes else bytearray(), np.uint8)
