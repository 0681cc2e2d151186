"""One file of MNIST, as an array or as a data frame."""

from __future__ import annotations

import gzip
import os
import struct
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastidx import HeaderError, IdxError
from fastidx.compat.arrays import Rows, as_rows, load_images, load_labels, unwrapped
from fastidx.compat.errors import GZIP_ERRORS, ErrorTypes, errors_also

if TYPE_CHECKING:
    import pandas as pd

    from fastidx.sources.protocol import BinaryReader

__all__ = ["load_data", "load_dataframe", "pandas"]

_ERRORS: ErrorTypes = {
    **GZIP_ERRORS,
    IdxError: (struct.error,),
    HeaderError: (gzip.BadGzipFile,),
}


def load_data(filename: str | os.PathLike[str] | BinaryReader, label: bool = False) -> Rows:
    """Load the images or the labels in a file.

    Parameters
    ----------
    filename : str, PathLike or binary file object
        The file, gzipped or plain.
    label : bool
        Whether it holds labels.

    Returns
    -------
    ndarray of uint8
        Images as rows of pixels, of shape (count, rows * columns); or labels, of shape (count, 1).

    Raises
    ------
    ValueError
        If it is not an IDX file of images, or of labels, or is damaged. The error is also of the
        type that `gzip`, `zlib` or `struct` would raise.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import gzip, io
    >>> from fastidx.compat.opendatasets import load_data
    >>> file = io.BytesIO(gzip.compress(bytes.fromhex("00000801 00000003 050004")))
    >>> load_data(file, label=True).reshape(-1)
    array([5, 0, 4], dtype=uint8)
    """
    with errors_also(_ERRORS):
        if label:
            return load_labels(unwrapped(filename)).reshape(-1, 1)
        return as_rows(load_images(unwrapped(filename)))


def load_dataframe(
    filename: str | os.PathLike[str] | BinaryReader, label: bool = False
) -> pd.DataFrame:
    """Load the images or the labels in a file as a data frame.

    Parameters
    ----------
    filename, label
        As for `load_data`.

    Returns
    -------
    pandas.DataFrame
        Its columns are numbers.
    """
    return pandas().DataFrame(load_data(filename, label), copy=False)


def pandas() -> Any:
    """Return the package, or raise an ImportError that names the install command."""
    try:
        return import_module("pandas")
    except ImportError as error:
        raise ImportError(
            "a data frame needs pandas, which is not installed here; "
            'install it with: pip install "fastidx[pandas]"'
        ) from error
