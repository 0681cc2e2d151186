"""What is measured: the files, and who loads which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import contenders as c
from .contenders import Array, Contender, Source
from .files import Files


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
        (
            *(c.FASTIDX, *c.FASTIDX_PARALLEL, c.LIBDEFLATE, c.RAPIDGZIP, *c.RAPIDGZIP_PARALLEL),
            *(*c.PACKAGES, c.GZIP, c.IDX2NUMPY, c.STRUCT, c.NPY),
        ),
    ),
    Suite(
        "big",
        "About 1 GB of synthetic digits, gzip -6, from a path",
        lambda files: files.big,
        (c.FASTIDX, *c.FASTIDX_PARALLEL, c.LIBDEFLATE, *c.RAPIDGZIP_PARALLEL),
    ),
    Suite(
        "giant-block",
        "Training images as one single DEFLATE block, from a path",
        lambda files: files.giant_block,
        (c.FASTIDX, c.FASTIDX_2, c.LIBDEFLATE, c.RAPIDGZIP_2),
    ),
    Suite(
        "bgzf",
        "Training images, BGZF, from a path",
        lambda files: files.bgzf,
        (c.FASTIDX, *c.FASTIDX_PARALLEL, c.RAPIDGZIP_2, c.GZIP),
    ),
    Suite(
        "float32",
        "Training images divided by 255 to float32, from a path",
        lambda files: files.images,
        (c.FASTIDX, c.FASTIDX_2, *c.FASTIDX_FLOAT32, c.GZIP, c.GZIP_FLOAT32),
    ),
    Suite(
        "float64",
        "Training images divided by 255 to float64, from a path",
        lambda files: files.images,
        (c.FASTIDX, c.FASTIDX_2, *c.FASTIDX_FLOAT64, c.GZIP, c.GZIP_FLOAT64),
    ),
    Suite(
        "images-bytes",
        "Training images, gzip, from bytes in memory",
        lambda files: files.images.read_bytes(),
        (c.FASTIDX, c.FASTIDX_2, c.LIBDEFLATE, *c.PACKAGES, c.GZIP),
    ),
    Suite(
        "labels-i32",
        "QMNIST's training labels, gzip, from a path",
        lambda files: files.wide_labels,
        (
            *(c.FASTIDX, c.FASTIDX_2, c.FASTIDX_INFLATE, c.LIBDEFLATE_INFLATE, c.LIBDEFLATE),
            *(*c.PACKAGES, c.GZIP, c.IDX2NUMPY, c.STRUCT),
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


def verify(contender: Contender, result: Array, reference: Array) -> None:
    """Raise unless a contender's array holds the reference's values, converted, in its shape.

    A peer may return a view in the file's byte order, or a read-only array: that is its gain.
    """
    expected = contender.convert(reference)
    same = result.shape == expected.shape and np.array_equal(result, expected)
    if not same or (contender.own and result.dtype != expected.dtype):
        raise AssertionError(
            f"{contender.name}: expected {expected.dtype} {expected.shape} as the reference loads "
            f"it, found {result.dtype} {result.shape}"
            + (" with other values" if result.shape == expected.shape else "")
        )
