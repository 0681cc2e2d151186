"""The one table that turns what `zipfile` raises into the errors of fastidx.

`zipfile` and the decompressors behind it share no base class: damage shows as one of ten types,
and bzip2 has no type of its own.
"""

from __future__ import annotations

import contextlib
import struct
import zipfile
import zlib
from collections.abc import Iterator

from fastidx.errors import ChecksumError, CorruptError, IdxError, TruncatedError

_LzmaError: type[Exception]
try:
    from lzma import LZMAError as _LzmaError
except ImportError:  # an optional part of the standard library, which zipfile can do without
    _LzmaError = zipfile.BadZipFile

_DAMAGE = (zipfile.BadZipFile, zlib.error, _LzmaError, struct.error, ValueError, OverflowError)
_FETCH = "fetch it again"


@contextlib.contextmanager
def zip_errors(name: str, info: zipfile.ZipInfo | None = None) -> Iterator[None]:
    """Raise what `zipfile` finds wrong with an archive as an `IdxError`.

    Parameters
    ----------
    name : str
        How messages call the archive or the member.
    info : zipfile.ZipInfo, optional
        Of the member that is being read.
    """
    try:
        yield
    except Exception as error:
        raised = error_for(error, name, info)
        if raised is error:
            raise
        raise raised from None


def error_for(error: Exception, name: str, info: zipfile.ZipInfo | None = None) -> Exception:
    """Return the error to raise for one of `zipfile`'s; errors of the file itself stay.

    Parameters are those of `zip_errors`.
    """
    if isinstance(error, IdxError):
        return error
    if isinstance(error, EOFError):
        expected = "more data" if info is None else f"{info.file_size:,} bytes"
        return TruncatedError(
            f"{name}: expected {expected}, as the zip archive says, found that it ends before; "
            f"it was cut or is damaged: {_FETCH}"
        )
    if isinstance(error, zipfile.BadZipFile) and "not a zip file" in str(error):
        return TruncatedError(
            f"{name}: expected a zip archive's table of contents at the end, found none; "
            f"the archive was cut: {_FETCH}"
        )
    if isinstance(error, zipfile.BadZipFile) and "CRC" in str(error):
        crc = "" if info is None else f" with CRC-32 {info.CRC:08x}"
        return ChecksumError(
            f"{name}: expected data{crc}, as the zip archive says, found other data; "
            f"it is damaged: {_FETCH}"
        )
    # NotImplementedError, for compression methods, is a RuntimeError.
    if isinstance(error, RuntimeError):
        encrypted = info is not None and info.flag_bits & 1
        found = "encrypted" if encrypted else "compressed by another method"
        return IdxError(
            f"{name}: expected a member that zipfile can read, found one that is {found} "
            f"({error}); extract it first (7z x) and load the file"
        )
    # An OSError of bzip2 has neither a number nor a subclass; one of the file has.
    is_bzip2 = type(error) is OSError and error.errno is None
    if isinstance(error, _DAMAGE) or is_bzip2:
        return CorruptError(
            f"{name}: expected a valid zip archive, found one that is damaged ({error}): {_FETCH}"
        )
    return error
