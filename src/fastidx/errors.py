"""The exceptions that fastidx raises about data.

All are subclasses of `IdxError`, which is a `ValueError`. The message names the file, what fastidx
expected, what it found and what to do. Misuse of the API, such as an argument of the wrong type or
an ``out`` that does not fit, raises a plain `TypeError` or `ValueError` instead.
"""

from __future__ import annotations

__all__ = [
    "ChecksumError",
    "ConversionError",
    "CorruptError",
    "GzipIndexError",
    "HeaderError",
    "IdxError",
    "SourceChangedError",
    "TrailingDataError",
    "TruncatedError",
    "UnsupportedDTypeError",
]


class IdxError(ValueError):
    """The base class of all errors about the content of a file.

    Examples
    --------
    >>> import fastidx
    >>> try:
    ...     fastidx.load(b"<!DOCTYPE html><title>Not found</title>")
    ... except fastidx.IdxError as error:
    ...     print(type(error).__name__)
    HeaderError
    """


class HeaderError(IdxError):
    """The file is not an IDX file, or its header is malformed or implausible."""


class CorruptError(IdxError):
    """The compressed data is invalid, or the header of a gzip member is damaged."""


class ChecksumError(CorruptError):
    """The data decompresses, but not to the bytes that were compressed.

    A checksum or a length disagrees: of a gzip member the CRC-32 or the length at its end, or the
    CRC-16 of its header (RFC 1952, section 2.3.1).
    """


class TruncatedError(IdxError, EOFError):
    """The file ends before the data that its header announces is complete."""


class SourceChangedError(IdxError, OSError):
    """The file was changed or replaced during reading, so the data read is a mixture."""


class TrailingDataError(IdxError):
    """More bytes follow the end of the data."""


class ConversionError(IdxError):
    """The file holds a value that the requested dtype cannot hold."""


class UnsupportedDTypeError(IdxError, TypeError):
    """IDX has no type for the array that is to be saved."""


class GzipIndexError(IdxError):
    """The index is damaged, is no index in the format GZIDX, or belongs to another file."""
