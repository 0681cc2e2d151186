"""The drop-in modules beside the packages that they replace, call by call.

Each call is made as its users make it. Where the original reads no gzip, it gets an unpacked file.
torchvision and keras, which are not installed here, are stood in for by what they do: torch on an
unpacked file, and numpy on keras's ``mnist.npz``.
"""

from __future__ import annotations

import gzip
import importlib
import importlib.metadata
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastidx
from fastidx import compat, synthetic

from .contenders import Contender, package, python_version
from .files import Files

TABLE = "Drop-in modules beside the originals"

_IMAGES, _LABELS = synthetic.IMAGES_NAME, synthetic.LABELS_NAME
_TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
_TEST_LABELS = "t10k-labels-idx1-ubyte.gz"
_TEST_N = 10_000


class Folder:
    """The four files of MNIST under all the names that the packages look for.

    Parameters
    ----------
    files : Files
        Their training files are used. The test files are the real ones, or the first tenth.
    """

    def __init__(self, files: Files) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="fastidx-compat-"))
        shutil.copy(files.images, self.path / _IMAGES)
        shutil.copy(files.labels, self.path / _LABELS)
        self._make_test_files()
        for name in (_IMAGES, _LABELS, _TEST_IMAGES, _TEST_LABELS):
            (self.path / name.removesuffix(".gz")).write_bytes(
                gzip.decompress((self.path / name).read_bytes())
            )
        self._environment = dict(os.environ)
        os.environ |= {"FASTIDX_DATA_DIR": str(self.path), "FASTIDX_OFFLINE": "1"}
        self.real = not files.origin.startswith("synthetic")
        self.wide = files.wide_labels
        self.plain_wide = self.path / "wide"
        self.plain_wide.write_bytes(gzip.decompress(files.wide_labels.read_bytes()))

    def _make_test_files(self) -> None:
        data = Path(os.environ.get("FASTIDX_TEST_DATA", self.path))
        for name, train in ((_TEST_IMAGES, _IMAGES), (_TEST_LABELS, _LABELS)):
            if (data / name).exists() and data != self.path:
                shutil.copy(data / name, self.path / name)
            else:
                fastidx.save(self.path / name, fastidx.load(self.path / train)[:_TEST_N])

    def plain(self, name: str) -> str:
        """Return the path of an unpacked file."""
        return str(self.path / name.removesuffix(".gz"))

    def packed(self, name: str) -> str:
        """Return the path of a gzipped file."""
        return str(self.path / name)

    @cached_property
    def npz(self) -> Path:
        """The file that keras downloads."""
        path = self.path / "mnist.npz"
        np.savez_compressed(
            path,
            x_train=fastidx.load(self.packed(_IMAGES)),
            y_train=fastidx.load(self.packed(_LABELS)),
            x_test=fastidx.load(self.packed(_TEST_IMAGES)),
            y_test=fastidx.load(self.packed(_TEST_LABELS)),
        )
        return path

    def close(self) -> None:
        """Remove the files, and leave the environment as it was."""
        for name in ("FASTIDX_DATA_DIR", "FASTIDX_OFFLINE"):
            os.environ.pop(name)
            if name in self._environment:
                os.environ[name] = self._environment[name]
        shutil.rmtree(self.path)


@dataclass(frozen=True)
class Call:
    """One call of a package, and of the module that replaces it.

    Parameters
    ----------
    name, title : str
        Of its suite, and what the table says of it.
    ours, theirs : callable
        From a module and the folder to the result.
    module : str
        Ours.
    original : Original
    """

    name: str
    title: str
    ours: Callable[[Any, Folder], Any]
    theirs: Callable[[Any, Folder], Any]
    module: str
    original: Original

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """Ours and theirs."""
        return (
            Contender(
                f"fastidx.compat.{self.module}", self._load_ours, lambda: fastidx.__version__
            ),
            Contender(self.original.name, self._load_theirs, self.original.version),
        )

    def expected(self, folder: Folder) -> Any:
        """Return what ours gives, which the other must give too."""
        return self._load_ours(folder)

    def _load_ours(self, folder: Folder) -> Any:
        return self.ours(importlib.import_module(f"{compat.__name__}.{self.module}"), folder)

    def _load_theirs(self, folder: Folder) -> Any:
        return self.theirs(self.original.module(), folder)


