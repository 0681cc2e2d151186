"""compat.python_mnist against python-mnist: the same folders, good and bad, to both."""

from __future__ import annotations

import array
import gc
import gzip
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from compat_peers import assert_same, idx_bytes, outcome, peer

from fastidx import HeaderError, IdxError, TruncatedError
from fastidx.compat import python_mnist as ours

RNG = np.random.default_rng(7)
COUNTS = {"train": 30, "t10k": 11}
IMAGES = {name: RNG.integers(0, 256, (n, 5, 4), np.uint8) for name, n in COUNTS.items()}
LABELS = {name: RNG.integers(0, 10, n, np.uint8) for name, n in COUNTS.items()}

MODES = ("vanilla", "randomly_binarized", "rounded_binarized")
RETURN_TYPES = ("lists", "numpy")


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    return peer("python-mnist", "mnist/loader.py")


def write(
    folder: Path, template: str = "{}-{}-idx{}-ubyte", suffixes: tuple[str, ...] = ("",)
) -> str:
    for name in COUNTS:
        for kind, ndim, arrays in (("images", 3, IMAGES), ("labels", 1, LABELS)):
            data = idx_bytes(arrays[name])
            for suffix in suffixes:
                stored = gzip.compress(data) if suffix else data
                (folder / (template.format(name, kind, ndim) + suffix)).write_bytes(stored)
    return str(folder)


def seeded(function: Callable[[], Any]) -> Any:
    random.seed(3)
    np.random.seed(3)
    result = function()
    return result, random.random(), np.random.random()


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("return_type", RETURN_TYPES)
def test_loading(theirs: ModuleType, tmp_path: Path, mode: str, return_type: str, gz: bool) -> None:
    folder = write(tmp_path, suffixes=(".gz",) if gz else ("",))

    def load(module: ModuleType) -> Any:
        data = module.MNIST(folder, mode, return_type, gz)
        return (
            *(data.load_training(), data.load_testing()),
            *(data.train_images, data.train_labels, data.test_images, data.test_labels),
        )

    assert_same(outcome(seeded, lambda: load(ours)), outcome(seeded, lambda: load(theirs)))


def test_random_bits_are_those_of_pythons_generator(theirs: ModuleType, tmp_path: Path) -> None:
    """Also across the places where the generator makes new state, and with a Gaussian in hand."""
    images = RNG.integers(0, 256, (300, 9, 7), np.uint8)
    folder = write(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(images))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(images[:, 0, 0]))
    results = []
    for module in (ours, theirs):
        random.seed(11)
        random.gauss(0, 1)
        loaded = module.MNIST(folder, "randomly_binarized").load_training()
        results.append((loaded, random.gauss(0, 1), random.getstate()))
    assert results[0] == results[1]


@pytest.mark.parametrize("size", [1, 4, 7, 29])
@pytest.mark.parametrize("return_type", RETURN_TYPES)
def test_batches(theirs: ModuleType, tmp_path: Path, size: int, return_type: str) -> None:
    folder = write(tmp_path)

    def batches(module: ModuleType) -> Any:
        data = module.MNIST(folder, return_type=return_type)
        found = [(*batch, len(data.train_labels)) for batch in data.load_training_in_batches(size)]
        return tuple(batch for batch in found if batch[2]), data.dataset_size

    assert_same(outcome(batches, ours), outcome(batches, theirs))


@pytest.mark.parametrize("size", ["4", 4.0, None, True, np.int64(4)])
def test_batch_size_that_is_no_int(theirs: ModuleType, tmp_path: Path, size: Any) -> None:
    folder = write(tmp_path)

    def first(module: ModuleType) -> Any:
        return next(module.MNIST(folder).load_training_in_batches(size))

    assert_same(outcome(first, ours), outcome(first, theirs))


