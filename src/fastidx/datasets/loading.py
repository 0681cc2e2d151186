"""Load the images and labels of a data set."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from fastidx.base.threads import available_threads, check_threads, run_all
from fastidx.errors import IdxError
from fastidx.reading import load as reading

from .arraycache import open_array, save_array
from .conversion import Array, Number, convert
from .copies import Copy, Place, place_of
from .errors import DatasetError
from .fetching import obtain, parts_of, splits_of
from .registry import Dataset, Part, describe, find

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["load"]

# Images are turned in blocks that stay in the cache.
_BLOCK_NITEMS = 256


@overload
def load(
    name: str,
    split: str = "train",
    *,
    root: str | os.PathLike[str] | None = None,
    download: bool = True,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    flatten: bool = False,
    cache: Literal["npy"] | None = None,
    threads: int | None = None,
) -> tuple[Array, Array]: ...
@overload
def load(
    name: str,
    split: tuple[str, ...] | list[str],
    *,
    root: str | os.PathLike[str] | None = None,
    download: bool = True,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    flatten: bool = False,
    cache: Literal["npy"] | None = None,
    threads: int | None = None,
) -> tuple[tuple[Array, Array], ...]: ...
def load(
    name: str,
    split: str | tuple[str, ...] | list[str] = "train",
    *,
    root: str | os.PathLike[str] | None = None,
    download: bool = True,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    flatten: bool = False,
    cache: Literal["npy"] | None = None,
    threads: int | None = None,
) -> Any:
    """Load the images and labels of a data set, and fetch it first if it is not here.

    Parameters
    ----------
    name : str
        One of `fastidx.datasets.names`, in upper or lower case, with any or no separators.
    split : str or tuple of str
        One of `fastidx.datasets.splits`; or several, whose files are decoded all at once.
    root : str or PathLike, optional
        Where to look and to put what is downloaded; by default the folder that the environment
        variable ``FASTIDX_DATA_DIR`` names, or the one for caches. Files are found in
        ``<root>/<name>`` (where downloads go), in torchvision's ``<root>/MNIST/raw``, and in
        ``<root>`` itself; EMNIST's archive also where the package emnist keeps it. They are used
        where they lie, gzipped or unpacked.
    download : bool
        Whether to fetch what is not here. With ``FASTIDX_OFFLINE=1`` in the environment nothing
        is fetched either.
    dtype : dtype-like, optional
        Type of the images; by default uint8 or, with ``scale`` or ``offset``, float64.
    scale, offset : float or Fraction, optional
        The images become ``x * scale + offset``, computed in float64. ``Fraction(1, 255)`` gives
        exactly ``x / 255.0``.
    lut : array_like of 256 numbers, optional
        The images become ``lut[x]``.
    flatten : bool
        Whether each image is one row: shape (count, 784) for (count, 28, 28).
    cache : {"npy", None}
        ``"npy"`` keeps the decoded files beside the downloads and maps them into memory the next
        time, as long as the sources have not changed. Arrays are writable all the same, and what
        is written to them does not reach the files.
    threads : int, optional
        How many files to decode at once; by default as many as `fastidx.load` uses threads.

    Returns
    -------
    images : ndarray, shape (count, 28, 28)
        Upright, for EMNIST too, whose files hold them transposed.
    labels : ndarray, shape (count,)
        uint8. Those of QMNIST have shape (count, 8) and type int32; the first column is the class.

    With several splits: a tuple of such pairs.

    Raises
    ------
    MissingFileError
        If a file is not here and is not to be fetched; the message says which to put where.
    DownloadError
        If it cannot be fetched.
    DatasetError
        If an array has another shape than it must have, as when an archive was repacked.
    IdxError
        If a file is damaged that has no known hash.
    ImportError
        If a download takes a package that is missing.

    Notes
    -----
    Every file must have the hash that is known of it, wherever it was found; it is taken when a
    process first uses the file, and again when the file has changed. EMNIST's archive is hashed
    when it is fetched; afterwards the checksums of its members stand for that. Of unpacked files
    only those of MNIST and QMNIST's labels have a known hash; others must have the right type,
    shape and size, and none that is known. So Fashion-MNIST and KMNIST, unpacked, cannot be told
    from each other.

    Examples
    --------
    >>> from fastidx import datasets
    >>> images, labels = datasets.load("mnist")  # doctest: +SKIP
    >>> train, test = datasets.load("mnist", ("train", "test"))  # doctest: +SKIP

    What is not here and must not be fetched is named, with the place to put it:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         datasets.load("mnist", root=folder, download=False)
    ...     except FileNotFoundError as error:
    ...         print(str(error).splitlines()[1][:56])
      train-images-idx3-ubyte.gz (9,912,422 bytes, SHA-256 4
    """
    dataset = find(name)
    wanted = splits_of(dataset, split)
    if cache not in ("npy", None):
        raise ValueError(f"cache: expected 'npy' or None, found {cache!r}")
    place = place_of(dataset, root)
    arrays = _arrays(dataset, parts_of(dataset, wanted), place, download, cache, threads)
    pairs = []
    for key in wanted:
        part = dataset.splits[key]
        images, labels = arrays[part.images][part.rows], arrays[part.labels][part.rows]
        images = convert(images, dtype, scale, offset, lut, source=f"{dataset.title} {key}")
        pairs.append((images.reshape(len(images), -1) if flatten else images, labels))
    return pairs[0] if isinstance(split, str) else tuple(pairs)


def _arrays(
    dataset: Dataset,
    parts: Sequence[Part],
    place: Place,
    download: bool,
    cache: str | None,
    threads: int | None,
) -> dict[Part, Array]:
    """Return the content of the files, decoded all at once, the largest first."""
    arrays: dict[Part, Array] = {}
    if cache:
        kept = {part: open_array(_npy_path(part, place), part) for part in parts}
        arrays = {part: array for part, array in kept.items() if array is not None}
    missing = [part for part in parts if part not in arrays]
    missing.sort(key=lambda part: np.prod(part.shape), reverse=True)
    decode = functools.partial(_decode, dataset)
    threads = min(len(missing), available_threads() if threads is None else check_threads(threads))
    copies = obtain(dataset, missing, place, allowed=download)
    try:
        decoded = run_all(decode, list(copies.items()), threads)
    except IdxError:
        # Damage in a copy that had passed: look again, at every byte.
        copies = obtain(dataset, missing, place, allowed=download, thorough=True)
        decoded = run_all(decode, list(copies.items()), threads)
    for (part, copy), array in zip(copies.items(), decoded, strict=True):
        arrays[part] = array
        if cache:
            save_array(_npy_path(part, place), array, part, copy.path)
    return arrays


def _npy_path(part: Part, place: Place) -> Path:
    return place.own / f"{part.stem}.npy"


def _decode(dataset: Dataset, item: tuple[Part, Copy]) -> Array:
    part, copy = item
    array = reading.load(copy.source)
    if array.shape != part.shape:
        raise DatasetError(
            f"{copy.path}: expected {describe(dataset, part.file)} with {part.name} of shape "
            f"{part.shape}, found shape {array.shape}; fetch it again"
        )
    if dataset.transposed and array.ndim == 3:
        _transpose_images(array)
    return array


def _transpose_images(images: Array) -> None:
    """Exchange rows and columns of each image, in place."""
    for start in range(0, len(images), _BLOCK_NITEMS):
        block = images[start : start + _BLOCK_NITEMS]
        block[...] = block.transpose(0, 2, 1)  # numpy sees the overlap, and copies the block
