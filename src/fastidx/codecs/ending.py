"""Nothing must follow the data of an IDX file, and its compressed stream must be complete."""

from __future__ import annotations

from typing import Protocol

from fastidx.errors import IdxError
from fastidx.format.faults import trailing_error, unverified_error
from fastidx.format.header import IdxHeader
from fastidx.items.destination import Reader

# The message explains up to 8 times the data, and more in small files: how many bytes it counts.
_COUNTED_TIMES = 8
_COUNTED_NBYTES = 1 << 26
_PIECE_NBYTES = 1 << 18


class Ending(Reader, Protocol):
    """A reader that can tell whether its data ends where it is."""

    def at_end(self) -> bool:
        """Whether nothing more will come. The next byte stays to be read."""


def check_end(reader: Ending, header: IdxHeader, name: str, *, strict: bool) -> None:
    """Check the end of the stream, after all data has been read.

    Parameters
    ----------
    reader : Ending
        The reader of the data, at its end.
    header : IdxHeader
        The header of the file.
    name : str
        The name of the file in messages.
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
        held, ended = _count(reader, header)
        raise trailing_error(header, name, held, ended=ended)
    if reader.truncated:
        raise unverified_error(header, name)


def _count(reader: Ending, header: IdxHeader) -> tuple[int | None, bool]:
    """Count the bytes after the header, and say whether the file ends there; None if unknown.

    This reads on, which could wait for ever at a pipe. So it reads only sources of known size.
    """
    if header.compression is None or header.compressed_nbytes is None:
        return None, True
    piece = bytearray(_PIECE_NBYTES)
    nbytes = header.nbytes
    try:
        while nbytes <= max(_COUNTED_NBYTES, _COUNTED_TIMES * header.nbytes):
            n = reader.read_into(piece)
            nbytes += n
            if n < len(piece):
                return nbytes, True
    except (IdxError, OSError):
        return None, True
    return nbytes, False
