"""Errors for files whose data ends too early or too late, or cannot be verified."""

from __future__ import annotations

from fastidx.errors import IdxError, TrailingDataError, TruncatedError

from .header import IdxHeader


def truncated_error(header: IdxHeader, name: str, done: int, breaks_off: bool) -> IdxError:
    """Return the error for data that ends early.

    Parameters
    ----------
    header : IdxHeader
        The header of the file.
    name : str
        The name of the file in messages.
    done : int
        Bytes of data that the file holds.
    breaks_off : bool
        Whether the compressed stream ends before its own end.
    """
    if breaks_off:
        cause = f"the {header.compression} stream breaks off, as after a download that was cut"
    elif header.compression is not None:
        cause = (
            f"the {header.compression} stream itself is complete, so the header claims more than "
            "was written"
        )
    else:
        cause = "the file was cut, or its header claims too much"
    items = ""
    if header.shape and header.item_nbytes:
        items = f"; {done // header.item_nbytes:,} of {header.shape[0]:,} items complete"
    return TruncatedError(
        f"{name}: holds {done:,} of {header.nbytes:,} data bytes{items}; {cause}: "
        "fetch or write it again"
    )


def trailing_error(header: IdxHeader, name: str) -> IdxError:
    """Return the error for more bytes after the data."""
    return TrailingDataError(
        f"{name}: expected the end after {header.nbytes:,} data bytes, as the header says, "
        "found more; the header is damaged, or load it with strict=False to ignore what follows"
    )


def unverified_error(header: IdxHeader, name: str) -> IdxError:
    """Return the error for a compressed stream that ends between the data and its checksum."""
    return TruncatedError(
        f"{name}: holds all {header.nbytes:,} data bytes, but the {header.compression} stream "
        "breaks off before its end, so they cannot be verified; fetch it again"
    )
