"""Nothing must follow the data of an IDX file, and its compressed stream must be complete."""

from __future__ import annotations

from typing import Protocol

from fastidx.format.faults import trailing_error, unverified_error
from fastidx.format.header import IdxHeader


class Ending(Protocol):
    """Anything that has been read to the end of the data, and knows what comes then."""

    @property
    def truncated(self) -> bool:
        """Whether the input has ended where it must not."""

    def at_end(self) -> bool:
        """Whether nothing more will come."""


def check_end(reader: Ending, header: IdxHeader, name: str, *, strict: bool) -> None:
    """Check the end of the stream, after all data have been read.

    Parameters
    ----------
    reader : Ending
        What has read the data.
    header : IdxHeader
    name : str
        What messages call the file.
    strict : bool
        Whether to refuse bytes that follow the data.

    Raises
    ------
    TrailingDataError
        If more follows, and ``strict``.
    TruncatedError
        If the compressed stream breaks off, so that its checksum is missing.
    """
    if strict and not reader.at_end():
        raise trailing_error(header, name)
    if reader.truncated:
        raise unverified_error(header, name)
