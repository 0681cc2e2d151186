"""MNIST as `azureml.opendatasets` opens it: as a table, or as files."""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastidx import info, load, save
from fastidx.base.replace import replacement_path
from fastidx.base.threads import available_threads, run_all
from fastidx.compat.arrays import Rows, as_rows

from .container import Container
from .files import pandas
from .mount import MountContext

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

__all__ = ["MNIST", "FileDataset", "TabularDataset"]

_SPLITS = {
    None: ("train", "test"),
    "all": ("train", "test"),
    "train": ("train",),
    "test": ("test",),
}


class MNIST:
    """MNIST in the container of Azure Open Datasets, or in another one with the same files."""

    @classmethod
    def get_tabular_dataset(
        cls,
        dataset_filter: str | None = None,
        enable_telemetry: bool = True,
        **container: Any,
    ) -> TabularDataset:
        """Return MNIST as a table; it is fetched when it is used.

        Parameters
        ----------
        dataset_filter : {None, "all", "train", "test"}
            Which images; by default all, the training images first.
        enable_telemetry : bool
            Of no effect: there is no telemetry.
        **container
            Where the files are, see `get_file_dataset`.

        Returns
        -------
        TabularDataset
        """
        del enable_telemetry
        return TabularDataset(_splits(dataset_filter), Container(**container))

    @classmethod
    def get_file_dataset(
        cls,
        dataset_filter: str | None = None,
        enable_telemetry: bool = True,
        **container: Any,
    ) -> FileDataset:
        """Return MNIST as files; they are fetched when they are used.

        Parameters
        ----------
        dataset_filter : {None, "all", "train", "test"}
            Which files; by default all four.
        enable_telemetry : bool
            Of no effect: there is no telemetry.
        **container
            Where the files are: ``account`` and ``container``, their names in Azure's storage;
            ``endpoint``, an address in place of the account's; ``protocol``, ``"https"`` or
            ``"abfs"``; and, for abfs, ``storage_options``, what `adlfs` is to be called with, such
            as ``{"connection_string": ...}``. By default the public container is used and, if it
            does not answer, the other mirrors that fastidx knows.

        Returns
        -------
        FileDataset

        Examples
        --------
        >>> from fastidx.compat.opendatasets import MNIST
        >>> MNIST.get_file_dataset("test", account="mine").to_path()
        ['/t10k-images-idx3-ubyte.gz', '/t10k-labels-idx1-ubyte.gz']
        """
        del enable_telemetry
        return FileDataset(_splits(dataset_filter), Container(**container))


class TabularDataset:
    """MNIST as a table, a row for each image: 784 columns of pixels and one of labels."""

    def __init__(self, splits: tuple[str, ...], container: Container) -> None:
        self._splits = splits
        self._container = container

    def to_pandas_dataframe(self) -> pd.DataFrame:
        """Load the table.

        Returns
        -------
        pandas.DataFrame
            With the columns ``"0"`` to ``"783"`` and ``"label"``, of uint8.
        """
        frames = pandas()
        values = self._values()
        return frames.DataFrame(values, columns=_columns(values), copy=False)

    def to_spark_dataframe(self) -> DataFrame:
        """Load the table, and hand it to the Spark session that is active, or to a new one.

        Returns
        -------
        pyspark.sql.DataFrame
            With the columns ``"0"`` to ``"783"`` and ``"label"``, of short.
        """
        try:
            sql, arrow = import_module("pyspark.sql"), import_module("pyarrow")
        except ImportError as error:
            raise ImportError(
                f"a Spark data frame needs {error.name}, which is not installed here; "
                'install it with: pip install "fastidx[spark]"'
            ) from error
        session = sql.SparkSession.builder.getOrCreate()
        values = self._values()
        # Spark has no unsigned types; Arrow takes columns that lie in one piece without a copy.
        columns = np.asfortranarray(values, dtype=np.int16).T
        table = arrow.table(list(map(arrow.array, columns)), names=_columns(values))
        frame: DataFrame = session.createDataFrame(table)
        return frame

    def _values(self) -> Rows:
        paths = list(self._container.fetch(self._splits).values())
        arrays = run_all(load, paths, min(len(paths), available_threads()))
        # Filled in place: to stack and to concatenate would take the memory three times.
        pixels = math.prod(arrays[0].shape[1:])
        values = np.empty((sum(map(len, arrays[1::2])), pixels + 1), np.uint8)
        start = 0
        for images, labels in zip(arrays[::2], arrays[1::2], strict=True):
            rows = slice(start, start + len(labels))
            values[rows, :-1] = as_rows(images)
            values[rows, -1] = labels
            start = rows.stop
        return values


