"""Look data sets up by name, and files by hash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .model import Dataset, File, Identity, Part, Split, describe, without_suffix
from .published import DATASETS

__all__ = [
    "DATASETS",
    "Dataset",
    "File",
    "Identity",
    "Part",
    "Split",
    "describe",
    "find",
    "identities_by_hash",
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


def identities_by_hash() -> dict[str, Identity]:
    """Return which published file each hash is of, MD5 as well as SHA-256, also of its content."""
    identities: dict[str, Identity] = {}
    for dataset in DATASETS.values():
        for name, split in dataset.splits.items():
            for role, part in (("images", split.images), ("labels", split.labels)):
                file = part.file
                found = Identity(dataset.name, dataset.title, file.name, (name,), role)
                if file.is_archive:
                    found = Identity(dataset.folder, dataset.folder.upper(), file.name)
                _add(identities, (file.md5, file.sha256), found)
                unpacked = replace(found, file=without_suffix(file.name))
                _add(identities, (file.unpacked_sha256,), unpacked)
    return identities


def _add(identities: dict[str, Identity], digests: Iterable[str | None], found: Identity) -> None:
    """Add a file under its hashes; one that several splits share keeps them all."""
    for digest in filter(None, digests):
        before = identities.get(digest)
        splits = dict.fromkeys((*(before.splits if before else ()), *found.splits))
        identities[digest] = replace(found, splits=tuple(splits))


def names_by_hash() -> dict[str, str]:
    """Return how messages name each file, and what it holds, by MD5 as well as SHA-256."""
    return {digest: str(identity) for digest, identity in identities_by_hash().items()}


def _bare(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
