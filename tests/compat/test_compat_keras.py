"""compat.keras: what keras.datasets documents, and where the files come from."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compat_peers import assert_equal
from datasets_samples import Sample
from servers.dataset_server import DatasetServer

import fastidx
from fastidx.compat import keras
from fastidx.compat.keras import fashion_mnist, mnist
from fastidx.datasets import registry

MNIST, FASHION = Sample("mnist"), Sample("fashion-mnist")


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DatasetServer]:
    """Serve samples in place of the real data sets, to a machine that has none of them."""
    for sample in (MNIST, FASHION):
        monkeypatch.setitem(registry.DATASETS, sample.name, sample.dataset)
    with DatasetServer({**MNIST.served(), **FASHION.served()}) as running:
        monkeypatch.setenv("FASTIDX_MIRROR", running.url)
        monkeypatch.delenv("FASTIDX_OFFLINE", raising=False)
        monkeypatch.delenv("KERAS_HOME", raising=False)
        monkeypatch.setenv("FASTIDX_DATA_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("HOME", str(tmp_path))
        yield running


def write_npz(path: Path, value: int = 0, **changes: Any) -> Any:
    """Write a file as keras downloads it; return what loading it must give."""
    (x, y), (u, v) = (MNIST.expected(split) for split in ("train", "test"))
    arrays = {"x_train": x + np.uint8(value), "y_train": y, "x_test": u, "y_test": v} | changes
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return (arrays["x_train"], y), (u, v)


@pytest.mark.parametrize(("module", "sample"), [(mnist, MNIST), (fashion_mnist, FASHION)])
def test_load_data(module: Any, sample: Sample, server: DatasetServer) -> None:
    expected = sample.expected("train"), sample.expected("test")
    for _ in range(2):
        result = module.load_data()
        assert_equal(result, expected)
    for array in (*result[0], *result[1]):
        assert array.dtype == np.uint8 and array.flags.writeable and array.flags.c_contiguous
    assert server.counts() == dict.fromkeys(sample.served(), 1)


def test_as_programs_write_it() -> None:
    (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    assert (len(x_train), len(y_train), len(x_test), len(y_test)) == (60, 60, 10, 10)
    assert keras.datasets.fashion_mnist is keras.fashion_mnist is fashion_mnist


def test_signatures() -> None:
    assert list(inspect.signature(fashion_mnist.load_data).parameters) == []
    (path,) = inspect.signature(mnist.load_data).parameters.values()
    assert (path.name, path.default) == ("path", "mnist.npz")


def test_path_of_a_file(tmp_path: Path, server: DatasetServer) -> None:
    path = tmp_path / "elsewhere" / "own.npz"
    expected = write_npz(path, 3)
    assert_equal(mnist.load_data(str(path)), expected)
    assert_equal(mnist.load_data(path=path), expected)
    assert server.requests == []


def test_path_without_a_file(tmp_path: Path, server: DatasetServer) -> None:
    result = mnist.load_data(path=str(tmp_path / "new.npz"))
    assert_equal(result, (MNIST.expected("train"), MNIST.expected("test")))
    assert len(server.requests) == 4 and not (tmp_path / "new.npz").exists()


@pytest.mark.parametrize("home", [None, "kept"])
def test_file_of_keras_is_used(
    tmp_path: Path, server: DatasetServer, home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if home:
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / home))
    expected = write_npz(tmp_path / (home or ".keras") / "datasets" / "mnist.npz", 3)
    assert_equal(mnist.load_data(), expected)
    monkeypatch.setenv("FASTIDX_OFFLINE", "1")
    assert_equal(mnist.load_data(), expected)
    assert server.requests == []


def test_own_files_come_before_those_of_keras(tmp_path: Path) -> None:
    mnist.load_data()
    write_npz(tmp_path / ".keras" / "datasets" / "mnist.npz", 3)
    assert_equal(mnist.load_data(), (MNIST.expected("train"), MNIST.expected("test")))


def test_fashion_files_of_keras_are_used(tmp_path: Path, server: DatasetServer) -> None:
    folder = tmp_path / ".keras" / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    for name, data in FASHION.files.items():
        (folder / name).write_bytes(data)
    assert_equal(fashion_mnist.load_data(), (FASHION.expected("train"), FASHION.expected("test")))
    assert server.requests == []


def test_damaged_file_of_keras(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    write_npz(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(fastidx.CorruptError, match=r"mnist\.npz: expected an \.npz file"):
        mnist.load_data(path)
    path.write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(fastidx.CorruptError, match="remove it"):
        mnist.load_data(path)
    with path.open("wb") as file:
        np.save(file, MNIST.expected("test")[1])
    with pytest.raises(fastidx.CorruptError, match="remove it"):
        mnist.load_data(path)


def test_other_file_under_that_name(tmp_path: Path) -> None:
    write_npz(tmp_path / "mnist.npz", x_test=None)
    with pytest.raises(fastidx.HeaderError, match=r"expected the arrays x_train, .*'x_test"):
        mnist.load_data(tmp_path / "mnist.npz")


def test_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTIDX_OFFLINE", "1")
    with pytest.raises(fastidx.datasets.MissingFileError, match="FASTIDX_OFFLINE is set"):
        mnist.load_data()
