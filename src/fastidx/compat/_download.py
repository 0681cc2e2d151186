"""Single files, for the packages that download them by name."""

from __future__ import annotations

from pathlib import Path
from urllib.request import urlretrieve

from fastidx.base import settings
from fastidx.base.replace import replacement_path
from fastidx.datasets.copies import Place
from fastidx.datasets.errors import MissingFileError
from fastidx.datasets.fetching import obtain, parts_of
from fastidx.datasets.registry import DATASETS, Dataset

__all__ = ["fetch_published", "fetch_unverified"]


def fetch_published(name: str, folder: Path, mirror: str | None) -> Path | None:
    """Fetch a file of a data set, verified.

    Parameters
    ----------
    name : str
        Name of the file.
    folder : Path
        Where to put it; one that is there is kept if it is the right one.
    mirror : str or None
        The address that tells the data set; None for MNIST.

    Returns
    -------
    Path or None
        None if the address is not a public mirror, or does not have such a file.
    """
    dataset = _dataset_at(mirror)
    if dataset is None:
        return None
    for part in parts_of(dataset, dataset.splits):
        if part.file.name == name:
            place = Place(folder, ())
            return obtain(dataset, [part], place, allowed=True, thorough=True)[part].path
    return None


def fetch_unverified(url: str, path: Path) -> Path:
    """Fetch whatever is at an address: all of it or, if the transfer breaks off, nothing."""
    if settings.offline():
        raise MissingFileError(
            f"{path}: expected a file, found none, and FASTIDX_OFFLINE is set; "
            f"put there what is at {url}"
        )
    with replacement_path(path) as temporary:
        urlretrieve(url, temporary)
    return path


def _dataset_at(mirror: str | None) -> Dataset | None:
    if mirror is None:
        return DATASETS["mnist"]
    for dataset in DATASETS.values():
        if f"{mirror.rstrip('/')}/" in dataset.mirrors:
            return dataset
    return None
