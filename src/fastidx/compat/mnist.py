"""What the package mnist (0.2) offers, loaded by fastidx.

Two names of this module may be set: `temporary_dir`, a function that returns the folder for
downloads, and `datasets_url`, the address to download from.

Differences from the original:

- As long as `datasets_url` has its first value, where nothing is served any more, files come from
  the public mirrors in `fastidx.datasets` and are verified; so they are where it is one of these
  mirrors. What another address serves is taken as it is.
- A download that breaks off leaves nothing behind that would be taken for the file.
- Gzipped content is decoded whatever its name; so is what an open `gzip.GzipFile` reads.
- An array without dimensions is loaded; the original fails.
- `IdxDecodeError` is a `fastidx.IdxError`; what is raised is also of the class that says more,
  such as `fastidx.TruncatedError`.

Examples
--------
>>> import io
>>> from fastidx.compat import mnist
>>> mnist.parse_idx(io.BytesIO(bytes.fromhex("00000801 00000003 050004")))
array([5, 0, 4], dtype=uint8)
>>> images = mnist.train_images()  # doctest: +SKIP
"""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import numpy as np

from fastidx import IdxError, TruncatedError, load

from .arrays import unwrapped
from .errors import GZIP_ERRORS, ErrorTypes, errors_also

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastidx.sources.protocol import BinaryReader

__all__ = [
    "IdxDecodeError",
    "datasets_url",
    "download_and_parse_mnist_file",
    "download_file",
    "parse_idx",
    "temporary_dir",
    "test_images",
    "test_labels",
    "train_images",
    "train_labels",
]

_FIRST_URL = "http://yann.lecun.com/exdb/mnist/"

datasets_url: str = _FIRST_URL
temporary_dir: Callable[[], str | os.PathLike[str]] = tempfile.gettempdir


class IdxDecodeError(IdxError):
    """Data that is not an IDX file."""


_ERRORS: ErrorTypes = {
    IdxError: (IdxDecodeError,),
    TruncatedError: (struct.error,),
    **GZIP_ERRORS,
}


def download_file(
    fname: str, target_dir: str | os.PathLike[str] | None = None, force: bool = False
) -> str:
    """Download a file unless it is there.

    Parameters
    ----------
    fname : str
        Its name, both at `datasets_url` and on disk.
    target_dir : str or PathLike, optional
        The folder for it; by default, what `temporary_dir` returns.
    force : bool
        Download it though it is there; a published file only if it is damaged.

    Returns
    -------
    str
        Path of the file.
    """
    folder = Path(target_dir or temporary_dir())
    path = folder / fname
    if force or not path.is_file():
        from ._download import fetch_published, fetch_unverified

        mirrors = None if datasets_url == _FIRST_URL else datasets_url
        found = fetch_published(fname, folder, mirrors)
        path = found or fetch_unverified(urljoin(datasets_url, fname), path)
    return str(path)


def parse_idx(fd: BinaryReader) -> np.ndarray[Any, Any]:
    """Load an IDX file.

    Parameters
    ----------
    fd : binary file object
        Read from its position to its end, and left open.

    Returns
    -------
    ndarray
        With the file's type and shape.

    Raises
    ------
    IdxDecodeError
        If it is not an IDX file, or a damaged one.
    """
    if not hasattr(fd, "read"):
        raise TypeError(f"fd: expected a binary file object, found {type(fd).__name__}")
    with errors_also(_ERRORS):
        return load(unwrapped(fd))


def download_and_parse_mnist_file(
    fname: str, target_dir: str | os.PathLike[str] | None = None, force: bool = False
) -> np.ndarray[Any, Any]:
    """Load an IDX file, downloaded unless it is there.

    Parameters
    ----------
    fname, target_dir, force
        As for `download_file`.

    Returns
    -------
    ndarray
        With the file's type and shape.

    Raises
    ------
    IdxDecodeError
        If it is not an IDX file, or a damaged one.
    """
    path = download_file(fname, target_dir=target_dir, force=force)
    with errors_also(_ERRORS):
        return load(path)


def train_images() -> np.ndarray[Any, Any]:
    """Return the training images: uint8 of shape (60000, 28, 28)."""
    return download_and_parse_mnist_file("train-images-idx3-ubyte.gz")


def test_images() -> np.ndarray[Any, Any]:
    """Return the test images: uint8 of shape (10000, 28, 28)."""
    return download_and_parse_mnist_file("t10k-images-idx3-ubyte.gz")


def train_labels() -> np.ndarray[Any, Any]:
    """Return the training labels: uint8 of shape (60000,)."""
    return download_and_parse_mnist_file("train-labels-idx1-ubyte.gz")


def test_labels() -> np.ndarray[Any, Any]:
    """Return the test labels: uint8 of shape (10000,)."""
    return download_and_parse_mnist_file("t10k-labels-idx1-ubyte.gz")
