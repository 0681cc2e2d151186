"""compat.mnist against the package mnist: the same bytes and servers, good and bad, to both."""

from __future__ import annotations

import dataclasses
import gzip
import io
import itertools
import struct
import tempfile
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from compat_peers import assert_same, idx_bytes, outcome, peer
from datasets_samples import Sample
from hypothesis import example, given
from hypothesis import strategies as st
from servers.dataset_server import Answer, Cut, DatasetServer

import fastidx
from fastidx.compat import mnist as ours
from fastidx.datasets import MissingFileError, registry

MNIST, FASHION = Sample("mnist"), Sample("fashion-mnist")
DTYPES = ("uint8", "int8", "int16", "int32", "float32", "float64")
TYPES = {"IdxDecodeError": ours.IdxDecodeError}


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    return peer("mnist", "mnist/__init__.py")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DatasetServer]:
    """Serves samples of MNIST and Fashion-MNIST, which are registered in place of the real ones."""
    for name in ("FASTIDX_MIRROR", "FASTIDX_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FASTIDX_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(ours, "temporary_dir", lambda: str(tmp_path))
    with DatasetServer({**MNIST.served(), **FASHION.served()}) as running:
        for sample in (MNIST, FASHION):
            mirrors = (f"{running.url}/{sample.dataset.folder}/",)
            dataset = dataclasses.replace(sample.dataset, mirrors=mirrors)
            monkeypatch.setitem(registry.DATASETS, sample.name, dataset)
        yield running


def check(theirs: ModuleType, data: bytes) -> None:
    def parse(module: ModuleType) -> Any:
        return module.parse_idx(io.BytesIO(data))

    assert_same(outcome(parse, ours), outcome(parse, theirs), **TYPES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3,), (2, 0), (2, 3, 4), (1,) * 64])
def test_parsing(theirs: ModuleType, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(2).integers(0, 100, shape).astype(dtype)
    check(theirs, idx_bytes(array))


@given(st.sampled_from(DTYPES), st.integers(1, 4), st.binary(max_size=30))
@example("uint8", 1, b"")
@example("int16", 1, b"\0\0\0\1\5")
def test_parsing_anything_under_a_header(
    theirs: ModuleType, dtype: str, ndim: int, rest: bytes
) -> None:
    check(theirs, idx_bytes(np.zeros(1, dtype))[:3] + bytes([ndim]) + rest)


@given(st.binary(max_size=12).filter(lambda data: data[:2] != b"\x1f\x8b" and data[3:4] != b"\0"))
def test_parsing_anything(theirs: ModuleType, data: bytes) -> None:
    check(theirs, data)


@pytest.mark.parametrize("damage", [lambda d: d[:-9], lambda d: d[:-6] + bytes(6), lambda d: d[:4]])
def test_open_gzip_files(theirs: ModuleType, tmp_path: Path, damage: Any) -> None:
    whole = gzip.compress(idx_bytes(np.arange(200, dtype=np.int32)))
    for data in (whole, damage(whole)):
        (tmp_path / "f.gz").write_bytes(data)

        def parse(module: ModuleType) -> Any:
            with gzip.open(tmp_path / "f.gz") as file:
                return module.parse_idx(file)

        assert_same(outcome(parse, ours), outcome(parse, theirs), **TYPES)


def test_misuse(theirs: ModuleType) -> None:
    for argument in ("train-images", None, 5):
        assert_same(
            outcome(ours.parse_idx, argument),
            outcome(theirs.parse_idx, argument),
            AttributeError=TypeError,
        )


def test_names_and_first_values(theirs: ModuleType) -> None:
    assert ours.datasets_url == theirs.datasets_url
    assert ours.temporary_dir is theirs.temporary_dir is tempfile.gettempdir
    assert set(ours.__all__) <= set(vars(theirs))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("train_images", "train-images-idx3-ubyte.gz"),
        ("train_labels", "train-labels-idx1-ubyte.gz"),
        ("test_images", "t10k-images-idx3-ubyte.gz"),
        ("test_labels", "t10k-labels-idx1-ubyte.gz"),
    ],
)
def test_the_four(server: DatasetServer, tmp_path: Path, name: str, file: str) -> None:
    expected = fastidx.load(MNIST.files[file])
    for _ in range(2):
        np.testing.assert_array_equal(getattr(ours, name)(), expected, strict=True)
    assert server.counts() == {f"/mnist/{file}": 1}
    assert (tmp_path / file).read_bytes() == MNIST.files[file]


