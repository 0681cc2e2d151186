"""What is measured: the files, and who loads which or what part of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastidx import reference

from . import compat, parts
from . import contenders as c
from .contenders import Array, Contender
from .files import Files


@dataclass(frozen=True)
class Suite:
    """One source and the contenders for it, fastidx first.

    Parameters
    ----------
    name, title : str
    source : callable
        From the files to what the contenders load from; closed afterwards, if it can be.
    contenders : tuple of Contender
    expected : callable
        From the source to what each contender must return, before its ``convert``.
    table : str, optional
        Of a suite of two contenders: the table in which it is one line among others.
    """

    name: str
    title: str
    source: Callable[[Files], Any]
    contenders: tuple[Contender, ...]
    expected: Callable[[Any], Any] = reference.load_frombuffer
    table: str | None = None


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
    Suite(
        "indexed",
        "Training images, gzip, with an index, checkpoints 1 MiB apart",
        lambda files: parts.Indexed(files.images, files.folder),
        parts.WHOLE,
        parts.expected_whole,
    ),
    Suite(
        "items",
        f"{parts.NUMBER_OF_ITEMS} random items of the training images, checkpoints 1 MiB apart",
        lambda files: parts.Indexed(files.images, files.folder),
        parts.ITEMS,
        parts.expected_items,
    ),
    Suite(
        "items-big",
        f"{parts.NUMBER_OF_ITEMS} random items of about 1 GB, checkpoints 1 MiB apart",
        lambda files: parts.Indexed(files.big, files.folder),
        parts.ITEMS,
        parts.expected_items,
    ),
    Suite(
        "batches",
        f"Training images, gzip, in batches of {parts.BATCH}, from a path",
        lambda files: files.images,
        parts.BATCHES,
        parts.expected_batches,
    ),
    Suite(
        "first-batch",
        f"The first {parts.BATCH} images of about 1 GB, from a path",
        lambda files: files.big,
        parts.FIRST_BATCH,
        parts.expected_first_batch,
    ),
    Suite(
        "index",
        "An index of the training images, checkpoints 1 MiB apart, beside a load",
        lambda files: files.images,
        parts.INDEX,
        parts.expected_size,
    ),
    *(
        Suite(call.name, call.title, compat.Folder, call.contenders, call.expected, compat.TABLE)
        for call in compat.CALLS
    ),
)


def verify(contender: Contender, result: Any, expected: Any) -> None:
    """Raise unless a contender's result holds the values expected, converted, in their shape.

    A peer may return a view in the file's byte order, or a read-only array: that is its gain.
    """
    if isinstance(expected, tuple):
        for one, other in zip(result, expected, strict=True):
            verify(contender, one, other)
        return
    if isinstance(expected, list):
        if result != expected:
            raise AssertionError(f"{contender.name}: found another list than expected")
        return
    _verify_array(contender, np.asarray(result), contender.convert(np.asarray(expected)))


def _verify_array(contender: Contender, result: Array, expected: Array) -> None:
    same = result.shape == expected.shape and np.array_equal(result, expected)
    if not same or (contender.own and result.dtype != expected.dtype):
        raise AssertionError(
            f"{contender.name}: expected {expected.dtype} {expected.shape} as the reference loads "
            f"it, found {result.dtype} {result.shape}"
            + (" with other values" if result.shape == expected.shape else "")
        )
