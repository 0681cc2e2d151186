"""The IDX header: parsed, built, and recognised for what it is when it is something else.

Yann LeCun's page "The MNIST database of handwritten digits" describes IDX in its last section: two
zero bytes, a type code, the number of dimensions, then each dimension as a 32-bit unsigned integer
and the data in C order (the last index changes fastest), all most significant byte first.
"""

from __future__ import annotations

import codecs
import math
import re
import struct
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fastidx.errors import HeaderError, TruncatedError, UnsupportedDTypeError

_Bytes: TypeAlias = bytes | bytearray | memoryview

# Type codes and types as in the table on LeCun's page; 0x0A and all others are not assigned.
_FILE_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
TYPE_CODES = {(dtype.kind, dtype.itemsize): code for code, dtype in _FILE_DTYPES.items()}
TYPE_NAMES = [dtype.name for dtype in _FILE_DTYPES.values()]

# The format's limit is 255, in one byte; numpy 2 holds no more than this.
MAX_NDIM = 64
_MAX_DIMENSION = 2**32 - 1

# Above this a float64 no longer holds every integer.
_FLOAT64_EXACT = 2**53

# As much as recognition looks at: tar's mark, at byte 257, is the farthest in.
_PREFIX_NBYTES = 512
_FETCH_AGAIN = "check where it comes from and fetch it again"


@dataclass(frozen=True, slots=True)
class IdxHeader:
    """What an IDX file says of its data, and how the file is compressed.

    Parameters
    ----------
    type_code : int
        The third byte of the file: 0x08, 0x09, 0x0B, 0x0C, 0x0D or 0x0E.
    shape : tuple of int
        The dimensions; ``()`` is one single element.
    compression : str or None
        ``"gzip"`` or ``"xz"``, or None for a plain file. A zip archive does not count, as the file
        is its member.
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
        return _FILE_DTYPES[self.type_code]

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


def header_length(prefix: _Bytes, *, source: str) -> int:
    r"""Return the length of the header, judged by the first four bytes of a file.

    Parameters
    ----------
    prefix : bytes-like
        The first bytes, decompressed. Four are enough to judge; with a few hundred, more kinds of
        foreign content are recognised and named.
    source : str
        What the messages call the file.

    Returns
    -------
    int
        Length in bytes, from 4 to 260.

    Raises
    ------
    HeaderError
        If no IDX file starts like that, or it has more dimensions than numpy holds.
    TruncatedError
        If there are fewer than four bytes, all of them as in an IDX file.

    Examples
    --------
    >>> from fastidx.format.header import header_length
    >>> header_length(b"\x00\x00\x08\x03", source="train-images")
    16
    """
    start = bytes(prefix[:4])
    if not start:
        raise TruncatedError(
            f"{source}: expected an IDX header of at least 4 bytes, found an empty file (0 bytes); "
            f"the download, or the program that wrote it, has failed: {_FETCH_AGAIN}"
        )
    zeros, code, ndim = start[:2], start[2:3], start[3:]
    legal = zeros == b"\0\0"[: len(zeros)]
    if not legal or (code and code[0] not in _FILE_DTYPES) or (ndim and ndim[0] > MAX_NDIM):
        raise HeaderError(f"{source}: {_not_idx(bytes(prefix[:_PREFIX_NBYTES]))}")
    if not ndim:
        raise TruncatedError(
            f"{source}: expected an IDX header of at least 4 bytes, found only {_hex(start)}; "
            f"the file has been cut: {_FETCH_AGAIN}"
        )
    return 4 + 4 * ndim[0]


def parse_header(data: _Bytes, *, source: str) -> IdxHeader:
    """Parse the header at the beginning of ``data``; what follows it is not looked at.

    Parameters
    ----------
    data : bytes-like
        The first bytes, decompressed, at least as many as `header_length` says.
    source : str
        What the messages call the file.

    Returns
    -------
    IdxHeader
        With ``compression`` and ``compressed_nbytes`` left at None.

    Raises
    ------
    HeaderError
        If it is no IDX header, or no array can be as large as it claims.
    TruncatedError
        If the header is not complete.

    Examples
    --------
    >>> from fastidx.format.header import parse_header
    >>> parse_header(bytes.fromhex("00000801 00002710"), source="t10k-labels").shape
    (10000,)
    """
    length = header_length(data, source=source)
    if len(data) < length:
        raise TruncatedError(
            f"{source}: expected an IDX header of {length} bytes ({data[3]} dimensions), "
            f"found only {len(data)}; the file has been cut: {_FETCH_AGAIN}"
        )
    header = IdxHeader(data[2], struct.unpack_from(f">{data[3]}I", data, 4))
    _check_size(header, source)
    return header


def header_for(array: np.ndarray[Any, Any], *, target: str = "IDX file") -> IdxHeader:
    """Return the header under which an array is to be saved.

    Parameters
    ----------
    array : ndarray
        Any shape, any byte order.
    target : str
        What the messages call the file.

    Returns
    -------
    IdxHeader
        With ``compression`` and ``compressed_nbytes`` left at None.

    Raises
    ------
    UnsupportedDTypeError
        If IDX lacks the type; the message names the nearest type that would fit.
    HeaderError
        If a dimension does not fit into the 32 bits that IDX has for it.

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
            f"{target}: expected an array of a type that IDX has ({', '.join(TYPE_NAMES)}), "
            f"found {_dtype_name(array.dtype)}; {_conversion_advice(array)}"
        )
    too_long = [dim for dim in array.shape if dim > _MAX_DIMENSION]
    if too_long:
        raise HeaderError(
            f"{target}: expected dimensions of at most {_MAX_DIMENSION:,} (IDX has 32 bits for "
            f"each), found {too_long[0]:,}; reshape the array or save it in parts"
        )
    return IdxHeader(code, array.shape)


