"""Recognise files that are no IDX files: other formats, damaged downloads, text."""

from __future__ import annotations

from typing import TypeAlias

from .advice import FETCH_AGAIN, PICKLE
from .text import decode, recognise_text
from .typecodes import FILE_DTYPES, MAX_NDIM, PREFIX_NBYTES

_Bytes: TypeAlias = bytes | bytearray | memoryview

# Content that is found under the names of IDX files: offset and signature, as short as it can be,
# so that four bytes are enough for most; what to call it; what to do.
_SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (
    (
        0,
        b"\x1f\x8b",
        "a gzip file",
        "it has been gzipped once more than needed: decompress it once (gunzip) before loading, "
        "or save it without the second compression",
    ),
    (
        # From 1f 8b 08: 8b is invalid in UTF-8, and U+FFFD replaces it.
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
    (0, b"PK\x05\x06", "an empty zip archive", FETCH_AGAIN),
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


def describe_content(prefix: _Bytes) -> str | None:
    r"""Name the content of a file that is no IDX file, by its first bytes.

    Parameters
    ----------
    prefix : bytes-like
        The first bytes of the file. Four bytes are enough for most kinds, 512 for all.

    Returns
    -------
    str or None
        Such as ``"an HTML page"``, ``"JSON text"`` or ``"a gzip file"``; None for an IDX file
        and for unknown content.

    Examples
    --------
    >>> from fastidx.format.recognise import describe_content
    >>> describe_content(b'{"error": "not found"}')
    'JSON text'
    >>> print(describe_content(b"\x00\x00\x08\x01"))
    None
    """
    recognised = _recognise(bytes(prefix[:PREFIX_NBYTES]))
    return recognised[0] if recognised else None


def not_idx(prefix: _Bytes) -> str:
    """Return the message for a file that is no IDX file, without the file's name.

    It says what was expected, what the file is instead, as far as its first bytes tell, and what
    to do.
    """
    prefix = bytes(prefix[:PREFIX_NBYTES])
    recognised = _recognise(prefix)
    if recognised:
        name, remedy = recognised
        return f"expected an IDX file, found {name} (it starts with {_excerpt(prefix)}); {remedy}"
    if not prefix.startswith(b"\0\0"):
        return (
            f"expected an IDX file, which starts with 00 00, found {prefix[:4].hex(' ')}; "
            f"this is not an IDX file, or it is damaged: {FETCH_AGAIN}"
        )
    if prefix[2] not in FILE_DTYPES:
        codes = ", ".join(f"0x{code:02X} ({d.name})" for code, d in FILE_DTYPES.items())
        return (
            f"expected one of the type codes of IDX, {codes}, found 0x{prefix[2]:02X}; "
            f"this is not an IDX file, or it is damaged: {FETCH_AGAIN}"
        )
    return (
        f"expected at most {MAX_NDIM} dimensions, as numpy holds no more, found {prefix[3]}; "
        f"the header is damaged or this is not an IDX file: {FETCH_AGAIN}"
    )


def _recognise(prefix: bytes) -> tuple[str, str] | None:
    """Return what the content of a file is called, and what to do; None for unknown content."""
    if not prefix:
        return "an empty file", FETCH_AGAIN
    for offset, magic, name, remedy in _SIGNATURES:
        if prefix.startswith(magic, offset):
            return name, remedy
    if len(prefix) >= 4 and not any(prefix):
        return (
            "only zero bytes as far as was read",
            "the file was reserved but never filled, by a download or a copy that broke off: "
            f"{FETCH_AGAIN}",
        )
    if _is_little_endian_header(prefix):
        return (
            "an IDX header written in little-endian byte order",
            "write the magic number and the dimensions big-endian (struct format '>I'), "
            "and the data too",
        )
    # Protocols 2 to 5 start with the opcode PROTO, as in the original CIFAR-10 files.
    if prefix[0] == 0x80 and prefix[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return PICKLE
    return recognise_text(prefix)


def _is_little_endian_header(prefix: bytes) -> bool:
    if len(prefix) < 4:
        return False
    ndim, code = prefix[0], prefix[1]
    return prefix[2:4] == b"\0\0" and code in FILE_DTYPES and 1 <= ndim <= MAX_NDIM


def _excerpt(prefix: bytes) -> str:
    """Return the first bytes for a message: text as text, anything else as hexadecimal."""
    text = decode(prefix)
    return repr(text[:40]) if text else prefix[:8].hex(" ")