@pytest.mark.parametrize("batch", [None, [0, 4], [5, 7], [20, 10], [0, 0], (0, 4), [1], 3])
def test_load(theirs: ModuleType, tmp_path: Path, batch: Any) -> None:
    folder = write(tmp_path)
    paths = f"{folder}/train-images-idx3-ubyte", f"{folder}/train-labels-idx1-ubyte"

    def load(module: ModuleType) -> Any:
        return module.MNIST(return_type="numpy").load(*paths, batch=batch)

    assert_same(outcome(load, ours), outcome(load, theirs))


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("return_type", RETURN_TYPES)
def test_emnist(theirs: ModuleType, tmp_path: Path, return_type: str, gz: bool) -> None:
    folder = write(tmp_path, "emnist-letters-{}-{}-idx{}-ubyte", (".gz", ""))
    for path in tmp_path.glob("*t10k*"):
        path.rename(path.with_name(path.name.replace("t10k", "test")))

    def load(module: ModuleType) -> Any:
        data = module.MNIST(folder, return_type=return_type)
        data.select_emnist("letters")
        data.gz = gz
        return data.load_training(), data.load_testing(), data.emnistRotate

    assert_same(outcome(load, ours), outcome(load, theirs))


def test_names_of_emnist(theirs: ModuleType) -> None:
    names: list[Any] = []
    for module in (ours, theirs):
        data = module.MNIST()
        data.select_emnist()
        train = data.train_img_fname, data.train_lbl_fname
        names.append((train, data.test_img_fname, data.test_lbl_fname, data.gz))
    assert names[0] == names[1]


def test_attributes(theirs: ModuleType) -> None:
    one, other = vars(ours.MNIST("data")), vars(theirs.MNIST("data"))
    assert {name: one[name] for name in other} == other


@pytest.mark.parametrize("name", ["mode", "return_type"])
def test_choices_are_read_only(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(ours.MNIST(), name, "vanilla")


@pytest.mark.parametrize("choice", [{"mode": "grey"}, {"return_type": "torch"}, {"mode": None}])
def test_unknown_choice(theirs: ModuleType, choice: Any) -> None:
    assert_same(outcome(lambda: ours.MNIST(**choice)), outcome(lambda: theirs.MNIST(**choice)))


@pytest.mark.parametrize("threshold", [0, 127, 200, 255])
@pytest.mark.parametrize("width", [1, 4, 7, 28])
def test_display(theirs: ModuleType, width: int, threshold: int) -> None:
    image: Any
    for image in (IMAGES["train"][0].reshape(-1), IMAGES["train"][1].reshape(-1).tolist(), []):
        shown = ours.MNIST.display(image, width, threshold)
        assert shown == theirs.MNIST.display(image, width, threshold)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("return_type", RETURN_TYPES)
def test_processing_lists(theirs: ModuleType, mode: str, return_type: str) -> None:
    def process(module: ModuleType) -> Any:
        data = module.MNIST(mode=mode, return_type=return_type)
        images = IMAGES["train"].reshape(30, -1).tolist()
        labels = array.array("B", [1, 2])
        return data.process_images(images), images, data.process_labels(labels)

    assert_same(outcome(seeded, lambda: process(ours)), outcome(seeded, lambda: process(theirs)))


def test_lists_are_changed_in_place() -> None:
    images = [[0, 255], [128, 127]]
    assert ours.MNIST(mode="rounded_binarized").process_images(images) is images
    assert images == [[0, 1], [1, 0]]


BAD: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "labels cut": ("train-labels-idx1-ubyte", lambda data: data[:7]),
    "images cut": ("train-images-idx3-ubyte", lambda data: data[:15]),
    "labels empty": ("train-labels-idx1-ubyte", lambda _: b""),
    "labels of images": ("train-labels-idx1-ubyte", lambda _: idx_bytes(IMAGES["train"])),
    "images of labels": ("train-images-idx3-ubyte", lambda _: idx_bytes(LABELS["train"]) * 2),
    "other type": ("train-images-idx3-ubyte", lambda _: idx_bytes(IMAGES["train"].astype("i2"))),
    "text": ("train-labels-idx1-ubyte", lambda _: b"<!DOCTYPE html><title>no</title>"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(theirs: ModuleType, tmp_path: Path, name: str) -> None:
    folder = write(tmp_path)
    file, damage = BAD[name]
    path = tmp_path / file
    path.write_bytes(damage(path.read_bytes()))

    def load(module: ModuleType) -> Any:
        return module.MNIST(folder).load_training()

    result = outcome(load, ours)
    assert_same(result, outcome(load, theirs))
    assert isinstance(result[1], IdxError)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-9], id="cut"),
        pytest.param(lambda data: data[:-6] + bytes(6), id="checksum"),
        pytest.param(lambda data: data[:40] + bytes([data[40] ^ 255]) + data[41:], id="deflate"),
        pytest.param(lambda data: b"PK" + data[2:], id="not gzip"),
        pytest.param(lambda data: data[:5], id="header"),
    ],
)
@pytest.mark.parametrize("file", ["train-labels-idx1-ubyte.gz", "train-images-idx3-ubyte.gz"])
def test_bad_gzip_files(theirs: ModuleType, tmp_path: Path, file: str, damage: Any) -> None:
    folder = write(tmp_path, suffixes=(".gz",))
    path = tmp_path / file
    path.write_bytes(damage(path.read_bytes()))

    def load(module: ModuleType) -> Any:
        return module.MNIST(folder, gz=True).load_training()

    assert_same(outcome(load, ours), outcome(load, theirs))


