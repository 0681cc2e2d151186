"""MNIST, in place of `keras.datasets.mnist`; see `fastidx.compat.keras`."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastidx import CorruptError, HeaderError, datasets

from .cache import cache_folder

if TYPE_CHECKING:
    from .cache import TrainAndTest

__all__ = ["load_data"]

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load_data(path: str | os.PathLike[str] = "mnist.npz") -> TrainAndTest:
    """Load MNIST, and fetch it first if it is not here.

    Parameters
    ----------
    path : str or PathLike
        A file as keras downloads it, used if it is there. A name without a folder is looked for in
        keras's folder, and only after the files that fastidx knows.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images, uint8 of shapes (60000, 28, 28) and (10000, 28, 28), and their labels, uint8.
    """
    file = cache_folder() / path
    if Path(path).is_absolute() and file.is_file():
        return _load_npz(file)
    try:
        return _load(download=not file.is_file())
    except datasets.MissingFileError:
        if not file.is_file():
            raise
    return _load_npz(file)


def _load(*, download: bool) -> TrainAndTest:
    train, test = datasets.load("mnist", ("train", "test"), download=download)
    return train, test


def _load_npz(file: Path) -> TrainAndTest:
    try:
        with file.open("rb") as opened, np.load(opened) as arrays:
            x_train, y_train, x_test, y_test = (arrays[name] for name in _ARRAYS)
    except KeyError as error:
        raise HeaderError(
            f"{file}: expected the arrays {', '.join(_ARRAYS)}, found none of that name: {error}; "
            "this is not the file that keras downloads"
        ) from error
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorruptError(
            f"{file}: expected an .npz file with the arrays {', '.join(_ARRAYS)}, found it damaged "
            f"({error}); remove it, and it is fetched again"
        ) from error
    return (x_train, y_train), (x_test, y_test)
