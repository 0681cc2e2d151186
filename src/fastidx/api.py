"""Load IDX files into numpy arrays, and look at their headers."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any, TypeVar, overload

import numpy as np

from .errors import IdxError, TrailingDataError, TruncatedError
from .header import IdxHeader, header_length, parse_header
from .sources import Bytes1D, BytesSource, Decoder, FileSource, Source, open_decoder, open_source

__all__ = ["info", "load"]

_Out = TypeVar("_Out")

# A cache line, the widest vector unit, and what lets other libraries share the array's memory.
_ALIGNMENT = 64

# DEFLATE's best: 258 bytes for two bits, with codes of one bit each (RFC 1951, section 3.2.5).
_MAX_EXPANSION = 1032

# As much as recognition of other kinds of file looks at.
_PREFIX_NBYTES = 512

# Where the size of the source is unknown, memory grows with what has really come, from here.
_FIRST_GROWTH_NBYTES = 16 << 20


@overload
def load(
    source: Source, *, out: None = None, verify: bool = True, strict: bool = True
) -> np.ndarray[Any, Any]: ...
@overload
def load(source: Source, *, out: _Out, verify: bool = True, strict: bool = True) -> _Out: ...
def load(source: Source, *, out: Any = None, verify: bool = True, strict: bool = True) -> Any:
    """Load an IDX file, gzipped or plain, as its content tells.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        A file object is read from its position to its end, and left open.
    out : ndarray or writable buffer, optional
        Where to put the data: an array of exactly the file's shape and type in native byte order,
        or a buffer of exactly its size in bytes (such as a bytearray); C-contiguous and writable.
        After an error its content is undefined.
    verify : bool
        Check CRC-32 and length of gzip members. Without it a damaged file may load as wrong data.
    strict : bool
        Refuse bytes after the data. Without it they are ignored.

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
    TypeError, ValueError
        If ``source`` or ``out`` is nothing that can be used.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import fastidx
    >>> labels = bytes.fromhex("00000801 00000003 050004")
    >>> fastidx.load(labels)
    array([5, 0, 4], dtype=uint8)
    """
    with contextlib.closing(open_source(source)) as opened:
        decoder, compression = open_decoder(opened, verify=verify)
        header = _read_header(decoder, opened, compression)
        _check_plausible(header, opened.name)
        if out is not None:
            items = _bytes_of_out(out, header)
            done = decoder.read_into(items, header.dtype.itemsize)
        elif opened.nbytes is not None:
            items = _allocate(header.nbytes)
            done = decoder.read_into(items, header.dtype.itemsize)
        else:
            items, done = _read_growing(decoder, header)
        if done < header.nbytes:
            raise _truncated(header, opened.name, done, decoder.truncated)
        _check_end(decoder, header, opened.name, strict)
    return items.view(header.dtype).reshape(header.shape) if out is None else out


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


def _take(decoder: Decoder, nbytes: int) -> bytes:
    data = np.empty(nbytes, np.uint8)
    return data[: decoder.read_into(data)].tobytes()


def _read_header(
    decoder: Decoder, source: BytesSource | FileSource, compression: str | None
) -> IdxHeader:
    prefix = _take(decoder, 4)
    try:
        length = header_length(prefix, source=source.name)
    except IdxError:
        # With more of the content in view the message can say what it is instead.
        length = header_length(prefix + _take(decoder, _PREFIX_NBYTES - 4), source=source.name)
    header = parse_header(prefix + _take(decoder, length - 4), source=source.name)
    return dataclasses.replace(header, compression=compression, compressed_nbytes=source.nbytes)


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


def _allocate(nbytes: int) -> Bytes1D:
    block = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -int(block.__array_interface__["data"][0]) % _ALIGNMENT
    return block[start : start + nbytes]


def _read_growing(decoder: Decoder, header: IdxHeader) -> tuple[Bytes1D, int]:
    """Read without knowing the size of the source, so that an untrue header costs no memory."""
    items = _allocate(min(header.nbytes, _FIRST_GROWTH_NBYTES))
    done = decoder.read_into(items, header.dtype.itemsize)
    while done == len(items) < header.nbytes:
        grown = _allocate(min(header.nbytes, 2 * len(items)))
        grown[:done] = items
        items = grown
        done += decoder.read_into(items[done:], header.dtype.itemsize)
    return items, done


def _bytes_of_out(out: Any, header: IdxHeader) -> Bytes1D:
    """Return the caller's memory as bytes, if it is exactly what the file needs."""
    if isinstance(out, np.ndarray):
        if out.dtype != header.dtype:
            order = "" if out.dtype.isnative else " in the other byte order"
            raise ValueError(
                f"out: expected dtype {header.dtype} in native byte order, "
                f"found {out.dtype.name}{order}"
            )
        if out.shape != header.shape:
            raise ValueError(f"out: expected shape {header.shape}, found {out.shape}")
        if not out.flags.c_contiguous:
            raise ValueError("out: expected a C-contiguous array, found gaps or another order")
        if not out.flags.writeable:
            raise ValueError("out: expected a writable array, found a read-only one")
        return out.reshape(-1).view(np.uint8)
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
    if view.nbytes != header.nbytes:
        raise ValueError(
            f"out: expected a buffer of {header.nbytes:,} bytes, found {view.nbytes:,}"
        )
    return np.frombuffer(view.cast("B") if view.nbytes else bytearray(), np.uint8)
