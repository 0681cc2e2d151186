"""Data after the end: the error counts it, if that ends, and says what is likely."""

from __future__ import annotations

import gzip
import io
import lzma

import numpy as np
import pytest

import fastidx
from fastidx.errors import TrailingDataError
from fastidx.format.header import IdxHeader
from fastidx.sources.protocol import SourceLike

IMAGES = IdxHeader(0x08, (100, 8, 8))


def content(ratio: float) -> bytes:
    return IMAGES.to_bytes() + bytes(int(ratio * IMAGES.nbytes))


def message(source: SourceLike, threads: int = 1) -> str:
    with pytest.raises(TrailingDataError) as caught:
        fastidx.load(source, threads=threads)
    return str(caught.value)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("threads", [1, 2])
def test_exact_ratio_is_explained_however_the_file_is_compressed(
    compress: object, threads: int
) -> None:
    assert callable(compress)
    assert "3 channels (colours), which is 100 x 8 x 8 x 3" in message(
        compress(content(3)), threads
    )
    assert "elements of type float64" in message(compress(content(8)), threads)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
def test_remainder_is_counted(compress: object) -> None:
    assert callable(compress)
    assert "found 640 more; the header is damaged, or load" in message(compress(content(1.1)))
    assert "strict=False" not in message(compress(content(1.7)))
    assert "strict=False" not in message(compress(content(20_000)))


def test_source_of_unknown_size_is_not_read_on() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation("seek")

        def tell(self) -> int:
            raise io.UnsupportedOperation("tell")

        def readinto(self, out: object) -> int:
            n = super().readinto(memoryview(out)[:1000])  # type: ignore[arg-type]
            self.read_nbytes = getattr(self, "read_nbytes", 0) + n
            return n

    plain = IMAGES.to_bytes() + np.random.default_rng(1).bytes(100_000)
    source = Pipe(gzip.compress(plain, 0))
    assert "found more; the header is damaged, or, if little follows" in message(source)
    assert source.read_nbytes < 50_000


def test_reader_says_the_same() -> None:
    with (
        fastidx.open(gzip.compress(content(3))) as reader,
        pytest.raises(TrailingDataError, match="3 channels"),
    ):
        list(reader)
