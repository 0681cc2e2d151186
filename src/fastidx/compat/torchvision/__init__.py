"""What `torchvision.datasets` (0.20 and later) offers for the MNIST family, loaded by fastidx.

``from torchvision import datasets`` becomes ``from fastidx.compat.torchvision import datasets``;
the classes are names of this package, too. It needs torch and Pillow, but not torchvision; the
transforms are torchvision's own or any other callables.

Differences from the original:

- ``download=True`` keeps the files as they are published, and they are read so: gzipped ones, and
  EMNIST's archive, are not unpacked beside themselves. What fastidx has downloaded before is used
  where it lies. Transfers go on where they broke off, further mirrors are tried, several processes
  download once, and nothing is printed but a progress bar.
- Files that torchvision has unpacked are read, and names with ``.idx3`` for ``-idx3`` as well. Its
  ``processed`` folder, written by versions before 0.9, is not.
- Damaged files, and labels that are not as many as the images, raise an error. Errors about a file
  are of fastidx, and also an `AssertionError` and a `RuntimeError`, the types of the original.
- A class has ``__getitems__``, with which a `torch.utils.data.DataLoader` gets the items of a
  batch at once. A subclass that overrides ``__getitem__`` is asked for each of them.
- The ``read_`` functions decode compressed files, too, take any PathLike or open file, and any
  number of dimensions.

EMNIST's images are transposed, as in the files, and as torchvision returns them;
`fastidx.datasets.load` returns them upright.

Examples
--------
>>> from fastidx.compat.torchvision import datasets  # doctest: +SKIP
>>> train = datasets.MNIST("data", train=True, download=True)  # doctest: +SKIP
>>> train[0]  # doctest: +SKIP
(<PIL.Image.Image image mode=L size=28x28 at 0x7F4C4C0B3A90>, 5)
"""

from __future__ import annotations

from . import datasets
from .datasets import (
    EMNIST,
    KMNIST,
    MNIST,
    QMNIST,
    FashionMNIST,
    read_image_file,
    read_label_file,
    read_sn3_pascalvincent_tensor,
)

__all__ = [
    "EMNIST",
    "KMNIST",
    "MNIST",
    "QMNIST",
    "FashionMNIST",
    "datasets",
    "read_image_file",
    "read_label_file",
    "read_sn3_pascalvincent_tensor",
]
