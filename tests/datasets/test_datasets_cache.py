"""``cache="npy"``: decoded arrays beside the downloads, used only while they are right."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets_samples import Sample

import fastidx
from fastidx import datasets
from fastidx.datasets import registry

MNIST = Sample("mnist")
LETTERS = Sample("emnist-letters")
IMAGES, LABELS = list(MNIST.files)[:2]
IMAGES_NPY, LABELS_NPY = "train-images-idx3-ubyte.npy", "train-labels-idx1-ubyte.npy"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the files of the sample are and the arrays go."""
    monkeypatch.setenv("FASTIDX_OFFLINE", "1")
    monkeypatch.setenv("FASTIDX_DATA_DIR", str(tmp_path))
    for sample in (MNIST, LETTERS):
        monkeypatch.setitem(registry.DATASETS, sample.name, sample.dataset)
        (tmp_path / sample.dataset.folder).mkdir()
        for name, data in sample.files.items():
            (tmp_path / sample.dataset.folder / name).write_bytes(data)
    return tmp_path / "mnist"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What load() was called with since."""
    calls: list[Any] = []
    real = fastidx.reading.load.load

    def load(source: Any) -> Any:
        calls.append(source)
        return real(source)

    monkeypatch.setattr(fastidx.reading.load, "load", load)
    return calls


def load() -> tuple[Any, Any]:
    images, labels = datasets.load("mnist", cache="npy")
    np.testing.assert_array_equal(images, MNIST.expected("train")[0])
    np.testing.assert_array_equal(labels, MNIST.expected("train")[1])
    return images, labels


def mapped_from(array: Any) -> str | None:
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return None if array is None else str(array.filename)


def test_off_by_default(folder: Path) -> None:
    datasets.load("mnist")
    assert not list(folder.glob("*.npy"))


def test_second_load_maps_the_first(folder: Path, decoded: list[Any]) -> None:
    first, _ = load()
    assert len(decoded) == 2 and mapped_from(first) is None
    second, labels = load()
    assert len(decoded) == 2
    assert mapped_from(second) == str(folder / IMAGES_NPY)
    assert mapped_from(labels) == str(folder / LABELS_NPY)
    assert type(second) is np.ndarray and second.dtype == np.uint8
    assert second.ctypes.data % 64 == 0
    assert sorted(p.name for p in folder.glob("*.npy")) == [IMAGES_NPY, LABELS_NPY]
    assert not list(folder.glob("*.tmp"))


def test_numpy_reads_the_files(folder: Path) -> None:
    load()
    np.testing.assert_array_equal(np.load(folder / IMAGES_NPY), MNIST.expected("train")[0])


def test_what_is_written_stays_in_memory(folder: Path) -> None:
    load()
    before = (folder / IMAGES_NPY).read_bytes()
    images, _ = load()
    images[:] = 0
    assert (folder / IMAGES_NPY).read_bytes() == before
    load()


def test_casts_and_upright_images(decoded: list[Any]) -> None:
    expected = LETTERS.expected("test")[0]
    for _ in range(2):
        images, _ = datasets.load("emnist-letters", "test", cache="npy", dtype="f4", flatten=True)
        np.testing.assert_array_equal(images, expected.reshape(21, 784).astype("f4"))
    assert len(decoded) == 2


def test_source_that_was_touched(folder: Path, decoded: list[Any]) -> None:
    load()
    os.utime(folder / IMAGES, ns=(0, 0))
    load()
    assert len(decoded) == 3
    assert mapped_from(load()[0])
    assert len(decoded) == 3


def test_source_that_is_another_one(folder: Path) -> None:
    """The array of other data must not be served for the file that is there now."""
    other = Sample("mnist", seed=1)
    load()
    registry.DATASETS["mnist"] = other.dataset  # the fixture puts it back
    for name, data in other.files.items():
        (folder / name).write_bytes(data)
    images, _ = datasets.load("mnist", cache="npy")
    np.testing.assert_array_equal(images, other.expected("train")[0])


def test_source_that_is_gone(folder: Path) -> None:
    load()
    (folder / IMAGES).unlink()
    with pytest.raises(datasets.MissingFileError):
        datasets.load("mnist", cache="npy")


@pytest.mark.parametrize("keep", [0, 5, 60, 1000, -1])
def test_file_that_was_cut(keep: int, folder: Path, decoded: list[Any]) -> None:
    load()
    data = (folder / IMAGES_NPY).read_bytes()
    (folder / IMAGES_NPY).write_bytes(data[:keep])
    load()
    assert len(decoded) == 3
    assert (folder / IMAGES_NPY).read_bytes() == data


def test_file_of_someone_else(folder: Path, decoded: list[Any]) -> None:
    for content in (np.zeros((60, 28, 28), np.uint8), np.array("{}"), np.array([[1]])):
        np.save(folder / IMAGES_NPY, content)
        load()
        (folder / LABELS_NPY).unlink()
    assert len(decoded) == 6
    (folder / IMAGES_NPY).write_bytes(b"something")
    load()


def test_folder_can_be_moved(folder: Path, decoded: list[Any], tmp_path: Path) -> None:
    load()
    shutil.move(folder, tmp_path / "elsewhere/mnist")
    datasets.load("mnist", cache="npy", root=tmp_path / "elsewhere")
    assert len(decoded) == 2


def test_beside_the_downloads_even_if_the_source_is_elsewhere(
    folder: Path, decoded: list[Any], tmp_path: Path
) -> None:
    shutil.move(folder, tmp_path / "MNIST/raw")
    load()
    load()
    assert len(decoded) == 2
    assert sorted(path.name for path in folder.iterdir()) == [IMAGES_NPY, LABELS_NPY]
    assert not list((tmp_path / "MNIST/raw").glob("*.npy"))


@pytest.fixture
def no_room(folder: Path) -> Iterator[None]:
    """The folder is on a file system on which the arrays have no room."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a file system")
    aside = folder.with_name("aside")
    shutil.copytree(folder, aside)
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
    for name in (IMAGES, LABELS):
        shutil.copy(aside / name, folder)
    yield
    subprocess.run(["umount", folder], check=True)


@pytest.mark.usefixtures("no_room")
def test_no_room_is_a_warning(folder: Path) -> None:
    with pytest.warns(UserWarning, match="cannot be kept there .No space left") as caught:
        load()
    assert str(folder / IMAGES_NPY) in str(caught[0].message)
    assert caught[0].filename == __file__
    assert sorted(path.name for path in folder.iterdir()) == [IMAGES, LABELS, LABELS_NPY]
