"""Open what a user passes as a source: one class for each kind, chosen here and nowhere else."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastidx.base.names import printable_name
from fastidx.codecs.detect import begins
from fastidx.errors import IdxError, SourceChangedError, TruncatedError
from fastidx.sources.local import LocalSource, is_regular, open_path, regular_status
from fastidx.sources.memory import MemorySource
from fastidx.sources.stream import StreamSource, text_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastidx.sources.protocol import Source, SourceLike

_ZIP_MAGIC = b"PK\3\4"  # APPNOTE.TXT, section 4.3.7
_ZIP_SCHEME = "zip://"

# A URL, or a chain of them as fsspec has it. One letter before the colon is a drive of Windows.
_URL = r"(?:[A-Za-z][\w+.-]+::)*[A-Za-z][\w+.-]+://"


@contextlib.contextmanager
def reading(
    source: SourceLike,
    *,
    storage_options: Mapping[str, Any] | None = None,
    read_ahead: bool = True,
) -> Iterator[Source]:
    """Open a source for a while, and make sure that all of it comes from one version.

    Parameters are those of `open_source`.

    Raises
    ------
    SourceChangedError
        If the source changed meanwhile, in place of the error that may come of it.
    """
    opened = open_source(source, storage_options=storage_options, read_ahead=read_ahead)
    try:
        try:
            yield opened
        except SourceChangedError:
            raise
        except IdxError:
            opened.check_unchanged(suspicious=True)
            raise
        opened.check_unchanged(suspicious=False)
    finally:
        opened.close()


def open_source(
    source: SourceLike,
    *,
    storage_options: Mapping[str, Any] | None = None,
    read_ahead: bool = True,
) -> Source:
    """Open a source; of a zip archive, open the member that is meant.

    Parameters
    ----------
    source : str, PathLike, bytes-like or binary file object
        A path or URL is opened; everything else is used as it is and left open. A str with
        ``://`` is a URL; ``zip://MEMBER::ARCHIVE`` names a member of a zip archive, by the
        archive's path or URL.
    storage_options : mapping, optional
        Options for the file system of fsspec, such as credentials. For URLs only.
    read_ahead : bool
        Whether the source will be read to its end, so that a server is asked for large pieces.

    Returns
    -------
    Source
        The caller closes it.

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
    if isinstance(source, str) and source.startswith(_ZIP_SCHEME):
        member, _, archive = source.removeprefix(_ZIP_SCHEME).partition("::")
        if not archive:
            raise ValueError(
                f"source: expected zip://MEMBER::ARCHIVE, found {source!r}; name the archive, by "
                "path or URL, behind two colons"
            )
    # Little of an archive is read before its member is known.
    opened = _open_outermost(archive, storage_options, read_ahead and member is None)
    try:
        if member is None and not begins(opened, _ZIP_MAGIC, cut=False):
            return opened
        from .zip import open_member

        return open_member(opened, member, read_ahead=read_ahead)
    except BaseException:
        opened.close()
        raise


def _open_outermost(
    source: SourceLike, storage_options: Mapping[str, Any] | None, read_ahead: bool
) -> Source:
    """Open a source of any kind; a zip archive is not entered."""
    if isinstance(source, str) and "://" in source and re.match(_URL, source):
        from fastidx.sources.remote import open_remote

        return open_remote(source, storage_options or {}, read_ahead=read_ahead)
    if storage_options:
        raise ValueError(
            "storage_options: expected a URL as the source, which they are for, found "
            f"{source if isinstance(source, str) else type(source).__name__}; leave them out"
        )
    if isinstance(source, (str, os.PathLike)):
        return _open_path(source)
    if hasattr(source, "readinto") or hasattr(source, "read"):
        # An mmap is both a buffer and a file; like any file it is read from its position.
        return _of_file_object(source)
    return _of_bytes(source)


def _open_path(path: str | os.PathLike[str]) -> Source:
    file, status = open_path(path)
    path = os.fsdecode(path)
    name = printable_name(path)
    if is_regular(status):
        return LocalSource(file, name, status, path=path)
    return StreamSource(file, name, owned=True)


def _of_file_object(file: Any) -> Source:
    path = _path_of(file)
    name = printable_name(path) if path else f"<{type(file).__name__}>"
    if isinstance(file, io.TextIOBase):
        raise text_error(name)
    status = regular_status(file)
    opened: Source
    begin: int | None
    if status is not None:
        begin = int(file.tell())
        opened = LocalSource(file, name, status, begin=begin, path=path, owned=False)
    else:
        opened = StreamSource(file, name, owned=False)
        begin = opened.begin
    if begin and opened.nbytes == 0:
        raise TruncatedError(
            f"{name}: expected an IDX file from the file object's position on, found its end, at "
            f"byte {begin:,}; go back to the beginning first (seek(0))"
        )
    return opened


def _of_bytes(source: Any) -> Source:
    try:
        return MemorySource(source, f"<{type(source).__name__}>")
    except TypeError as error:
        if "bytes-like object is required" not in str(error):
            raise
    raise TypeError(
        "source: expected a path (str or PathLike), a bytes-like object or a binary file object, "
        f"found {type(source).__name__}"
    )


def _path_of(file: object) -> str | None:
    name = getattr(file, "name", None)
    return name if isinstance(name, str) and name else None
