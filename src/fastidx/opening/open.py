"""Open what a user passes as a source; of a zip archive, the member that is meant."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastidx.codecs.detect import begins
from fastidx.errors import IdxError, SourceChangedError
from fastidx.sources.local import FileSource, text_file
from fastidx.sources.memory import MemorySource
from fastidx.sources.protocol import Source, SourceLike

if TYPE_CHECKING:
    from collections.abc import Mapping

_ZIP_MAGIC = b"PK\3\4"  # APPNOTE.TXT, section 4.3.7

# A URL, or a chain of them as fsspec has it. One letter before the colon is a drive of Windows.
_URL = r"(?:[A-Za-z][\w+.-]+::)*[A-Za-z][\w+.-]+://"


@contextlib.contextmanager
def reading(
    source: SourceLike, *, storage_options: Mapping[str, Any] | None = None, read_ahead: bool = True
) -> Iterator[Source]:
    """Open a source for a while, and see to it that what is read is one state of it.

    Takes and raises what `open_source` does. If the source changed meanwhile, that is said by a
    `SourceChangedError`, in place of the error that may come of it.
    """
    with contextlib.closing(
        open_source(source, storage_options=storage_options, read_ahead=read_ahead)
    ) as opened:
        try:
            yield opened
        except SourceChangedError:
            raise
        except IdxError:
            opened.check_unchanged(suspicious=True)
            raise
        opened.check_unchanged(suspicious=False)


def open_source(
    source: SourceLike, *, storage_options: Mapping[str, Any] | None = None, read_ahead: bool = True
) -> Source:
    """Open what a user passed as ``source``; of a zip archive, the member that is meant.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        A path or URL is opened, everything else is used as it is and left open. A str that has
        ``://`` is a URL; ``zip://MEMBER::ARCHIVE`` names a member of a zip archive, which is itself
        named by path or URL.
    storage_options : mapping, optional
        What fsspec's file system is to be told, such as credentials. For URLs only.
    read_ahead : bool
        Whether what a URL names will be read to its end, hence in large pieces.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If the URL or the options make no sense.
    ImportError
        If a package is missing that the URL needs.
    OSError
        If the path or URL cannot be opened.
    IdxError
        If no member of a zip archive can be read.
    """
    member = None
    archive = source
    if isinstance(source, str) and source.startswith("zip://"):
        member, _, archive = source.removeprefix("zip://").partition("::")
        if not archive:
            raise ValueError(
                f"source: expected zip://MEMBER::ARCHIVE, found {source!r}; name the archive, by "
                "path or URL, behind two colons"
            )
    # Of an archive only little is read before its member is known.
    opened = _open_outermost(archive, storage_options, read_ahead and member is None)
    try:
        if member is None and not begins(opened, _ZIP_MAGIC, cut=False):
            return opened
        from fastidx.opening.zip import open_member

        return open_member(opened, member, read_ahead=read_ahead)
    except BaseException:
        opened.close()
        raise


def _open_outermost(
    source: SourceLike, storage_options: Mapping[str, Any] | None, read_ahead: bool
) -> Source:
    """Open a source for what it is at first sight: as a zip archive it is not entered."""
    if isinstance(source, str) and "://" in source and re.match(_URL, source):
        from fastidx.sources.remote import open_url

        file = open_url(source, storage_options or {}, read_ahead=read_ahead)
        return FileSource(file, file.name, owned=True)
    if storage_options:
        raise ValueError(
            "storage_options: expected a URL as the source, which they are for, found "
            f"{source if isinstance(source, str) else type(source).__name__}; leave them out"
        )
    if isinstance(source, (str, os.PathLike)):
        return FileSource(io.FileIO(os.fspath(source)), os.fsdecode(source), owned=True)
    if hasattr(source, "readinto") or hasattr(source, "read"):
        # An mmap is both a buffer and a file; like any file it is read from its position.
        if isinstance(source, io.TextIOBase):
            raise text_file(_name_of(source))
        return FileSource(source, _name_of(source), owned=False)
    try:
        return MemorySource(source, f"<{type(source).__name__}>")
    except TypeError as error:
        if "bytes-like object is required" not in str(error):
            raise
    raise TypeError(
        "source: expected a path (str or PathLike), a bytes-like object or a binary file object, "
        f"found {type(source).__name__}"
    )


def _name_of(file: object) -> str:
    name = getattr(file, "name", None)
    return name if isinstance(name, str) and name else f"<{type(file).__name__}>"