def describe_content(prefix: _Bytes) -> str | None:
    r"""Name what a file holds that is not an IDX file, by its first bytes.

    Parameters
    ----------
    prefix : bytes-like
        The first bytes of the file. Four bytes tell most kinds, 512 tell all.

    Returns
    -------
    str or None
        Such as ``"an HTML page"``, ``"JSON text"`` or ``"a gzip file"``; None for IDX and for
        all that is not recognised.

    Examples
    --------
    >>> from fastidx.format.header import describe_content
    >>> describe_content(b'{"error": "not found"}')
    'JSON text'
    >>> print(describe_content(b"\x00\x00\x08\x01"))
    None
    """
    recognised = _recognise(bytes(prefix[:_PREFIX_NBYTES]))
    return recognised[0] if recognised else None


def _check_size(header: IdxHeader, source: str) -> None:
    if 0 < header.nbytes <= sys.maxsize:
        return
    # Zero-length dimensions are passed over because numpy passes over them in the same check.
    extent = math.prod(dim for dim in header.shape if dim) * header.file_dtype.itemsize
    if extent > sys.maxsize:
        shape = " x ".join(f"{dim:,}" for dim in header.shape)
        raise HeaderError(
            f"{source}: expected an array of at most {sys.maxsize:,} bytes, found a header that "
            f"claims {shape} elements of {header.dtype}; the header is damaged or this is not an "
            f"IDX file: {_FETCH_AGAIN}"
        )


