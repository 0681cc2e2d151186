"""What the package idx2numpy (1.2) offers, loaded by fastidx.

Differences from the original:

- Gzipped content is decoded; the original refuses it.
- Arrays are writable. Those of more than one byte an element are big-endian, as in the original;
  `fastidx.load` returns native byte order.
- Any PathLike is a file name.
- A file is replaced when all has been written; whatever fails, the old one stays. The original
  has emptied it by then.
- An array is written whatever its byte order; the original refuses big-endian ones. An array
  without dimensions is written, too.
- `FormatError` is a `fastidx.IdxError` and so a `ValueError`; what is raised is also of the class
  that says more, such as `fastidx.TruncatedError`. Arguments of a wrong type raise a `TypeError`,
  not an `AttributeError`.

Examples
--------
>>> import numpy as np
>>> from fastidx.compat import idx2numpy
>>> data = idx2numpy.convert_to_string(np.array([10, 11, 255], np.uint8))
>>> data.hex(" ", -4)
'00000801 00000003 0a0bff'
>>> idx2numpy.convert_from_string(data)
array([ 10,  11, 255], dtype=uint8)
"""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fastidx import IdxError, IdxHeader, TruncatedError, load, save
from fastidx.format.header import parse_header

from .arrays import name_of, unwrapped
from .errors import GZIP_ERRORS, ErrorTypes, errors_also

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from typing_extensions import Buffer

    from fastidx.sources.protocol import BinaryReader

__all__ = [
    "FormatError",
    "convert_from_file",
    "convert_from_string",
    "convert_to_file",
    "convert_to_string",
]


class FormatError(IdxError):
    """Data that is not an IDX file, or an array that is not to be written as one."""


# Of three dimensions; for a small file each read counts.
_USUAL_HEADER_NBYTES = 16

_ERRORS: ErrorTypes = {IdxError: (FormatError,), **GZIP_ERRORS}


def convert_from_file(file: str | os.PathLike[str] | BinaryReader) -> np.ndarray[Any, Any]:
    """Load an IDX file.

    Parameters
    ----------
    file : str, PathLike or binary file object
        A file object is read from its position to its end, and left open.

    Returns
    -------
    ndarray
        With the file's type and shape, big-endian where that makes a difference.

    Raises
    ------
    FormatError
        If it is not an IDX file, or a damaged one.
    OSError
        If it cannot be read.
    """
    if isinstance(file, (str, os.PathLike)):
        with errors_also(_ERRORS), io.FileIO(os.fspath(file)) as opened:
            return _read(opened)
    if not hasattr(file, "read"):
        raise TypeError(
            f"file: expected a file name or a binary file object, found {type(file).__name__}"
        )
    with errors_also(_ERRORS):
        return _read(unwrapped(file))


def convert_from_string(idx_string: Buffer) -> np.ndarray[Any, Any]:
    """Load an IDX file that lies in memory.

    Parameters
    ----------
    idx_string : bytes-like
        The whole file.

    Returns
    -------
    ndarray
        With the file's type and shape, big-endian where that makes a difference.

    Raises
    ------
    FormatError
        If it is not an IDX file, or a damaged one.
    """
    # Bytes are not copied, but it would take text for bytes that are missing.
    file = io.BytesIO(idx_string if isinstance(idx_string, bytes) else memoryview(idx_string))
    with errors_also(_ERRORS):
        return _read(file)


def convert_to_file(file: str | os.PathLike[str] | BinaryIO, ndarr: ArrayLike) -> None:
    """Write an array as an IDX file, uncompressed.

    Parameters
    ----------
    file : str, PathLike or binary file object
        A file object is left open.
    ndarr : ndarray
        Of uint8, int8, int16, int32, float32 or float64, with one element at least.

    Raises
    ------
    FormatError
        If the array is empty or of another type.
    OSError
        If the file cannot be written.
    """
    array = np.asarray(ndarr)
    if array.size == 0:
        raise FormatError(
            f"expected an array with elements, found one of shape {array.shape}; "
            "fastidx.save writes empty arrays, too"
        )
    with errors_also(_ERRORS):
        save(file, array, compression=None)


def convert_to_string(ndarr: ArrayLike) -> bytes:
    """Return what `convert_to_file` would write.

    Parameters
    ----------
    ndarr : ndarray
        Of uint8, int8, int16, int32, float32 or float64, with one element at least.

    Returns
    -------
    bytes
        The whole file, uncompressed.

    Raises
    ------
    FormatError
        If the array is empty or of another type.
    """
    file = io.BytesIO()
    convert_to_file(file, ndarr)
    return file.getvalue()


def _read(file: Any) -> np.ndarray[Any, Any]:
    """Load an open file, with elements in the order of its bytes, which is cheaper than to turn."""
    header = _plain_header(file)
    if header is None:
        array = load(file)
        return array.astype(array.dtype.newbyteorder(">"), copy=False)
    array = np.empty(header.shape, header.file_dtype)
    rest = array.reshape(-1).view(np.uint8).data
    while rest:
        count = file.readinto(rest)
        if not count:
            raise TruncatedError(f"{name_of(file)}: has become shorter while it was read")
        rest = rest[count:]
    return array


def _plain_header(file: Any) -> IdxHeader | None:
    """Pass over the header of a plain file whose data are all there; of others leave all to load().

    What is wrong with a file, load() will say.
    """
    position = None
    with contextlib.suppress(AttributeError, TypeError, IndexError, OSError, IdxError):
        position = file.tell()
        start = file.read(_USUAL_HEADER_NBYTES)
        if start[:2] == b"\0\0" and hasattr(file, "readinto"):
            rest = 4 + 4 * start[3] - _USUAL_HEADER_NBYTES
            header = parse_header(start + file.read(rest) if rest > 0 else start, name="")
            end = file.seek(0, os.SEEK_END)
            if end == position + header.header_nbytes + header.nbytes:
                file.seek(position + header.header_nbytes)
                return header
    with contextlib.suppress(AttributeError, TypeError, OSError):
        file.seek(position)
    return None