@dataclass(frozen=True)
class Original:
    """A package by its distribution, and by the file of the module that is called.

    By its file, because both mnist and python-mnist install a package called mnist.
    """

    name: str
    file: str = ""
    told_version: Callable[[], str] | None = None

    def version(self) -> str:
        """Return the version, having imported the module."""
        if self.told_version is not None:
            return self.told_version()
        self.module()
        return importlib.metadata.version(self.name)

    def module(self) -> ModuleType | None:
        """Import the module, as the tests do."""
        if not self.file:
            return None
        tests = str(Path(__file__).parents[1] / "tests" / "support")
        if tests not in sys.path:
            sys.path.append(tests)
        try:
            module: ModuleType = importlib.import_module("compat_peers").peer(self.name, self.file)
        except pytest.skip.Exception as missing:
            raise ImportError(str(missing)) from None
        return module


# --- what the originals do, where they are not packages of their own -----------------------------


def _page(path: str, label: bool = False) -> Any:
    """Load as the Azure Open Datasets page shows it: gzip, struct, and numpy on the rest."""
    with gzip.open(path) as file:
        file.read(4)
        (count,) = struct.unpack(">I", file.read(4))
        columns = 1
        if not label:
            rows, width = struct.unpack(">II", file.read(8))
            columns = rows * width
        return np.frombuffer(file.read(count * columns), np.uint8).reshape(count, columns)


def _numpy_npz(_: Any, folder: Folder) -> Any:
    with np.load(folder.npz) as arrays:
        train, test = ("x_train", "y_train"), ("x_test", "y_test")
        return tuple(tuple(arrays[name] for name in pair) for pair in (train, test))


def _torch_read(_: Any, folder: Folder) -> Any:
    torch = importlib.import_module("torch")
    data = Path(folder.plain(_IMAGES)).read_bytes()
    shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=4 + 4 * data[3]).view(*shape)


# --- the calls ------------------------------------------------------------------------------------


def _gunzipped(name: str) -> Callable[[Any, Folder], Any]:
    def load(module: Any, folder: Folder) -> Any:
        with gzip.open(folder.packed(name)) as file:
            return module.convert_from_file(file)

    return load


def _wide_gunzipped(module: Any, folder: Folder) -> Any:
    with gzip.open(folder.wide) as file:
        return module.convert_from_file(file)


def _parsed(name: str) -> Callable[[Any, Folder], Any]:
    return lambda module, folder: module.download_and_parse_mnist_file(name, str(folder.path))


def _python_mnist(
    part: str, *, gz: bool, mode: str = "vanilla", return_type: str = "lists"
) -> Callable[[Any, Folder], Any]:
    def load(module: Any, folder: Folder) -> Any:
        data = module.MNIST(str(folder.path), mode, return_type, gz)
        return getattr(data, f"load_{part}")()

    return load


def _keras(module: Any, folder: Folder) -> Any:
    # Files that are not the published ones, it would not take.
    return module.mnist.load_data() if folder.real else module.mnist.load_data(str(folder.npz))


_IDX2NUMPY = Original("idx2numpy", "idx2numpy/__init__.py")
_MNIST = Original("mnist", "mnist/__init__.py")
_MLXTEND = Original("mlxtend", "mlxtend/data/local_mnist.py")
_PYTHON_MNIST = Original("python-mnist", "mnist/loader.py")
_PAGE = Original("the page's code", told_version=python_version)
_KERAS = Original("numpy on mnist.npz", told_version=lambda: np.__version__)
_TORCH = Original("torch on an unpacked file", told_version=package("torch", "torch"))


def _same(
    name: str, title: str, call: Callable[[Any, Folder], Any], module: str, original: Original
) -> Call:
    return Call(f"compat/{name}", title, call, call, module, original)


