"""Look data sets up by name, and files by hash."""

from __future__ import annotations

from .model import Dataset, File, Part, Split, describe, without_suffix
from .published import DATASETS

__all__ = [
    "DATASETS",
    "Dataset",
    "File",
    "Part",
    "Split",
    "describe",
    "find",
    "names_by_hash",
    "without_suffix",
]


def find(name: str) -> Dataset:
    """Return a data set by its name.

    Parameters
    ----------
    name : str
        In upper or lower case, with any or no separators: ``"fashion-mnist"``, ``"FashionMNIST"``,
        ``"emnist/letters"``.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> from fastidx.datasets.registry import find
    >>> find("FashionMNIST").title
    'Fashion-MNIST'
    """
    if not isinstance(name, str):
        raise TypeError(f"name: expected the name of a data set, found {type(name).__name__}")
    for dataset in DATASETS.values():
        if _bare(dataset.name) == _bare(name):
            return dataset
    raise ValueError(f"name: expected one of {', '.join(DATASETS)}, found {name!r}")


def names_by_hash() -> dict[str, str]:
    """Return how messages name each file, and what it holds, by MD5 as well as SHA-256."""
    names = {}
    for dataset in DATASETS.values():
        for split in dataset.splits.values():
            for part in (split.images, split.labels):
                name = describe(dataset, part.file)
                names[part.file.md5] = names[part.file.sha256] = name
                names[part.file.unpacked_sha256] = without_suffix(name)
    return {digest: name for digest, name in names.items() if digest is not None}


def _bare(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