def _not_idx(prefix: bytes) -> str:
    """Say what was expected, what these bytes are instead, and what to do."""
    recognised = _recognise(prefix)
    if recognised:
        name, remedy = recognised
        return f"expected an IDX file, found {name} (it starts with {_excerpt(prefix)}); {remedy}"
    if not prefix.startswith(b"\0\0"):
        return (
            f"expected an IDX file, which starts with 00 00, found {_hex(prefix[:4])}; "
            f"this is not an IDX file, or it is damaged: {_FETCH_AGAIN}"
        )
    if prefix[2] not in _FILE_DTYPES:
        codes = ", ".join(f"0x{code:02X} ({d.name})" for code, d in _FILE_DTYPES.items())
        return (
            f"expected one of the type codes of IDX, {codes}, found 0x{prefix[2]:02X}; "
            f"this is not an IDX file, or it is damaged: {_FETCH_AGAIN}"
        )
    return (
        f"expected at most {MAX_NDIM} dimensions, as numpy holds no more, found {prefix[3]}; "
        f"the header is damaged or this is not an IDX file: {_FETCH_AGAIN}"
    )


def _conversion_advice(array: np.ndarray[Any, Any]) -> str:
    """Say which of the types of IDX would hold the array, the smallest first."""
    dtype = array.dtype
    if dtype.kind in "iu" and dtype.itemsize == 8:
        # numpy calls the cast to float64 safe, but only up to 2**53 is it exact.
        if _values_within(array, -(2**31), 2**31 - 1):
            return "convert it with .astype('int32'), which holds all its values"
        if _values_within(array, -_FLOAT64_EXACT, _FLOAT64_EXACT):
            return "convert it with .astype('float64'), which holds all its values exactly"
        return "no type of IDX holds all its values exactly"
    for name in TYPE_NAMES:
        if np.can_cast(dtype, name, "safe"):
            exact = f"holds every {_dtype_name(dtype)} exactly"
            advice = f"convert it with .astype('{name}'), which {exact}"
            if dtype == np.uint32 and _values_within(array, 0, 2**31 - 1):
                advice += ", or with .astype('int32'), which holds the values of this array"
            return advice
    if dtype.kind == "f":
        return "convert it with .astype('float64'), the nearest, which rounds"
    return "no type of IDX holds such values"


def _dtype_name(dtype: np.dtype[Any]) -> str:
    # The name of a number's type is free of its byte order, which does not matter here.
    return dtype.name if dtype.kind in "biufc" else str(dtype)


def _values_within(array: np.ndarray[Any, Any], low: int, high: int) -> bool:
    return array.size == 0 or (int(array.min()) >= low and int(array.max()) <= high)


