"""Files for the tests of the reader: the same array in every form, and with many small blocks."""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

import fastidx
from fastidx import reference

Array = np.ndarray[Any, Any]

TYPES = ["u1", "i1", "i2", "i4", "f4", "f8"]


def small_blocks(content: bytes) -> bytes:
    """A gzip file of blocks of at most 127 symbols each, which end at any bit of a byte."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31, 1)
    return compressor.compress(content) + compressor.flush()


def members(content: bytes) -> bytes:
    """A gzip file of several members, cut wherever, with an empty one and padding between."""
    step = max(1, len(content) // 5)
    pieces = [content[begin : begin + step] for begin in range(0, len(content), step)]
    return b"".join(small_blocks(piece) for piece in [*pieces[:2], b"", *pieces[2:]]) + bytes(3)


def bgzf(content: bytes) -> bytes:
    """What save() writes as BGZF."""
    file = io.BytesIO()
    fastidx.save(file, reference.load(content), compression="bgzf")
    return file.getvalue()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "stored": lambda content: gzip.compress(content, 0),
    "small blocks": small_blocks,
    "members": members,
    "bgzf": bgzf,
}
try:
    fastidx.info(lzma.compress(reference.dumps(np.zeros(3, np.uint8))))
except fastidx.IdxError:
    pass
else:
    FORMS["xz"] = lzma.compress


def form(array: Any, name: str) -> bytes:
    """The file of an array in one of the forms."""
    return FORMS[name](reference.dumps(np.asarray(array)))


def compressible(shape: tuple[int, ...], dtype: str = "u1", seed: int = 5) -> Array:
    """An array of small numbers that all differ from their neighbours, of all signs."""
    random = np.random.default_rng(seed)
    return np.asarray(random.integers(0, 12, shape) * 7 - 30 * (dtype != "u1"), dtype)


def outcome(function: Callable[[], Any]) -> Any:
    """What a call returns, or its exception."""
    try:
        return function()
    except Exception as error:
        return error


def assert_same(found: Any, expected: Any) -> None:
    """The same result in value, dtype, shape and kind, or an exception of the same type."""
    if isinstance(expected, Exception):
        assert isinstance(found, type(expected)), repr(found)
    else:
        assert isinstance(found, np.generic) == isinstance(expected, np.generic), repr(found)
        np.testing.assert_array_equal(found, expected, strict=True)
