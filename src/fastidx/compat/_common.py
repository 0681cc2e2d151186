"""What the drop-in modules share: errors of two families, and images and labels told apart."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastidx import CorruptError, HeaderError, IdxError, load

if TYPE_CHECKING:
    from fastidx.sources.protocol import SourceLike

Images: TypeAlias = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
Rows: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
Labels: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]
_Types: TypeAlias = tuple[type[Exception], ...]
ErrorTypes: TypeAlias = Mapping[type[IdxError], _Types]

# Made once, so that equal errors have equal types.
_classes: dict[tuple[_Types, type[IdxError]], type[IdxError]] = {}

#: What Python's gzip module raises where fastidx finds compressed data damaged.
GZIP_ERRORS: ErrorTypes = {CorruptError: (gzip.BadGzipFile, zlib.error)}


class errors_also:  # noqa: N801 - used as the context managers of contextlib are
    """Let errors of fastidx be of the types, too, that callers of the original package expect.

    Parameters
    ----------
    types : mapping of error types of fastidx to tuples of others
        An error becomes one of all the others that belong to any of its own types.

    Examples
    --------
    >>> import struct
    >>> from fastidx import TruncatedError, load
    >>> try:
    ...     with errors_also({TruncatedError: (struct.error,)}):
    ...         load(b"")
    ... except struct.error as error:
    ...     print(type(error).__name__, isinstance(error, TruncatedError))
    TruncatedError True
    """

    __slots__ = ("_types",)

    def __init__(self, types: ErrorTypes) -> None:
        self._types = types

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, IdxError):
            belonging = (kinds for own, kinds in self._types.items() if isinstance(error, own))
            wanted = dict.fromkeys(itertools.chain.from_iterable(belonging))
            missing = tuple(kind for kind in wanted if not isinstance(error, kind))
            if missing:
                raise _rebuild(missing, type(error), *error.args) from None


def _rebuild(others: _Types, own: type[IdxError], *args: object) -> IdxError:
    return _combined(others, own)(*args)


def _combined(others: _Types, own: type[IdxError]) -> type[IdxError]:
    """Return a class that descends from all; its instances are pickled by their ingredients."""
    if (others, own) not in _classes:
        _classes[others, own] = type(
            own.__name__,
            (*others, own),
            {
                "__doc__": own.__doc__,
                "__module__": own.__module__,
                "__reduce__": lambda self: (_rebuild, (others, own, *self.args)),
            },
        )
    return _classes[others, own]


def unwrapped(file: Any) -> Any:
    """Return what a gzip file that has not been read yet reads from; any other object as it is.

    Programs hand an open `gzip.GzipFile` to the packages that know nothing of compression. What
    is inside is decoded several times faster here. Read to its end, the inner file makes the outer
    one's end, too.
    """
    if type(file) is not gzip.GzipFile or file.mode != gzip.READ:
        return file
    inner: Any = file.fileobj
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if inner is not None and file.tell() == 0 and inner.tell() == 0:
            return inner
    return file


def load_images(source: SourceLike) -> Images:
    """Load images: uint8 of shape (count, rows, columns)."""
    images: Images = _load_bytes(source, 3, "images (uint8 with 3 dimensions)")
    return images


def load_labels(source: SourceLike) -> Labels:
    """Load labels: uint8 of shape (count,)."""
    labels: Labels = _load_bytes(source, 1, "labels (uint8 with 1 dimension)")
    return labels


def _load_bytes(source: SourceLike, ndim: int, expected: str) -> Any:
    array = load(source)
    if array.dtype != np.uint8 or array.ndim != ndim:
        raise HeaderError(
            f"{name_of(source)}: expected {expected}, found {array.dtype} of shape {array.shape}; "
            "check that this is the file meant, and that images and labels are not exchanged"
        )
    return array


def as_rows(images: Images) -> Rows:
    """Return the images with the pixels of each in one row, without a copy."""
    count, rows, columns = images.shape
    return images.reshape(count, rows * columns)


def check_counts(images: Images, labels: Labels, source: object) -> None:
    """Raise an error unless there is one label for each image."""
    if len(images) != len(labels):
        raise IdxError(
            f"{name_of(source)}: expected one label for each of {len(images):,} images, found "
            f"{len(labels):,} labels; the two files do not belong together"
        )


def name_of(source: object) -> str:
    """Return what messages call a source."""
    if isinstance(source, os.PathLike):
        return str(source)
    name = getattr(source, "name", source)
    return name if isinstance(name, str) else f"<{type(source).__name__}>"
