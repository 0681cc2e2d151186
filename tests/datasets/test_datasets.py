"""Data sets by name: what load() returns, from files that are here already."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from datasets_samples import REAL, Sample

import fastidx
from fastidx import IdxError, datasets
from fastidx.datasets import registry

MNIST = Sample("mnist")
QMNIST = Sample("qmnist")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTIDX_OFFLINE", "1")
    monkeypatch.delenv("FASTIDX_MIRROR", raising=False)
    monkeypatch.setenv("FASTIDX_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def place(sample: Sample, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Register a sample and put its files where downloads would go."""
    monkeypatch.setitem(registry.DATASETS, sample.name, sample.dataset)
    target = folder / sample.dataset.folder
    target.mkdir(exist_ok=True)
    for name, data in sample.files.items():
        (target / name).write_bytes(data)


def test_list() -> None:
    assert datasets.names() == [
        *("mnist", "fashion-mnist", "kmnist", "qmnist"),
        *("emnist-byclass", "emnist-bymerge", "emnist-balanced"),
        *("emnist-letters", "emnist-digits", "emnist-mnist"),
    ]


@pytest.mark.parametrize(
    "name", ["fashion-mnist", "FashionMNIST", "Fashion_MNIST", "fashion mnist"]
)
def test_names_are_found_however_they_are_spelled(name: str) -> None:
    assert datasets.classes(name)[0] == "T-shirt/top"


@pytest.mark.parametrize("name", ["cifar10", "emnist", "", "mnist2"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected one of mnist, .*emnist-letters.*found") as info:
        datasets.load(name)
    assert repr(name) in str(info.value)


def test_unknown_split() -> None:
    with pytest.raises(ValueError, match="expected one of train, test for mnist, found 'val'"):
        datasets.load("mnist", "val")


def test_name_that_is_no_text() -> None:
    with pytest.raises(TypeError, match="expected the name of a data set, found int"):
        datasets.load(3)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        *(("mnist", 10), ("fashion-mnist", 10), ("kmnist", 10), ("qmnist", 10)),
        *(("emnist-byclass", 62), ("emnist-bymerge", 47), ("emnist-balanced", 47)),
        *(("emnist-letters", 1 + 26), ("emnist-digits", 10), ("emnist-mnist", 10)),
    ],
)
def test_classes(name: str, count: int) -> None:
    classes = datasets.classes(name)
    assert len(classes) == len(set(classes)) == count


def test_classes_by_label() -> None:
    assert datasets.classes("emnist-letters")[1] == "A"
    assert datasets.classes("emnist-letters")[26] == "Z"
    assert datasets.classes("emnist-byclass")[36] == "a"
    assert datasets.classes("emnist-balanced")[46] == "t"


@pytest.mark.parametrize("name", list(REAL))
def test_registry_is_complete(name: str) -> None:
    dataset = REAL[name]
    assert {"train", "test"} <= set(datasets.splits(name))
    for split in dataset.splits.values():
        assert split.images.shape[1:] == (28, 28)
        assert split.images.shape[0] == split.labels.shape[0]
        for part in (split.images, split.labels):
            assert part.file.md5 is not None and len(part.file.md5) == 32
            assert part.file.sha256 is None or len(part.file.sha256) == 64
    for mirror in dataset.mirrors:
        assert mirror.startswith(("http://", "https://")) and mirror.endswith("/")