class FileDataset:
    """MNIST as files."""

    def __init__(self, splits: tuple[str, ...], container: Container) -> None:
        self._splits = splits
        self._container = container

    def to_path(self) -> list[str]:
        """Return the paths of the files below the folder that they are put into or mounted at.

        Examples
        --------
        >>> from fastidx.compat.opendatasets import MNIST
        >>> MNIST.get_file_dataset("train").to_path()
        ['/train-images-idx3-ubyte.gz', '/train-labels-idx1-ubyte.gz']
        """
        return sorted(f"/{part.name}" for part in self._container.parts(self._splits))

    def download(
        self, target_path: str | os.PathLike[str] | None = None, overwrite: bool = False
    ) -> list[str]:
        """Put the files into a folder.

        Parameters
        ----------
        target_path : str or PathLike, optional
            The folder, made if it is not there; by default a new temporary one.
        overwrite : bool
            Whether files may be there already, to be replaced.

        Returns
        -------
        list of str
            Paths of the files.

        Raises
        ------
        FileExistsError
            If there is one already, and ``overwrite`` is False.
        """
        folder = Path(target_path if target_path is not None else tempfile.mkdtemp())
        targets = [folder / path.removeprefix("/") for path in self.to_path()]
        if not overwrite:
            for target in targets:
                if target.exists():
                    raise FileExistsError(
                        errno.EEXIST,
                        "is there already; pass overwrite=True to replace",
                        str(target),
                    )
        folder.mkdir(parents=True, exist_ok=True)
        found = self._container.fetch(self._splits)
        for part, path in found.items():
            _put(path, folder / part.name)
        return [str(target) for target in targets]

    def mount(self, mount_point: str | os.PathLike[str] | None = None) -> MountContext:
        """Mount the files, read-only, with their arrays beside them as ``.npy``; Linux only.

        Parameters
        ----------
        mount_point : str or PathLike, optional
            An empty folder, made if it is not there; by default a new temporary one.

        Returns
        -------
        MountContext
            To be used in a ``with`` statement, or started and stopped.

        Raises
        ------
        ImportError, MountError
            When it is started without what it takes; the message says what to install.

        Examples
        --------
        >>> from fastidx.compat.opendatasets import MNIST
        >>> with MNIST.get_file_dataset().mount("/tmp/mnist") as context:  # doctest: +SKIP
        ...     path = f"{context.mount_point}/train-images-idx3-ubyte.npy"
        ...     images = np.load(path, mmap_mode="r")
        """
        return MountContext(self._sources, mount_point)

    def _sources(self, scratch: Path) -> dict[str, Path]:
        """Return the gzipped files by their names; those made from unpacked ones are put aside."""
        sources = {}
        for part, path in self._container.fetch(self._splits).items():
            sources[part.name] = path
            if info(path).compression is None:
                sources[part.name] = scratch / part.name
                _put(path, scratch / part.name)
        return sources


def _splits(dataset_filter: str | None) -> tuple[str, ...]:
    if dataset_filter not in _SPLITS:
        raise ValueError(
            f"dataset_filter: expected None, 'all', 'train' or 'test', found {dataset_filter!r}"
        )
    return _SPLITS[dataset_filter]


def _columns(values: Rows) -> list[str]:
    return [*map(str, range(values.shape[1] - 1)), "label"]


def _put(source: Path, target: Path) -> None:
    """Copy a file, all of it or nothing, or gzip it if it was found unpacked."""
    if info(source).compression is None:
        save(target, load(source), compression="gzip")
        return
    with replacement_path(target) as temporary:
        shutil.copyfile(source, temporary)