# Content that is found under the name of an IDX file: offset and bytes to know it by (as few as
# are distinctive, so that a prefix of four bytes tells most), its name, what to do.
_SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (
    (
        0,
        b"\x1f\x8b",
        "a gzip file",
        "it has been gzipped once more than needed: decompress it once (gunzip) before loading, "
        "or save it without the second compression",
    ),
    (
        # The bytes 1f 8b 08: as text, 8b is invalid and becomes the replacement character.
        0,
        b"\x1f\xef\xbf\xbd",
        "a gzip file that was damaged when it was decoded as text",
        "it cannot be repaired: fetch it again, in binary mode",
    ),
    (0, b"BZh", "a bzip2 file", "decompress it first (bunzip2, or Python's bz2.open)"),
    (0, b"\xfd7zX", "an xz file", "decompress it first (unxz, or Python's lzma.open)"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file", "decompress it first (unzstd)"),
    (0, b"\x04\x22\x4d\x18", "an lz4 file", "decompress it first (unlz4)"),
    (0, b"PK\x03\x04", "a zip archive", "extract it (unzip) and load the file within"),
    (0, b"PK\x05\x06", "an empty zip archive", _FETCH_AGAIN),
    (0, b"7z\xbc\xaf", "a 7z archive", "extract it (7z x) and load the file within"),
    (257, b"ustar", "a tar archive", "extract it (tar -xf) and load the file within"),
    (0, b"\x93NUM", "a .npy file", "load it with numpy.load"),
    # Version 7.3 is HDF5 behind a text header of 512 bytes; older versions are MATLAB's own.
    (0, b"MATLAB 7.3", "a MATLAB .mat file of version 7.3", "load it with h5py"),
    (0, b"MATLAB", "a MATLAB .mat file", "load it with scipy.io.loadmat"),
    (0, b"\x89HDF", "an HDF5 file", "load it with h5py"),
    (0, b"\x89PNG", "a PNG image", "load it with an image library, such as Pillow"),
    (0, b"\xff\xd8\xff", "a JPEG image", "load it with an image library, such as Pillow"),
    (0, b"PAR1", "a Parquet file", "load it with pyarrow or pandas"),
    (
        0,
        b"\x00\x05\x16\x07",
        "macOS metadata (an AppleDouble file)",
        "load the file of the same name without the leading '._'",
    ),
    (
        0,
        b"version https://git-lfs",
        "a Git LFS pointer",
        "fetch the file that it stands for (git lfs pull)",
    ),
)
_MARKUP_REMEDY = (
    "a server has probably sent a page or an error message in place of the file: "
    "open it in a text editor to see which, check the address and fetch the file again"
)
_HTML_STARTS = (b"<!do", b"<htm", b"<hea", b"<bod", b"<!--")
# Strings, as compiling them would be a good part of the time that importing this module takes.
_JSON_START = r'[{\[]\s*(?:["{}\[\]\d-]|true|false|null|$)'
_CSV_START = r"[-+.\deE]*,[-+.\deE,\s]*"


def _recognise(prefix: bytes) -> tuple[str, str] | None:
    """Return the name of what a file holds and what to do about it; None for what is not known."""
    if not prefix:
        return "an empty file", _FETCH_AGAIN
    for offset, magic, name, remedy in _SIGNATURES:
        if prefix.startswith(magic, offset):
            return name, remedy
    if len(prefix) >= 4 and not any(prefix):
        return (
            "only zero bytes as far as was read",
            "the file was reserved but never filled, by a download or a copy that broke off: "
            f"{_FETCH_AGAIN}",
        )
    if _is_little_endian_header(prefix):
        return (
            "an IDX header written in little-endian byte order",
            "write the magic number and the dimensions big-endian (struct format '>I'), "
            "and the data too",
        )
    # Protocols 2 to 5 start with the opcode PROTO; the original CIFAR-10 files are such.
    if prefix[0] == 0x80 and prefix[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a Python pickle", "load it with pickle, and only if you trust where it comes from"
    return _recognise_text(prefix)


def _recognise_text(prefix: bytes) -> tuple[str, str] | None:
    if prefix.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16 text", _MARKUP_REMEDY
    text = _decode(prefix)
    if text is None:
        return None
    markup = prefix.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if markup.startswith(_HTML_STARTS) or (markup.startswith(b"<?xml") and b"<html" in markup):
        return "an HTML page", _MARKUP_REMEDY
    if re.match(rb"<[?a-z]", markup):
        return "XML text", _MARKUP_REMEDY
    if re.match(_JSON_START, text):
        return "JSON text", _MARKUP_REMEDY
    if re.fullmatch(_CSV_START, text):
        return "comma-separated numbers", "load them with numpy.loadtxt(..., delimiter=',')"
    return "plain text", _MARKUP_REMEDY


def _decode(prefix: bytes) -> str | None:
    """Return the bytes as text without a byte order mark and leading space; None for binary."""
    try:
        # The incremental decoder forgives a last character that the prefix has cut.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(prefix).lstrip()
    except UnicodeDecodeError:
        return None
    return text if re.sub(r"[\t\n\f\r]", "", text).isprintable() else None


def _is_little_endian_header(prefix: bytes) -> bool:
    if len(prefix) < 4:
        return False
    ndim, code = prefix[0], prefix[1]
    return prefix[2:4] == b"\0\0" and code in _FILE_DTYPES and 1 <= ndim <= MAX_NDIM


def _excerpt(prefix: bytes) -> str:
    """Return the beginning as a reader can make use of it: text as text, the rest as hex."""
    text = _decode(prefix)
    return repr(text[:40]) if text else _hex(prefix[:8])


def _hex(data: bytes) -> str:
    return data.hex(" ")