def test_downloads_from_an_address(
    theirs: ModuleType, server: DatasetServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is served anywhere else than at a public mirror is taken as it is."""
    array = np.arange(6, dtype=np.int16)
    server.files["/own/numbers"] = idx_bytes(array)
    for module, folder in ((ours, "one"), (theirs, "other")):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(module, "datasets_url", f"{server.url}/own/")
        monkeypatch.setattr(module, "temporary_dir", lambda f=folder: str(tmp_path / f))
        assert module.download_file("numbers") == str(tmp_path / folder / "numbers")
        assert module.download_file("numbers") == str(tmp_path / folder / "numbers")
        assert module.download_file("numbers", force=True)
        (tmp_path / folder / "more").mkdir()
        module.download_file("numbers", target_dir=str(tmp_path / folder / "more"))
        np.testing.assert_array_equal(module.download_and_parse_mnist_file("numbers"), array)
    assert server.counts() == {"/own/numbers": 6}


@pytest.mark.parametrize("fault", [Answer(status=404), Answer(status=500), Cut(3)])
def test_failing_downloads(
    theirs: ModuleType,
    server: DatasetServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Any,
) -> None:
    server.files["/own/numbers"] = idx_bytes(np.arange(6, dtype=np.int16))
    server.faults["/own/numbers"] = itertools.repeat(fault)
    for module in (ours, theirs):
        monkeypatch.setattr(module, "datasets_url", f"{server.url}/own/")
    result = outcome(ours.download_file, "numbers", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    expected = outcome(theirs.download_file, "numbers", str(tmp_path))
    assert_same(result, expected)
    for _, error in (result, expected):
        assert isinstance(error, urllib.error.URLError)
        if isinstance(error, urllib.error.HTTPError):
            error.close()


def test_download_without_a_server_to_connect_to(
    theirs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ours, theirs):
        monkeypatch.setattr(module, "datasets_url", "http://127.0.0.1:1/")
    assert_same(
        outcome(ours.download_file, "numbers", str(tmp_path)),
        outcome(theirs.download_file, "numbers", str(tmp_path)),
    )


def test_existing_file_is_used(theirs: ModuleType, tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.uint8)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(array)))
    for module in (ours, theirs):
        result = module.download_and_parse_mnist_file("train-labels-idx1-ubyte.gz", str(tmp_path))
        np.testing.assert_array_equal(result, array, strict=True)


def test_real_files(theirs: ModuleType, data_dir: Path) -> None:
    for path in sorted(data_dir.glob("*-idx*.gz")):
        assert_same(
            outcome(ours.download_and_parse_mnist_file, path.name, str(data_dir)),
            outcome(theirs.download_and_parse_mnist_file, path.name, str(data_dir)),
        )


# Differences, as the docstring lists them.


def test_public_mirror_is_verified(
    server: DatasetServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "datasets_url", f"{server.url}/fashion-mnist")
    np.testing.assert_array_equal(ours.test_images(), FASHION.expected("test")[0])
    file = "t10k-labels-idx1-ubyte.gz"
    server.files[f"/fashion-mnist/{file}"] = MNIST.files[file]
    with pytest.raises(fastidx.datasets.DownloadError, match="not the file"):
        ours.test_labels()
    assert not (tmp_path / file).exists()


def test_forced_download_repairs(server: DatasetServer, tmp_path: Path) -> None:
    file = "t10k-labels-idx1-ubyte.gz"
    ours.test_labels()
    ours.download_file(file, force=True)
    assert server.counts() == {f"/mnist/{file}": 1}
    (tmp_path / file).write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="fetched again"):
        ours.download_file(file, force=True)
    assert (tmp_path / file).read_bytes() == MNIST.files[file]


def test_offline(server: DatasetServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTIDX_OFFLINE", "1")
    with pytest.raises(MissingFileError, match=r"train-labels-idx1-ubyte\.gz"):
        ours.train_labels()
    monkeypatch.setattr(ours, "datasets_url", f"{server.url}/own/")
    with pytest.raises(MissingFileError, match=r"put there what is at .*/own/numbers"):
        ours.download_file("numbers", str(tmp_path))
    assert server.requests == []


def test_content_decides(tmp_path: Path) -> None:
    array = np.array(7, np.uint8)
    (tmp_path / "plain.gz").write_bytes(idx_bytes(array))
    (tmp_path / "gzipped").write_bytes(gzip.compress(idx_bytes(array)))
    for name in ("plain.gz", "gzipped"):
        assert ours.download_and_parse_mnist_file(name, str(tmp_path)) == 7


def test_errors_say_more() -> None:
    with pytest.raises(ours.IdxDecodeError, match="expected an IDX header of 8 bytes") as info:
        ours.parse_idx(io.BytesIO(b"\0\0\x08\x01\0\0"))
    assert isinstance(info.value, fastidx.TruncatedError)
    assert isinstance(info.value, struct.error)
