"""`GzipIndex`: places in a gzip file from which decoding can start, and which file they are of."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from fastidx.base.replace import path_of, replacement, write_all
from fastidx.errors import GzipIndexError, TruncatedError
from fastidx.opening.open import open_source
from fastidx.sources.protocol import Source, SourceLike

from .index_data import FINGERPRINT_NBYTES, Checkpoint, IndexData
from .index_file import file_pieces, read_index

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from fastidx.base.replace import Writable

    ReadAt: TypeAlias = Callable[[int, int], Buffer]

__all__ = ["INDEX_SUFFIX", "Checkpoint", "GzipIndex", "find_index", "fingerprint", "needs_gzip"]

# An index has the name of the file that it belongs to, and this.
INDEX_SUFFIX = ".gzidx"

# At either end of the compressed file. The last bytes hold the CRC-32 and the length of the last
# member (RFC 1952, section 2.3.1), which stand for all of its data.
_SAMPLE_NBYTES = 4096

_REBUILD = "build the index again"


@dataclass
class GzipIndex(IndexData):
    """Checkpoints of one gzip file, and what tells whether a file is that one.

    Parameters
    ----------
    compressed_nbytes : int
        Size of the gzip file.
    uncompressed_nbytes : int
        Size of the decoded data; 0 if it is unknown.
    spacing : int
        How far apart the points are meant to be, in bytes of decoded data.
    points : list of Checkpoint
        In the order of the file. The first is its first block, at offset 0.
    crcs : list of int, optional
        CRC-32 of the decoded data from each point to the next one, from the last to the end. None
        if the index was not made by fastidx: then data read from the middle cannot be verified.
    fingerprint : bytes, optional
        Of the gzip file, see `fingerprint`. None if the index was not made by fastidx.
    name : str, optional
        What to call the index in messages: the file that it was loaded from.

    Examples
    --------
    A file of one block needs one point:

    >>> import gzip, io
    >>> from fastidx.gzipped.index import Checkpoint, GzipIndex
    >>> data = gzip.compress(bytes(1000))
    >>> index = GzipIndex(len(data), 1000, 1 << 20, [Checkpoint(80, 0, b"")])
    >>> file = io.BytesIO()
    >>> index.save(file)
    >>> GzipIndex.load(file.getvalue()) == index
    True
    """

    def save(self, target: str | os.PathLike[str] | Writable) -> None:
        """Write the index, for fastidx, indexed_gzip and rapidgzip.

        A file at a path is replaced in one step, as by `fastidx.save`. A spacing of less than
        32769 is written as 32769: indexed_gzip refuses one that is less than a window.

        Parameters
        ----------
        target : str, PathLike or binary file object
            Where to write. A file object is left open.

        Raises
        ------
        ValueError
            If the points contradict each other or the sizes; nothing is written then.
        OSError
            If the file cannot be written.
        """
        if fault := self.fault():
            raise ValueError(f"{self.name}: {fault}")
        path = path_of(target)
        if path is None:
            write_all(cast("Writable", target), file_pieces(self))
        else:
            with replacement(path) as file:
                write_all(file, file_pieces(self))

    @classmethod
    def load(cls, source: SourceLike) -> GzipIndex:
        """Read an index that fastidx, indexed_gzip or rapidgzip wrote, in the format GZIDX.

        Whether it belongs to a gzip file is for `check` to say.

        Parameters
        ----------
        source : str, PathLike, bytes-like or binary file object
            All of it is read; a file object, from its position on. It is left open.

        Returns
        -------
        GzipIndex
            Without ``crcs`` and ``fingerprint`` if another program wrote it.

        Raises
        ------
        GzipIndexError
            If this is not an index, or is one that was cut short or damaged. Damage of another
            program's windows cannot be seen.
        OSError
            If the file cannot be read.
        """
        opened = open_source(source)
        try:
            found = read_index(opened)
        finally:
            opened.close()
        return cls(
            found.compressed_nbytes,
            found.uncompressed_nbytes,
            found.spacing,
            found.points,
            found.crcs,
            found.fingerprint,
            found.name,
        )

    def check(self, nbytes: int, read_at: ReadAt, *, source: str = "<data>") -> None:
        """Refuse a gzip file that is not the one that the index was made from.

        Parameters
        ----------
        nbytes : int
            Size of the gzip file.
        read_at : callable
            ``read_at(position, nbytes)`` returns that part of it. Called at most twice, and not
            at all if the sizes differ or the index has no fingerprint.
        source : str, optional
            Its name, for messages.

        Raises
        ------
        GzipIndexError
            If it is another file: of another size or with another fingerprint.
        TruncatedError
            If ``read_at`` returns less than asked for.

        Examples
        --------
        >>> import gzip
        >>> from fastidx import IdxError
        >>> from fastidx.gzipped.index import Checkpoint, GzipIndex
        >>> index = GzipIndex(2000, 9000, 1 << 20, [Checkpoint(80, 0, b"")])
        >>> data = gzip.compress(bytes(1000))
        >>> try:
        ...     index.check(len(data), lambda pos, n: data[pos : pos + n])
        ... except IdxError as error:
        ...     print(str(error).partition(", of ")[2])
        2,000 bytes, found one of 29 bytes; build the index again
        """
        if nbytes != self.compressed_nbytes:
            raise GzipIndexError(
                f"{source}: expected the file that {self.name} was made from, of "
                f"{self.compressed_nbytes:,} bytes, found one of {nbytes:,} bytes; {_REBUILD}"
            )
        if self.fingerprint is None:
            return
        found = fingerprint(nbytes, read_at, source=source)
        if found != self.fingerprint:
            raise GzipIndexError(
                f"{source}: expected the file that {self.name} was made from (fingerprint "
                f"{self.fingerprint.hex()}), found another of the same size ({found.hex()}); "
                f"{_REBUILD}"
            )


def find_index(
    index: str | os.PathLike[str] | GzipIndex | None,
    source: Source,
    compression: str | None,
) -> GzipIndex | None:
    """Return the index that a user passed for a source, if it belongs to it.

    Parameters
    ----------
    index : "auto", path, GzipIndex or None
        ``"auto"`` for the file beside a local one with the same name and ``.gzidx``, if there is
        one.
    source : Source
    compression : str or None
        Of the source.

    Raises
    ------
    GzipIndexError
        If it is the index of another file, or damaged.
    ValueError
        If an index is given for a source that can have none.
    """
    can_have_one = compression == "gzip" and source.can_restart and source.nbytes is not None
    if isinstance(index, str) and index == "auto":
        path = f"{source.path}{INDEX_SUFFIX}"
        index = path if can_have_one and source.path and os.path.isfile(path) else None
    if index is None:
        return None
    if not can_have_one:
        raise ValueError(needs_gzip(source.name))
    if not isinstance(index, GzipIndex):
        index = GzipIndex.load(index)
    index.check(
        source.nbytes or 0,
        lambda position, nbytes: source.read_range(position, position + nbytes),
        source=source.name,
    )
    return index


def needs_gzip(name: str) -> str:
    """Return what to say of a source that can have no index."""
    return (
        f"{name}: expected a gzip file that can seek, which an index is for, found another source; "
        "do without an index"
    )


def fingerprint(nbytes: int, read_at: ReadAt, *, source: str = "<data>") -> bytes:
    """Return what tells one gzip file from another of the same size.

    It is the 16-byte BLAKE2b hash of the first and the last 4096 bytes. The first hold the header
    and the begin of the data; the last, the CRC-32 of all data of the last member. In a file of
    several members a change of only those in the middle is not noticed.

    Parameters
    ----------
    nbytes : int
        Size of the file.
    read_at : callable
        ``read_at(position, nbytes)`` returns that part of it. Called at most twice.
    source : str, optional
        Its name, for messages.

    Returns
    -------
    bytes
        16 of them.

    Raises
    ------
    TruncatedError
        If ``read_at`` returns less than asked for.

    Examples
    --------
    >>> from fastidx.gzipped.index import fingerprint
    >>> data = bytes(10000)
    >>> fingerprint(len(data), lambda pos, n: data[pos : pos + n]).hex()
    '9bc3d8f02692191aec9b7dec833205ac'
    """
    # A CRC-32 would not do: over stored blocks, which end in their own data's CRC-32, it comes to
    # the same for any data.
    from hashlib import blake2b

    digest = blake2b(digest_size=FINGERPRINT_NBYTES)
    head = min(nbytes, _SAMPLE_NBYTES)
    tail = max(head, nbytes - _SAMPLE_NBYTES)
    for begin, end in ((0, head), (tail, nbytes)):
        if begin == end:
            continue
        piece = memoryview(read_at(begin, end - begin))
        if piece.nbytes != end - begin:
            raise TruncatedError(
                f"{source}: expected {end - begin:,} bytes at position {begin:,}, found "
                f"{piece.nbytes:,}; the file was cut or replaced while it was read: try again"
            )
        digest.update(piece)
    return digest.digest()
