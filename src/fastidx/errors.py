"""The exceptions that fastidx raises about data.

All descend from `IdxError`, itself a `ValueError`. Each carries one finished message that says
which file, what was expected, what was found and what to do. Misuse of the API (arguments of the
wrong type, an ``out`` that does not fit) raises a plain `TypeError` or `ValueError` instead.
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
    """Root of all that can be wrong with an IDX file.

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
    """The header is malformed or implausible: this is not an IDX file, or not one to be trusted."""


class CorruptError(IdxError):
    """The compressed data is invalid: damaged DEFLATE data or a damaged gzip member header."""


class ChecksumError(CorruptError):
    """The data decompresses, but to other bytes than were compressed.

    The CRC-32 or the length at the end of a gzip member differs, or its header's CRC-16 does
    (RFC 1952, section 2.3.1).
    """


class TruncatedError(IdxError, EOFError):
    """The input ends before the data that it announces is complete."""


class SourceChangedError(IdxError, OSError):
    """The file was replaced or changed while it was being read, so what was read is a mixture."""


class TrailingDataError(IdxError):
    """Bytes follow where the data should have ended."""


class ConversionError(IdxError):
    """The file holds a value that the type asked for cannot hold."""


class UnsupportedDTypeError(IdxError, TypeError):
    """The array to be saved has a type that IDX lacks."""


class GzipIndexError(IdxError):
    """The index is damaged, not one at all, or that of another file."""
