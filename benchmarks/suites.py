"""What is measured: the files, and who loads which."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastidx import reference, synthetic

from . import contenders as c
from .contenders import Array, Contender, Source

_QMNIST_NAME = "qmnist-train-labels-idx2-int.gz"


@dataclass(frozen=True)
class Files:
    """The files to load, real or synthetic."""

    images: Path
    labels: Path
    wide_labels: Path
    plain: Path
    origin: str


@dataclass(frozen=True)
class Suite:
    """One file and the contenders for it, fastidx first."""

    name: str
    title: str
    source: Callable[[Files], Source]
    contenders: tuple[Contender, ...]


SUITES = (
    Suite(
        "images",
        "Training images, gzip, from a path",
        lambda files: files.images,
        (c.FASTIDX, c.LIBDEFLATE, *c.PACKAGES, c.GZIP, c.IDX2NUMPY, c.STRUCT, c.NPY),
    ),
    Suite(
        "images-bytes",
        "Training images, gzip, from bytes in memory",
        lambda files: files.images.read_bytes(),
        (c.FASTIDX, c.LIBDEFLATE, *c.PACKAGES, c.GZIP),
    ),
    Suite(
        "labels-i32",
        "QMNIST's training labels, gzip, from a path",
        lambda files: files.wide_labels,
        (
            *(c.FASTIDX, c.FASTIDX_INFLATE, c.LIBDEFLATE_INFLATE, c.LIBDEFLATE, *c.PACKAGES),
            *(c.GZIP, c.IDX2NUMPY, c.STRUCT),
        ),
    ),
    Suite(
        "labels",
        "Training labels, gzip, from a path",
        lambda files: files.labels,
        (c.FASTIDX, c.LIBDEFLATE, *c.PACKAGES, c.GZIP, c.IDX2NUMPY, c.STRUCT),
    ),
    Suite(
        "plain",
        "Training images, plain, from a path",
        lambda files: files.plain,
        (c.FASTIDX, c.FROMFILE, c.PLAIN, c.NPY),
    ),
)


def prepare(folder: Path, *, n: int = 60000) -> Files:
    """Find the real files, or write `n` synthetic digits; add the plain twins to `folder`.

    Parameters
    ----------
    folder : Path
        An empty folder for what has to be written.
    n : int
        Size of the synthetic set. Real files are always taken whole.
    """
    data = os.environ.get("FASTIDX_TEST_DATA")
    if data:
        origin = "the real MNIST and QMNIST files"
        names = (synthetic.IMAGES_NAME, synthetic.LABELS_NAME, _QMNIST_NAME)
        images, labels, wide_labels = (_linked(Path(data, name), folder) for name in names)
    else:
        origin = f"synthetic digits (n={n}) in place of MNIST"
        images, labels = synthetic.write_set(folder, n)
        wide_labels = folder / _QMNIST_NAME
        reference.save(wide_labels, _wide_labels(reference.load_frombuffer(labels)))
    plain = folder / "plain-images-idx3-ubyte"
    plain.write_bytes(gzip.decompress(images.read_bytes()))
    array = reference.load_frombuffer(plain)
    for path in (images, plain):
        np.save(c.npy_twin(path), array)
    return Files(images, labels, wide_labels, plain, origin)


def _linked(path: Path, folder: Path) -> Path:
    """Link a real file into `folder`, which takes the twins; the data's own stays as it is."""
    link = folder / path.name
    link.symlink_to(path.resolve(strict=True))
    return link


def _wide_labels(labels: Array) -> Array:
    """Imitate QMNIST's columns: label, partition, writer, index, class code, and three more."""
    wide = np.zeros((len(labels), 8), np.int32)
    index = np.arange(len(labels))
    wide[:, 0] = labels
    wide[:, 1] = index % 4
    wide[:, 2] = index // 117 * 7 % 3600
    wide[:, 3] = index * 61 % 500
    wide[:, 4] = 30 + labels
    wide[:, 5] = index * 40503 % 400000
    return wide


def verify(contender: Contender, result: Array, expected: Array) -> None:
    """Raise unless a contender's array holds the reference's values in its shape.

    A peer may return a view in the file's byte order, or a read-only array: that is its gain.
    """
    same = result.shape == expected.shape and np.array_equal(result, expected)
    if not same or (contender is c.FASTIDX and result.dtype != expected.dtype):
        raise AssertionError(
            f"{contender.name}: expected {expected.dtype} {expected.shape} as the reference loads "
            f"it, found {result.dtype} {result.shape}"
            + (" with other values" if result.shape == expected.shape else "")
        )
