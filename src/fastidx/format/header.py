"""The IDX header, parsed and built.

Yann LeCun's page "The MNIST database of handwritten digits" describes IDX in its last section: two
zero bytes, a type code, the number of dimensions, then each dimension as a 32-bit unsigned integer
and the data in C order (the last index changes fastest), all most significant byte first.
"""

from __future__ import annotations

import math
import struct
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fastidx.errors import HeaderError, TruncatedError, UnsupportedDTypeError

from .advice import FETCH_AGAIN, advise_dtype, byte_order_remedy, dtype_name, product
from .typecodes import FILE_DTYPES, MAX_DIMENSION, MAX_NDIM, TYPE_CODES, TYPE_NAMES

_Bytes: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class IdxHeader:
    """The header of an IDX file, and how the file is compressed.

    Parameters
    ----------
    type_code : int
        The third byte of the file: 0x08, 0x09, 0x0B, 0x0C, 0x0D or 0x0E.
    shape : tuple of int
        The dimensions; ``()`` is one single element.
    compression : str or None
        ``"gzip"`` or ``"xz"``, or None for a plain file. For a member of a zip archive it is the
        compression of the member's content.
    compressed_nbytes : int or None
        Size of the source in bytes, as it is stored; None where it is unknown.

    Examples
    --------
    >>> from fastidx.format.header import IdxHeader
    >>> header = IdxHeader(0x0B, (60000, 28, 28))
    >>> header.dtype, header.ndim, header.nbytes
    (dtype('int16'), 3, 94080000)
    >>> header.to_bytes().hex(" ", 4)
    '00000b03 0000ea60 0000001c 0000001c'
    """

    type_code: int
    shape: tuple[int, ...]
    compression: str | None = None
    compressed_nbytes: int | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements in memory, in native byte order."""
        return self.file_dtype.newbyteorder("=")

    @property
    def file_dtype(self) -> np.dtype[Any]:
        """Type of the elements in the file, big-endian."""
        return FILE_DTYPES[self.type_code]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of the data in bytes, uncompressed and without the header."""
        return self.size * self.file_dtype.itemsize

    @property
    def header_nbytes(self) -> int:
        """Size of the header in bytes."""
        return 4 + 4 * self.ndim

    @property
    def item_nbytes(self) -> int:
        """Size in bytes of one item along the first axis; without axes, of the whole data."""
        return math.prod(self.shape[1:]) * self.file_dtype.itemsize

    def to_bytes(self) -> bytes:
        """Return the header as it stands in a file."""
        return struct.pack(f">2xBB{self.ndim}I", self.type_code, self.ndim, *self.shape)


def header_length(prefix: _Bytes, *, name: str) -> int:
    r"""Return the length of the header, judged by the first four bytes of a file.

    Parameters
    ----------
    prefix : bytes-like
        The first bytes, decompressed. Four are enough to judge; with a few hundred, more kinds of
        foreign content are recognised and named.
    name : str
        The name of the file in messages.

    Returns
    -------
    int
        Length in bytes, from 4 to 260.

    Raises
    ------
    HeaderError
        If no IDX file starts like that, or there are more dimensions than numpy holds.
    TruncatedError
        If there are fewer than four bytes, and an IDX file can start like that.

    Examples
    --------
    >>> from fastidx.format.header import header_length
    >>> header_length(b"\x00\x00\x08\x03", name="train-images")
    16
    """
    start = bytes(prefix[:4])
    if not start:
        raise TruncatedError(
            f"{name}: expected an IDX header of at least 4 bytes, found an empty file (0 bytes); "
            f"the download, or the program that wrote it, has failed: {FETCH_AGAIN}"
        )
    zeros, code, ndim = start[:2], start[2:3], start[3:]
    legal = zeros == b"\0\0"[: len(zeros)]
    if not legal or (code and code[0] not in FILE_DTYPES) or (ndim and ndim[0] > MAX_NDIM):
        from .recognise import not_idx  # here, as importing fastidx must be fast

        raise HeaderError(f"{name}: {not_idx(prefix)}")
    if not ndim:
        raise TruncatedError(
            f"{name}: expected an IDX header of at least 4 bytes, found only {start.hex(' ')}; "
            f"the file has been cut: {FETCH_AGAIN}"
        )
    return 4 + 4 * ndim[0]


def parse_header(data: _Bytes, *, name: str) -> IdxHeader:
    """Parse the header at the beginning of ``data`` and ignore the rest.

    Parameters
    ----------
    data : bytes-like
        The first bytes, decompressed, at least as many as `header_length` says.
    name : str
        The name of the file in messages.

    Returns
    -------
    IdxHeader
        Its ``compression`` and ``compressed_nbytes`` are None.

    Raises
    ------
    HeaderError
        If it is no IDX header, or claims more data than an array can hold.
    TruncatedError
        If the header is not complete.

    Examples
    --------
    >>> from fastidx.format.header import parse_header
    >>> parse_header(bytes.fromhex("00000801 00002710"), name="t10k-labels").shape
    (10000,)
    """
    length = header_length(data, name=name)
    if len(data) < length:
        raise TruncatedError(
            f"{name}: expected an IDX header of {length} bytes ({data[3]} dimensions), "
            f"found only {len(data)}; the file has been cut: {FETCH_AGAIN}"
        )
    header = IdxHeader(data[2], struct.unpack_from(f">{data[3]}I", data, 4))
    _check_size(header, name)
    return header


def header_for(array: np.ndarray[Any, Any], *, name: str = "IDX file") -> IdxHeader:
    """Return the header for saving an array.

    Parameters
    ----------
    array : ndarray
        Any shape, any byte order.
    name : str
        The name of the file in messages.

    Returns
    -------
    IdxHeader
        Its ``compression`` and ``compressed_nbytes`` are None.

    Raises
    ------
    UnsupportedDTypeError
        If IDX lacks the type; the message names the nearest type that would fit.
    HeaderError
        If a dimension exceeds the 32 bits that IDX has for it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastidx.format.header import header_for
    >>> header_for(np.zeros((3, 2), dtype="<f4"))
    IdxHeader(type_code=13, shape=(3, 2), compression=None, compressed_nbytes=None)
    """
    code = TYPE_CODES.get((array.dtype.kind, array.dtype.itemsize))
    if code is None:
        raise UnsupportedDTypeError(
            f"{name}: expected an array of a type that IDX has ({', '.join(TYPE_NAMES)}), "
            f"found {dtype_name(array.dtype)}; {advise_dtype(array)}"
        )
    too_long = [dim for dim in array.shape if dim > MAX_DIMENSION]
    if too_long:
        raise HeaderError(
            f"{name}: expected dimensions of at most {MAX_DIMENSION:,} (IDX has 32 bits for "
            f"each), found {too_long[0]:,}; reshape the array or save it in parts"
        )
    return IdxHeader(code, array.shape)


def _check_size(header: IdxHeader, name: str) -> None:
    if 0 < header.nbytes <= sys.maxsize:
        return
    # numpy ignores zero-length dimensions when it checks the size of an array. So does this check.
    extent = math.prod(dim for dim in header.shape if dim) * header.file_dtype.itemsize
    if extent > sys.maxsize:
        damaged = f"the header is damaged or this is not an IDX file: {FETCH_AGAIN}"
        raise HeaderError(
            f"{name}: expected an array of at most {sys.maxsize:,} bytes, found a header that "
            f"claims {product(header.shape)} elements of {header.dtype}; "
            f"{byte_order_remedy(header.shape) or damaged}"
        )
