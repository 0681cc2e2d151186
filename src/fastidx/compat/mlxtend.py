"""What `mlxtend.data` (0.25) offers for MNIST files, loaded by fastidx.

Differences from the original:

- Gzipped files are decoded; the original takes them for images and fails.
- Images may have any size; the original expects 28 x 28 pixels.
- What is not an IDX file of images or of labels is refused; the original reads any bytes.

Examples
--------
>>> from fastidx.compat.mlxtend import loadlocal_mnist
>>> X, y = loadlocal_mnist(
...     "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
... )  # doctest: +SKIP
"""

from __future__ import annotations

import os
import struct

from fastidx import IdxError

from .arrays import Labels, Rows, as_rows, check_counts, load_images, load_labels
from .errors import errors_also

__all__ = ["loadlocal_mnist"]


def loadlocal_mnist(
    images_path: str | os.PathLike[str], labels_path: str | os.PathLike[str]
) -> tuple[Rows, Labels]:
    """Load images, one in each row, and their labels.

    Parameters
    ----------
    images_path : str or PathLike
        The file of the images, such as train-images-idx3-ubyte, or the same gzipped.
    labels_path : str or PathLike
        The file of the labels, such as train-labels-idx1-ubyte, or the same gzipped.

    Returns
    -------
    images : ndarray of uint8, shape (count, pixels)
    labels : ndarray of uint8, shape (count,)

    Raises
    ------
    ValueError
        If a file is not an IDX file of images or labels, is damaged (a `struct.error`, too), or
        there are not as many labels as images.
    OSError
        If a file cannot be read.
    """
    with errors_also({IdxError: (struct.error,)}):
        labels = load_labels(labels_path)
        images = load_images(images_path)
    check_counts(images, labels, images_path)
    return as_rows(images), labels
