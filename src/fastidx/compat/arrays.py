"""Images and labels as the drop-in modules load them: checked, named, and told apart."""

from __future__ import annotations

import contextlib
import gzip
import os
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastidx import HeaderError, IdxError, load

if TYPE_CHECKING:
    from fastidx.sources.protocol import SourceLike

__all__ = [
    "Images",
    "Labels",
    "Rows",
    "as_rows",
    "check_counts",
    "load_images",
    "load_labels",
    "name_of",
    "unwrapped",
]

Images: TypeAlias = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
Rows: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
Labels: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]


def unwrapped(file: Any) -> Any:
    """Return the file inside an unread `gzip.GzipFile`; return any other object as it is.

    Programs pass an open `gzip.GzipFile` to packages that do not decompress. fastidx decodes the
    inner file several times faster than the gzip module does. When the inner file is at its end,
    so is the outer one.
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
            "check that this is the right file, and that images and labels are not exchanged"
        )
    return array


def as_rows(images: Images) -> Rows:
    """Return a view of the images with all pixels of an image in one row."""
    count, rows, columns = images.shape
    return images.reshape(count, rows * columns)


def check_counts(images: Images, labels: Labels, source: object) -> None:
    """Raise an error unless there is one label for each image."""
    if len(images) != len(labels):
        raise IdxError(
            f"{name_of(source)}: expected one label for each of {len(images):,} images, found "
            f"{len(labels):,} labels; use two files that belong together"
        )


def name_of(source: object) -> str:
    """Return the name of a source for messages."""
    if isinstance(source, os.PathLike):
        return str(source)
    name = getattr(source, "name", source)
    return name if isinstance(name, str) else f"<{type(source).__name__}>"
