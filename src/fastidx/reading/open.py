"""`fastidx.open`, and what its readers check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .reader import IdxReader

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import numpy.typing as npt

    from fastidx.gzipped.index import GzipIndex
    from fastidx.items.conversion import Number
    from fastidx.sources.protocol import SourceLike


def open(  # noqa: A001 - fastidx.open, as gzip.open
    source: SourceLike,
    *,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    index: str | os.PathLike[str] | GzipIndex | None = None,
    threads: int | None = None,
    verify: bool = True,
    storage_options: Mapping[str, Any] | None = None,
) -> IdxReader:
    """Open an IDX file to read parts of it.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        As for `fastidx.load`. What cannot seek can be read forward.
    dtype, scale, offset, lut
        What to make of the items, as in `fastidx.load`.
    index : path, GzipIndex or "auto", optional
        Where decoding can start in a gzip file, as `IdxReader.build_index` finds. ``"auto"`` takes
        the local file of the same name and ``.gzidx`` beside it, if there is one. By default none.
        An index of another file is refused.
    threads : int, optional
        How many threads decode large slices where an index, or what has been read, allows it.
    verify : bool
        Check what can be checked, see below.
    storage_options : mapping, optional
        For a URL, what fsspec's file system is to be told, such as credentials.

    Returns
    -------
    IdxReader

    Raises
    ------
    IdxError
        If this is not an IDX file, or its header claims more than the file can hold. The same
        errors as from `fastidx.load` come later of what is read later; nothing is returned then.
    GzipIndexError
        If the index is damaged, or that of another file.
    TypeError, ValueError, OSError, ImportError
        As from `fastidx.load`.

    Notes
    -----
    A gzip file has one checksum for each member, behind it. What is read from a member's beginning
    to its end, in order, is compared with it, also in several steps. Of other reads this can be
    said:

    - With an index made by fastidx, or where this reader has been before, each stretch between two
      checkpoints is compared with its own checksum, if they are meant to lie at most 1 MiB apart.
    - With another program's index, with checkpoints farther apart, and where a read begins or ends
      inside a member of which this reader knows no more, a partial read cannot be verified: damage
      is noticed only where it makes the data undecodable. Nor can one of an uncompressed file.

    Of a stream that cannot seek, such as a pipe, items are returned as soon as they have come. What
    must come behind the last, as a checksum, is waited for when `IdxReader.batches` or an iteration
    ends and by ``np.asarray``, but the end of the stream is not: a peer may keep it open.

    With an index, or uncompressed, a slice of a remote file is one request for just the bytes that
    it takes; reading in order takes ever larger pieces, up to 2 MiB.

    Examples
    --------
    >>> import fastidx
    >>> with fastidx.open(bytes.fromhex("00000801 00000005 0504010902")) as reader:
    ...     len(reader), reader[1], reader[-2:]
    (5, np.uint8(4), array([9, 2], dtype=uint8))
    """
    return IdxReader(
        source,
        dtype=dtype,
        scale=scale,
        offset=offset,
        lut=lut,
        index=index,
        threads=threads,
        verify=verify,
        storage_options=storage_options,
    )
