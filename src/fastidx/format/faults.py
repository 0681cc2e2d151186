"""Errors for files whose data does not end where the header says, or cannot be verified.

Where the sizes tell what the writer of the file did wrong, the message says it.
"""

from __future__ import annotations

import math

from fastidx.errors import IdxError, TrailingDataError, TruncatedError

from .advice import FETCH_AGAIN, byte_order_remedy, product, types_of
from .header import IdxHeader
from .typecodes import MAX_EXPANSION

# Sizes below this fit to each other by chance.
_TELLING_NBYTES = 64


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
    items = ""
    if header.shape and header.item_nbytes:
        whole = done // header.item_nbytes
        items = f"; {whole:,} of {header.shape[0]:,} items complete"
        if whole:
            items += f", which fastidx.open(…)[:{whole}] or fastidx cat --stop {whole} reads"
    found = f"{name}: holds {done:,} of {header.nbytes:,} data bytes"
    if breaks_off:
        cause = f"the {header.compression} stream breaks off, as after a download that was cut"
    elif likely := _likely_cause(header, done):
        return TruncatedError(f"{found}; {likely}")
    elif header.compression is not None:
        cause = (
            f"the {header.compression} stream itself is complete, so the header claims more than "
            "was written"
        )
    else:
        cause = "the file was cut, or its header claims too much"
    return TruncatedError(f"{found}{items}; {cause}: fetch or write it again")


def implausible_error(header: IdxHeader, name: str) -> IdxError:
    """Return the error for a header that claims more data than the compressed file can hold.

    The header knows its compression and the size of the file.
    """
    expansion = MAX_EXPANSION[header.compression or ""]
    nbytes = header.compressed_nbytes or 0
    # The sizes are not known, only that these are too large: what the shape alone tells.
    count = header.shape[0] if header.shape else 0
    remedy = byte_order_remedy(header.shape) or _counted_elements(
        header, count * header.file_dtype.itemsize
    )
    if remedy is None:
        remedy = f"it was cut or its header is damaged: {FETCH_AGAIN}"
    return TruncatedError(
        f"{name}: expected {header.nbytes:,} data bytes, as the header claims, found a file of "
        f"{nbytes:,} bytes, which can hold at most {expansion} times as many; {remedy}"
    )


def trailing_error(
    header: IdxHeader, name: str, held: int | None = None, *, ended: bool = True
) -> IdxError:
    """Return the error for more bytes after the data.

    Parameters
    ----------
    header : IdxHeader
        The header of the file.
    name : str
        The name of the file in messages.
    held : int, optional
        Bytes that follow the header, if the caller knows; of a plain file, the header tells.
    ended : bool
        Whether the file ends after so many; otherwise there are more.
    """
    if held is None and header.compression is None and header.compressed_nbytes is not None:
        held = header.compressed_nbytes - header.header_nbytes
    expected = f"{name}: expected the end after {header.nbytes:,} data bytes, as the header says"
    if held is None:
        return TrailingDataError(
            f"{expected}, found more; the header is damaged, or, if little follows, load it with "
            "strict=False to ignore what follows"
        )
    rest = held - header.nbytes
    found = f"{expected}, found {rest:,} more" if ended else f"{expected}, found over {rest:,} more"
    if ended and (likely := _likely_cause(header, held)):
        return TrailingDataError(f"{found}; {likely}")
    if rest > header.nbytes // 2:
        return TrailingDataError(
            f"{found}, most of which the header does not count; it is damaged or was written for "
            f"other data: {FETCH_AGAIN}, or write it again with the right dimensions"
        )
    return TrailingDataError(
        f"{found}; the header is damaged, or load it with strict=False to ignore what follows"
    )


def unverified_error(header: IdxHeader, name: str) -> IdxError:
    """Return the error for a compressed stream that ends between the data and its checksum."""
    return TruncatedError(
        f"{name}: holds all {header.nbytes:,} data bytes, but the {header.compression} stream "
        "breaks off before its end, so they cannot be verified; fetch it again"
    )


def _likely_cause(header: IdxHeader, held: int) -> str | None:
    """Say what the writer of the file did wrong, if its sizes tell, and what to do.

    ``held`` is how many bytes follow the header. In small files anything fits by chance.
    """
    if min(held, header.nbytes) < _TELLING_NBYTES or not header.shape:
        return None
    remedy = byte_order_remedy(header.shape, held // header.file_dtype.itemsize)
    if remedy is not None:
        return remedy
    if held < header.nbytes:
        return _counted_elements(header, held) or _smaller_elements(header, held)
    return _larger_items(header, held)


def _counted_elements(header: IdxHeader, held: int) -> str | None:
    """Recognise exporters that write the number of all pixels as the number of images."""
    if header.ndim < 2 or not header.nbytes or held < _TELLING_NBYTES:
        return None
    count, itemsize = header.shape[0], header.file_dtype.itemsize
    if held != count * itemsize or held % header.item_nbytes:
        return None
    items = held // header.item_nbytes
    return (
        f"the first dimension, {count:,}, counts all elements of {items:,} items of "
        f"{product(header.shape[1:])}: write it as {items:,}"
    )


def _smaller_elements(header: IdxHeader, held: int) -> str | None:
    """Recognise a type code for larger elements than those of the data."""
    types = types_of(header.file_dtype.itemsize * held / header.nbytes)
    if not types:
        return None
    return f"that is exactly the size of elements of type {types}: write the type code of the data"


def _larger_items(header: IdxHeader, held: int) -> str | None:
    """Recognise several files in one, a dimension that lacks, a type code of smaller elements."""
    copies, rest = divmod(held + header.header_nbytes, header.nbytes + header.header_nbytes)
    if not rest:
        return f"that is exactly the size of {copies:,} such files, one after the other: split it"
    ratio, rest = divmod(held, header.nbytes)
    if rest:
        return None
    causes = []
    if ratio in (3, 4) and len(header.shape) == 3:
        kind = "colours" if ratio == 3 else "colours and transparency"
        causes.append(f"{ratio} channels ({kind}), which is {product((*header.shape, ratio))}")
    if types := types_of(header.file_dtype.itemsize * ratio):
        causes.append(f"elements of type {types}")
    if not causes:
        causes.append(f"one dimension more, which is {product((*header.shape, ratio))}")
    root = math.isqrt(ratio)
    if root > 2 and root * root == ratio and not types:
        causes.append(f"two dimensions more, which is {product((*header.shape, root, root))}")
    return (
        f"that is exactly {ratio:,} times the size, as for {', or for '.join(causes)}: "
        "write the header that fits the data"
    )
