"""MNIST and its family by name: found or fetched, verified, decoded.

Downloads need packages that do not come with fastidx (``pip install "fastidx[datasets]"``); what is
on the machine already loads without them. Environment variables:

``FASTIDX_DATA_DIR``
    Where data sets are kept. Default: a folder ``fastidx`` among the user's caches.
``FASTIDX_MIRROR``
    Take files from here instead of the public mirrors: one or more addresses, separated by spaces,
    below which each data set has a folder, such as ``mnist/train-images-idx3-ubyte.gz``.
``FASTIDX_OFFLINE``
    ``1``: never use the network; what is missing is an error that says which file to put where.
"""

from __future__ import annotations

from .catalogue import classes, names, splits
from .copies import identify
from .errors import DatasetError, DownloadError, MissingFileError
from .fetching import fetch
from .loading import load
from .model import Identity

__all__ = [
    "DatasetError",
    "DownloadError",
    "Identity",
    "MissingFileError",
    "classes",
    "fetch",
    "identify",
    "load",
    "names",
    "splits",
]