CALLS = (
    _same(
        "idx2numpy-gz",
        "idx2numpy: `convert_from_file(gzip.open(train images))`",
        _gunzipped(_IMAGES),
        "idx2numpy",
        _IDX2NUMPY,
    ),
    _same(
        "idx2numpy-gz-i32",
        "idx2numpy: `convert_from_file(gzip.open(QMNIST's labels, int32))`",
        _wide_gunzipped,
        "idx2numpy",
        _IDX2NUMPY,
    ),
    _same(
        "idx2numpy-plain",
        "idx2numpy: `convert_from_file(unpacked train images)`",
        lambda module, folder: module.convert_from_file(folder.plain(_IMAGES)),
        "idx2numpy",
        _IDX2NUMPY,
    ),
    _same(
        "idx2numpy-plain-labels",
        "idx2numpy: `convert_from_file(unpacked train labels)`",
        lambda module, folder: module.convert_from_file(folder.plain(_LABELS)),
        "idx2numpy",
        _IDX2NUMPY,
    ),
    _same(
        "idx2numpy-plain-i32",
        "idx2numpy: `convert_from_file(QMNIST's labels, unpacked)`",
        lambda module, folder: module.convert_from_file(str(folder.plain_wide)),
        "idx2numpy",
        _IDX2NUMPY,
    ),
    _same(
        "mnist-gz",
        "mnist: `download_and_parse_mnist_file(train images)`, downloaded",
        _parsed(_IMAGES),
        "mnist",
        _MNIST,
    ),
    _same(
        "mnist-gz-labels",
        "mnist: the same of train labels",
        _parsed(_LABELS),
        "mnist",
        _MNIST,
    ),
    _same(
        "mlxtend-plain",
        "mlxtend: `loadlocal_mnist(train images, labels)`, unpacked",
        lambda module, folder: module.loadlocal_mnist(folder.plain(_IMAGES), folder.plain(_LABELS)),
        "mlxtend",
        _MLXTEND,
    ),
    _same(
        "mlxtend-plain-test",
        "mlxtend: the same of the test set",
        lambda module, folder: module.loadlocal_mnist(
            folder.plain(_TEST_IMAGES), folder.plain(_TEST_LABELS)
        ),
        "mlxtend",
        _MLXTEND,
    ),
    _same(
        "python-mnist-gz-lists",
        "python-mnist: `load_testing()`, gzipped, lists",
        _python_mnist("testing", gz=True),
        "python_mnist",
        _PYTHON_MNIST,
    ),
    _same(
        "python-mnist-gz-numpy",
        "python-mnist: `load_testing()`, gzipped, numpy",
        _python_mnist("testing", gz=True, return_type="numpy"),
        "python_mnist",
        _PYTHON_MNIST,
    ),
    _same(
        "python-mnist-lists",
        "python-mnist: `load_testing()`, unpacked, lists",
        _python_mnist("testing", gz=False),
        "python_mnist",
        _PYTHON_MNIST,
    ),
    _same(
        "python-mnist-rounded",
        "python-mnist: `load_testing()`, gzipped, rounded_binarized, numpy",
        _python_mnist("testing", gz=True, mode="rounded_binarized", return_type="numpy"),
        "python_mnist",
        _PYTHON_MNIST,
    ),
    Call(
        "compat/opendatasets",
        "Azure Open Datasets: `load_data(train images)`",
        lambda module, folder: module.load_data(folder.packed(_IMAGES)),
        lambda _, folder: _page(folder.packed(_IMAGES)),
        "opendatasets",
        _PAGE,
    ),
    Call(
        "compat/opendatasets-labels",
        "Azure Open Datasets: `load_data(train labels, True)`",
        lambda module, folder: module.load_data(folder.packed(_LABELS), True),
        lambda _, folder: _page(folder.packed(_LABELS), True),
        "opendatasets",
        _PAGE,
    ),
    Call(
        "compat/keras",
        "keras: `mnist.load_data()`, downloaded",
        _keras,
        _numpy_npz,
        "keras",
        _KERAS,
    ),
    Call(
        "compat/torchvision",
        "torchvision: `read_image_file(unpacked train images)`",
        lambda module, folder: module.datasets.read_image_file(folder.plain(_IMAGES)),
        _torch_read,
        "torchvision",
        _TORCH,
    ),
)
