"""What the Azure Open Datasets page on MNIST shows, by fastidx.

``from azureml.opendatasets import MNIST`` becomes
``from fastidx.compat.opendatasets import MNIST``. `load_data` is the function that the page
defines to load the files; `load_dataframe` is the same where it returns a data frame there.

Differences from the original:

- No account and no workspace of Azure Machine Learning are needed, and nothing is sent to it.
- The files are kept in the folder of `fastidx.datasets`, verified, and used from there the next
  time.
- The frame of `TabularDataset.to_pandas_dataframe` has the columns ``"0"`` to ``"783"`` and
  ``"label"``, of uint8; that of Spark has the same, of short.
- `FileDataset.download` puts the files into the folder itself, and `FileDataset.to_path` returns
  their paths there.
- A mounted folder holds, beside each file, its array as ``.npy``, to be read from any position.
  Files that are open when the folder is unmounted stay readable until they are closed.
- `load_data` reads plain files, too, and its arrays are writable. Damaged files, and labels given
  for images, raise an error.

Examples
--------
>>> from fastidx.compat.opendatasets import MNIST
>>> mnist_file = MNIST.get_file_dataset(dataset_filter="train")
>>> mnist_file.to_path()
['/train-images-idx3-ubyte.gz', '/train-labels-idx1-ubyte.gz']
>>> mnist_df = MNIST.get_tabular_dataset().to_pandas_dataframe()  # doctest: +SKIP
"""

from __future__ import annotations

from .files import load_data, load_dataframe
from .mount import MountContext, MountError
from .opened import MNIST, FileDataset, TabularDataset

__all__ = [
    "MNIST",
    "FileDataset",
    "MountContext",
    "MountError",
    "TabularDataset",
    "load_data",
    "load_dataframe",
]