@pytest.mark.parametrize("name", list(REAL))
def test_every_split(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sample = Sample(name)
    place(sample, monkeypatch, tmp_path)
    for split in datasets.splits(name):
        images, labels = datasets.load(name, split)
        expected_images, expected_labels = sample.expected(split)
        np.testing.assert_array_equal(images, expected_images)
        np.testing.assert_array_equal(labels, expected_labels)
        assert images.dtype == np.uint8 and images.flags.c_contiguous and images.flags.writeable
        assert labels.dtype == expected_labels.dtype and labels.flags.writeable


def test_qmnist_ranges_are_those_of_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place(QMNIST, monkeypatch, tmp_path)
    both = datasets.load("qmnist", ("test10k", "test50k"))
    assert [images.shape for images, _ in both] == [(10, 28, 28), (50, 28, 28)]
    assert [labels.shape for _, labels in both] == [(10, 8), (50, 8)]
    images, labels = datasets.load("qmnist", "test")
    np.testing.assert_array_equal(np.concatenate([both[0][0], both[1][0]]), images)
    np.testing.assert_array_equal(np.concatenate([both[0][1], both[1][1]]), labels)
    assert labels.dtype == np.int32


def test_emnist_is_upright(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sample = Sample("emnist-digits")
    place(sample, monkeypatch, tmp_path)
    stored = fastidx.load(sample.plain("emnist-digits-train-images-idx3-ubyte.gz"))
    images, _ = datasets.load("emnist-digits")
    np.testing.assert_array_equal(images[7], stored[7].T)
    assert not np.array_equal(images[7], stored[7])


def test_emnist_is_not_unpacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place(Sample("emnist-letters"), monkeypatch, tmp_path)
    datasets.load("emnist/letters")
    assert [path.name for path in (tmp_path / "emnist").iterdir()] == ["gzip.zip"]


def test_several_splits_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place(MNIST, monkeypatch, tmp_path)
    (x, y), (u, v) = datasets.load("mnist", ("train", "test"), threads=4)
    np.testing.assert_array_equal(x, MNIST.expected("train")[0])
    np.testing.assert_array_equal(y, MNIST.expected("train")[1])
    np.testing.assert_array_equal(u, MNIST.expected("test")[0])
    np.testing.assert_array_equal(v, MNIST.expected("test")[1])
    assert datasets.load("mnist", []) == ()


def test_files_are_decoded_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import threading

    place(MNIST, monkeypatch, tmp_path)
    # Passes only if all four are in load() together.
    barrier = threading.Barrier(4)
    real = fastidx.reading.load.load

    def load(source: object) -> object:
        barrier.wait(timeout=20)
        return real(source)  # type: ignore[call-overload]

    monkeypatch.setattr(fastidx.reading.load, "load", load)
    datasets.load("mnist", ("train", "test"), threads=4)


def test_flatten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place(MNIST, monkeypatch, tmp_path)
    images, labels = datasets.load("mnist", "test", flatten=True)
    np.testing.assert_array_equal(images, MNIST.expected("test")[0].reshape(10, 784))
    assert labels.shape == (10,)


def test_division_as_in_tutorials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place(MNIST, monkeypatch, tmp_path)
    raw, labels = MNIST.expected("train")
    images, unscaled = datasets.load("mnist", scale=Fraction(1, 255))
    assert images.dtype == np.float64
    np.testing.assert_array_equal(images, raw / 255.0)
    np.testing.assert_array_equal(unscaled, labels)
    images, _ = datasets.load("mnist", dtype="float32", scale=Fraction(1, 255))
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, (raw / 255.0).astype(np.float32))


def test_scale_and_offset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place(MNIST, monkeypatch, tmp_path)
    raw = MNIST.expected("train")[0]
    images, _ = datasets.load("mnist", dtype=np.float16, scale=2 / 255, offset=-1)
    np.testing.assert_array_equal(images, (raw * (2 / 255) + -1.0).astype(np.float16))
    images, _ = datasets.load("mnist", dtype=np.int8)
    np.testing.assert_array_equal(images, raw.astype(np.int8))


def test_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place(MNIST, monkeypatch, tmp_path)
    images, _ = datasets.load("mnist", lut=255 - np.arange(256, dtype=np.uint8))
    np.testing.assert_array_equal(images, 255 - MNIST.expected("train")[0])
    with pytest.raises(ValueError, match=r"256 numbers .*, found shape \(3,\)"):
        datasets.load("mnist", lut=[1, 2, 3])


def test_value_that_does_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place(MNIST, monkeypatch, tmp_path)
    with pytest.raises(
        IdxError, match=r"MNIST train: .*uint8 can hold .*, found 47, which becomes 470"
    ):
        datasets.load("mnist", dtype=np.uint8, scale=10)


def test_cache_that_is_none_of_ours() -> None:
    with pytest.raises(ValueError, match="cache: expected 'npy' or None, found 'pickle'"):
        datasets.load("mnist", cache="pickle")  # type: ignore[call-overload]


def test_import_brings_no_dependencies() -> None:
    code = (
        "import sys, fastidx; assert 'fastidx.datasets' not in sys.modules\n"
        "import fastidx.datasets\n"
        "heavy = {'pooch', 'requests', 'tqdm', 'filelock', 'urllib3', 'concurrent.futures'}\n"
        "print(*heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_real_mnist(data_dir: Path) -> None:
    (x, y), (u, v) = datasets.load("mnist", ("train", "test"), root=data_dir)
    assert [array.shape for array in (x, y, u, v)] == [
        *((60000, 28, 28), (60000,), (10000, 28, 28), (10000,))
    ]
    np.testing.assert_array_equal(x, fastidx.load(data_dir / "train-images-idx3-ubyte.gz"))
    np.testing.assert_array_equal(v, fastidx.load(data_dir / "t10k-labels-idx1-ubyte.gz"))
    assert y[:5].tolist() == [5, 0, 4, 1, 9]
    images, _ = datasets.load("mnist", "test", root=data_dir, scale=Fraction(1, 255), flatten=True)
    np.testing.assert_array_equal(images, u.reshape(10000, 784) / 255.0)


def test_real_qmnist_labels_are_recognised(data_dir: Path) -> None:
    for name in ("qmnist-train-labels-idx2-int.gz", "xnist-labels-idx2-int.xz"):
        assert str(datasets.identify(data_dir / name)) == f"QMNIST's {name}"
    with pytest.raises(datasets.MissingFileError) as info:
        datasets.load("qmnist", "train", root=data_dir)
    assert "qmnist-train-images-idx3-ubyte.gz" in str(info.value)
    assert "train-labels" not in str(info.value)


def test_real_files_are_recognised_unpacked(data_dir: Path, tmp_path: Path) -> None:
    paths = [*data_dir.glob("*.gz"), *data_dir.glob("*.xz")]
    assert len(paths) == 6
    for path in paths:
        opened = gzip.open(path) if path.suffix == ".gz" else lzma.open(path)
        with opened as packed, (tmp_path / path.stem).open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        title = "QMNIST" if "nist" in path.name else "MNIST"
        assert str(datasets.identify(tmp_path / path.stem)) == f"{title}'s {path.stem}"
    images, labels = datasets.load("mnist", root=tmp_path)
    assert len(images) == len(labels) == 60000
    with pytest.raises(datasets.MissingFileError, match="it is MNIST's train-images-idx3-ubyte"):
        datasets.load("fashion-mnist", root=tmp_path)
