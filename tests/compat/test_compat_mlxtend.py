"""compat.mlxtend against mlxtend: the same files, good and bad, to both."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from compat_peers import assert_same, idx_bytes, outcome, peer

from fastidx import HeaderError, TruncatedError
from fastidx.compat import mlxtend as ours

IMAGES = np.random.default_rng(5).integers(0, 256, (7, 28, 28), np.uint8)
LABELS = np.arange(7, dtype=np.uint8)


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    return peer("mlxtend", "mlxtend/data/local_mnist.py")


def write(folder: Path, images: bytes, labels: bytes) -> tuple[str, str]:
    paths = folder / "images", folder / "labels"
    paths[0].write_bytes(images)
    paths[1].write_bytes(labels)
    return str(paths[0]), str(paths[1])


CASES: dict[str, tuple[bytes, bytes]] = {
    "good": (idx_bytes(IMAGES), idx_bytes(LABELS)),
    "none": (idx_bytes(IMAGES[:0]), idx_bytes(LABELS[:0])),
    "more labels": (idx_bytes(IMAGES[:5]), idx_bytes(LABELS)),
    "more images": (idx_bytes(IMAGES), idx_bytes(LABELS[:5])),
    "images cut": (idx_bytes(IMAGES)[:-1], idx_bytes(LABELS)),
    "images longer": (idx_bytes(IMAGES) + b"\0", idx_bytes(LABELS)),
    "labels cut": (idx_bytes(IMAGES), idx_bytes(LABELS)[:-1]),
    "header of images cut": (idx_bytes(IMAGES)[:15], idx_bytes(LABELS)),
    "header of labels cut": (idx_bytes(IMAGES), idx_bytes(LABELS)[:7]),
    "empty": (b"", b""),
    "exchanged": (idx_bytes(LABELS), idx_bytes(IMAGES)),
    "text": (b"<!DOCTYPE html><title>no</title>", b"<!DOCTYPE html><title>no</title>"),
}


@pytest.mark.parametrize("name", CASES)
def test_files(theirs: ModuleType, tmp_path: Path, name: str) -> None:
    paths = write(tmp_path, *CASES[name])
    assert_same(outcome(ours.loadlocal_mnist, *paths), outcome(theirs.loadlocal_mnist, *paths))


def test_missing_files(theirs: ModuleType, tmp_path: Path) -> None:
    images, labels = write(tmp_path, *CASES["good"])
    for paths in ((images, "no/such/labels"), ("no/such/images", labels)):
        assert_same(outcome(ours.loadlocal_mnist, *paths), outcome(theirs.loadlocal_mnist, *paths))


def test_arrays_are_writable_as_theirs(theirs: ModuleType, tmp_path: Path) -> None:
    paths = write(tmp_path, *CASES["good"])
    for module in (ours, theirs):
        assert all(array.flags.writeable for array in module.loadlocal_mnist(*paths))


def test_keywords(tmp_path: Path) -> None:
    images, labels = write(tmp_path, *CASES["good"])
    result = ours.loadlocal_mnist(labels_path=labels, images_path=images)
    np.testing.assert_array_equal(result[1], LABELS)


def test_real_files(theirs: ModuleType, data_dir: Path, tmp_path: Path) -> None:
    names = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
    plain = write(tmp_path, *(gzip.decompress((data_dir / name).read_bytes()) for name in names))
    expected = theirs.loadlocal_mnist(*plain)
    for paths in (plain, tuple(str(data_dir / name) for name in names)):
        assert_same((ours.loadlocal_mnist(*paths), None), (expected, None))


# Differences, as the docstring lists them.


def test_images_of_any_size(tmp_path: Path) -> None:
    images: np.ndarray[Any, Any] = IMAGES[:, :20, :10]
    rows, _ = ours.loadlocal_mnist(*write(tmp_path, idx_bytes(images), idx_bytes(LABELS)))
    np.testing.assert_array_equal(rows, images.reshape(7, 200))


def test_other_files_are_refused(tmp_path: Path) -> None:
    wrong = b"\x01" + idx_bytes(LABELS)[1:]
    with pytest.raises(HeaderError):
        ours.loadlocal_mnist(*write(tmp_path, idx_bytes(IMAGES), wrong))
    with pytest.raises(TruncatedError, match="labels: holds 6 of 7 data bytes"):
        ours.loadlocal_mnist(*write(tmp_path, idx_bytes(IMAGES), idx_bytes(LABELS)[:-1]))
