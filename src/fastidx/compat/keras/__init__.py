"""What `keras.datasets` offers for MNIST and Fashion-MNIST, loaded by fastidx.

``from keras.datasets import mnist`` becomes ``from fastidx.compat.keras import mnist``. It needs
neither keras nor tensorflow.

Differences from the original:

- The files are those that were first published, in the folder of `fastidx.datasets`; keras
  downloads MNIST as one ``.npz`` file. One that keras has downloaded is read where there are no
  others, and so is any that ``path`` names with its folder.
- Nothing is written at ``path``.
- Fashion-MNIST is also found where keras keeps it.

Examples
--------
>>> from fastidx.compat.keras import mnist
>>> (x_train, y_train), (x_test, y_test) = mnist.load_data()  # doctest: +SKIP
"""

from __future__ import annotations

from . import datasets, fashion_mnist, mnist

__all__ = ["datasets", "fashion_mnist", "mnist"]