def test_missing_files(theirs: ModuleType, tmp_path: Path) -> None:
    assert_same(
        outcome(ours.MNIST(str(tmp_path)).load_testing),
        outcome(theirs.MNIST(str(tmp_path)).load_testing),
    )


@pytest.mark.slow
def test_real_files(theirs: ModuleType, data_dir: Path) -> None:
    def load(module: ModuleType) -> Any:
        return module.MNIST(str(data_dir), gz=True).load_testing()

    assert_same(outcome(load, ours), outcome(load, theirs))


# Differences, as the docstring lists them.


def test_batches_end_with_the_data(tmp_path: Path) -> None:
    data = ours.MNIST(write(tmp_path))
    assert [len(labels) for _, labels in data.load_training_in_batches(10)] == [10, 10, 10]
    ((images, labels),) = data.load_training_in_batches(1000)
    assert len(images) == len(labels) == 30 and all(len(image) == 20 for image in images)
    with pytest.raises(ValueError, match="batch_size: expected an int above 0, found 0"):
        next(data.load_training_in_batches(0))


def test_truth_about_damage(tmp_path: Path) -> None:
    data = ours.MNIST(write(tmp_path))
    path = tmp_path / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(TruncatedError, match="29 of 30 items complete"):
        data.load_training()
    path.write_bytes(idx_bytes(IMAGES["t10k"]))
    with pytest.raises(IdxError, match="one label for each of 11 images, found 30 labels"):
        data.load_training()


def test_plain_file_under_a_gzipped_name(tmp_path: Path) -> None:
    folder = write(tmp_path)
    for path in tmp_path.iterdir():
        path.rename(f"{path}.gz")
    assert ours.MNIST(folder, gz=True).load_testing()[1] == array.array("B", LABELS["t10k"])


def test_exceptions_are_named() -> None:
    assert issubclass(ours.MNISTException, IdxError)
    with pytest.raises(ValueError, match=r"mode: expected one of vanilla, .*found 'grey'"):
        ours.MNIST(mode="grey")


def test_opener_can_be_overridden(tmp_path: Path) -> None:
    class Elsewhere(ours.MNIST):
        def opener(self, path_fn: str, *args: Any, **kwargs: Any) -> Any:
            return super().opener(path_fn.replace("nowhere", str(tmp_path)), *args, **kwargs)

    write(tmp_path)
    assert len(Elsewhere("nowhere").load_testing()[0]) == 11


@pytest.mark.parametrize("enabled", [True, False])
def test_collector_is_left_as_it_was(tmp_path: Path, enabled: bool) -> None:
    folder = write(tmp_path)
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        ours.MNIST(folder).load_testing()
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_header_of_text_is_explained(tmp_path: Path) -> None:
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(HeaderError, match="found an HTML page"):
        ours.MNIST(str(tmp_path)).load_testing()
