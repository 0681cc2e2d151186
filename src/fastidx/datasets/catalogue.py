"""What there is to load: names, splits, classes."""

from __future__ import annotations

from .registry import DATASETS, find

__all__ = ["classes", "names", "splits"]


def names() -> list[str]:
    """Return the names of all data sets.

    Examples
    --------
    >>> from fastidx import datasets
    >>> datasets.names()[:4]
    ['mnist', 'fashion-mnist', 'kmnist', 'qmnist']
    """
    return list(DATASETS)


def splits(name: str) -> tuple[str, ...]:
    """Return the splits of a data set.

    Parameters
    ----------
    name : str
        One of `fastidx.datasets.names`.

    Examples
    --------
    >>> from fastidx import datasets
    >>> datasets.splits("qmnist")
    ('train', 'test', 'test10k', 'test50k', 'nist')
    """
    return tuple(find(name).splits)


def classes(name: str) -> tuple[str, ...]:
    """Return the names of the classes, so that ``classes(name)[label]`` is that of a label.

    Parameters
    ----------
    name : str
        One of `fastidx.datasets.names`.

    Returns
    -------
    tuple of str
        For EMNIST letters, whose labels begin with 1, the first is ``"N/A"``.

    Examples
    --------
    >>> from fastidx import datasets
    >>> datasets.classes("fashion-mnist")[9]
    'Ankle boot'
    """
    return find(name).classes
