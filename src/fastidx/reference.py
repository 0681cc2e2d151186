"""IDX in pure Python: `gzip`, `struct` and numpy, nothing clever.

What a careful person writes in half an hour: the oracle that fastidx is tested against, and the
baseline that it is measured against. It shares nothing but the exceptions with the rest of the
package. The format is the one that Yann LeCun's page on the MNIST database describes.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from .errors import (
    ChecksumError,
    CorruptError,
    HeaderError,
    TrailingDataError,
    TruncatedError,
    UnsupportedDTypeError,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from typing_extensions import Buffer

    class _Readable(Protocol):
        def read(self) -> bytes: ...

    class _Writable(Protocol):
        def write(self, data: bytes, /) -> object: ...

    _Source: TypeAlias = str | os.PathLike[str] | Buffer | _Readable

__all__ = ["dumps", "load", "load_frombuffer", "save"]

# Type code: format of struct, type of numpy.
_TYPES = {
    0x08: ("B", ">u1"),
    0x09: ("b", ">i1"),
    0x0B: ("h", ">i2"),
    0x0C: ("i", ">i4"),
    0x0D: ("f", ">f4"),
    0x0E: ("d", ">f8"),
}


def load(source: _Source) -> np.ndarray[Any, Any]:
    """Load an IDX file, each element through `struct`.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        Gzipped or plain, told by content.

    Returns
    -------
    ndarray
        In native byte order. Of a float32 that is a signalling NaN, `struct` makes a quiet one.

    Raises
    ------
    HeaderError, CorruptError, ChecksumError, TruncatedError, TrailingDataError
        As in `fastidx.load`.

    Examples
    --------
    >>> from fastidx import reference
    >>> reference.load(bytes.fromhex("00000b02 00000002 00000001 0001 fffe"))
    array([[ 1],
           [-2]], dtype=int16)
    """
    code, shape, content = _read(source)
    letter, file_dtype = _TYPES[code]
    values = struct.unpack_from(f">{math.prod(shape)}{letter}", content, 4 + 4 * len(shape))
    return np.array(values, dtype=np.dtype(file_dtype).newbyteorder("=")).reshape(shape)


def load_frombuffer(source: _Source) -> np.ndarray[Any, Any]:
    """Load an IDX file, the data through `numpy.frombuffer`: the fast way in pure Python.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        Gzipped or plain, told by content.

    Returns
    -------
    ndarray
        In native byte order; read-only for the types of one byte, which need no conversion.

    Raises
    ------
    HeaderError, CorruptError, ChecksumError, TruncatedError, TrailingDataError
        As in `fastidx.load`.

    Examples
    --------
    >>> from fastidx import reference
    >>> reference.load_frombuffer(bytes.fromhex("00000801 00000003 010203"))
    array([1, 2, 3], dtype=uint8)
    """
    code, shape, content = _read(source)
    file_dtype = np.dtype(_TYPES[code][1])
    values = np.frombuffer(content, file_dtype, math.prod(shape), 4 + 4 * len(shape))
    return values.reshape(shape).astype(file_dtype.newbyteorder("="), copy=False)


def dumps(array: ArrayLike) -> bytes:
    """Return an array as the bytes of a plain IDX file.

    Parameters
    ----------
    array : array_like
        Of one of IDX's types, in any byte order and layout.

    Returns
    -------
    bytes
        The header, then the data in C order, big-endian.

    Raises
    ------
    UnsupportedDTypeError
        If IDX lacks the type.

    Examples
    --------
    >>> import numpy as np
    >>> from fastidx import reference
    >>> reference.dumps(np.array([1, 2, 3], dtype=np.uint8)).hex(" ", -4)
    '00000801 00000003 010203'
    """
    values = np.asarray(array)
    big_endian = values.dtype.newbyteorder(">")
    for code, (_, file_dtype) in _TYPES.items():
        if np.dtype(file_dtype) == big_endian:
            header = struct.pack(f">HBB{values.ndim}I", 0, code, values.ndim, *values.shape)
            return header + values.astype(big_endian).tobytes()
    raise UnsupportedDTypeError(f"IDX has no type for {values.dtype}")


def save(
    target: str | os.PathLike[str] | _Writable,
    array: ArrayLike,
    *,
    compression: Literal["infer", "gzip"] | None = "infer",
) -> None:
    """Save an array as an IDX file.

    Parameters
    ----------
    target : str, PathLike or binary file object
        Where to write. A file that exists is overwritten.
    array : array_like
        Of one of IDX's types, in any byte order and layout.
    compression : {"infer", "gzip", None}
        ``"infer"`` compresses if ``target`` is a path that ends in ``.gz``.

    Raises
    ------
    UnsupportedDTypeError
        If IDX lacks the type.

    Examples
    --------
    >>> import io
    >>> from fastidx import reference
    >>> file = io.BytesIO()
    >>> reference.save(file, [0.5], compression="gzip")
    >>> reference.load(file.getvalue())
    array([0.5])
    """
    content = dumps(array)
    named_gz = isinstance(target, (str, os.PathLike)) and os.fsdecode(target).endswith(".gz")
    if compression == "gzip" or (compression == "infer" and named_gz):
        content = gzip.compress(content, 6, mtime=0)
    if isinstance(target, (str, os.PathLike)):
        Path(target).write_bytes(content)
    else:
        target.write(content)


def _read(source: _Source) -> tuple[int, tuple[int, ...], bytes]:
    """Return type code, shape and the whole decompressed content, all of it checked."""
    if isinstance(source, (str, os.PathLike)):
        name, content = os.fsdecode(source), Path(source).read_bytes()
    elif hasattr(source, "read"):
        name, content = "<file object>", source.read()
    else:
        name, content = "<bytes>", bytes(memoryview(source))
    if content[:2] == b"\x1f\x8b":
        content = _gunzip(content, name)
    code, shape = _parse_header(content, name)

    expected = 4 + 4 * len(shape) + math.prod(shape) * np.dtype(_TYPES[code][1]).itemsize
    verdict = f"{name}: the header announces {expected} bytes in all, found {len(content)}"
    if len(content) < expected:
        raise TruncatedError(verdict)
    if len(content) > expected:
        raise TrailingDataError(verdict)
    return code, shape, content


def _parse_header(content: bytes, name: str) -> tuple[int, tuple[int, ...]]:
    if content[:2] != b"\0\0"[: len(content)]:
        raise HeaderError(f"{name}: an IDX file starts with 00 00, found {content[:4].hex(' ')}")
    if len(content) > 2 and content[2] not in _TYPES:
        raise HeaderError(f"{name}: 0x{content[2]:02X} is no type code of IDX")
    if len(content) > 3 and content[3] > 64:
        raise HeaderError(f"{name}: numpy holds 64 dimensions, found {content[3]}")
    if len(content) < 4 or len(content) < 4 + 4 * content[3]:
        raise TruncatedError(f"{name}: the header is cut after {len(content)} bytes")
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    # The size that numpy checks: dimensions of length zero do not count.
    extent = math.prod(dim for dim in shape if dim) * np.dtype(_TYPES[content[2]][1]).itemsize
    if extent > sys.maxsize:
        raise HeaderError(f"{name}: no array can have the shape {shape}")
    return content[2], shape


def _gunzip(data: bytes, name: str) -> bytes:
    """Decompress all members, with the errors of `gzip` and `zlib` as fastidx's own."""
    try:
        content = gzip.decompress(data)
    except EOFError as error:
        raise TruncatedError(f"{name}: the gzip data is cut: {error}") from error
    except zlib.error as error:
        raise CorruptError(f"{name}: the gzip data is damaged: {error}") from error
    except gzip.BadGzipFile as error:
        # Python has one exception for these; that data starts as gzip was seen before.
        message = str(error)
        if message.startswith("Not a gzipped file"):
            raise TrailingDataError(f"{name}: more follows the gzip data: {message}") from error
        if message.startswith("Unknown compression method"):
            raise CorruptError(f"{name}: the gzip header is damaged: {message}") from error
        raise ChecksumError(f"{name}: the gzip data is damaged: {message}") from error
    _check_gzip_header(data, name)
    return content


def _check_gzip_header(data: bytes, name: str) -> None:
    """Check what `gzip` skips in a header, though only in the first member's (RFC 1952, 2.3)."""
    flags = data[3]
    if flags & 0xE0:
        raise CorruptError(f"{name}: reserved flags are set in the gzip header: 0x{flags:02X}")
    if not flags & 0x02:  # FHCRC
        return
    end = 10
    if flags & 0x04:  # FEXTRA
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for text in (0x08, 0x10):  # FNAME, FCOMMENT
        if flags & text:
            end = data.index(b"\0", end) + 1
    if zlib.crc32(data[:end]) & 0xFFFF != int.from_bytes(data[end : end + 2], "little"):
        raise ChecksumError(f"{name}: the checksum of the gzip header differs")
