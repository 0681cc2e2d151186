"""info(): what the header says, and no more of the file than that takes."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deflate_writer import Deflate, gzip_member
from test_load import BUFFERS, FILE_OBJECTS, Trickle, Unseekable
from test_load_errors import BAD_FILES

import fastidx
from fastidx import HeaderError, IdxError, IdxHeader, TruncatedError, reference

TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
PLAIN = reference.dumps(np.zeros((6, 4, 2), np.int16))
FILE = gzip.compress(PLAIN, mtime=0)
FILE += bytes(-len(FILE) % 8)
CONTENTS = {"plain": PLAIN + bytes(-len(PLAIN) % 8), "gzip": FILE}


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0,), (5, 0, 2)])
@pytest.mark.parametrize("dtype", TYPES)
def test_header_of_any_array(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    plain = reference.dumps(np.zeros(shape, dtype))
    for content, compression in ((plain, None), (gzip.compress(plain), "gzip")):
        (tmp_path / "file").write_bytes(content)
        for source in (content, tmp_path / "file", io.BytesIO(content)):
            found = fastidx.info(source)
            assert found == IdxHeader(TYPES[dtype], shape, compression, len(content))
            assert found.nbytes == int(np.prod(shape)) * np.dtype(dtype).itemsize
            assert found.dtype == np.dtype(dtype)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("make", [*BUFFERS.values(), *FILE_OBJECTS.values()])
def test_header_from_any_source(content: bytes, make: Callable[[bytes], Any]) -> None:
    assert fastidx.info(make(content)).shape == (6, 4, 2)


@pytest.mark.parametrize("make", [Unseekable, Trickle])
def test_size_of_a_stream_is_unknown(make: Callable[[bytes], Any]) -> None:
    assert fastidx.info(make(FILE)).compressed_nbytes is None
    assert fastidx.info(make(PLAIN)).compressed_nbytes is None


def test_size_is_that_from_where_the_file_stands() -> None:
    source = io.BytesIO(b"before" + FILE)
    source.seek(6)
    assert fastidx.info(source).compressed_nbytes == len(FILE)


def test_real_file(data_dir: Path) -> None:
    found = fastidx.info(data_dir / "train-images-idx3-ubyte.gz")
    assert found == IdxHeader(0x08, (60000, 28, 28), "gzip", 9_912_422)
    assert (found.nbytes, found.size, found.ndim) == (47_040_000, 47_040_000, 3)


def test_nothing_after_the_header_matters() -> None:
    header = PLAIN[:16]
    damaged = Deflate().stored(header).bits(0b111, 3).getvalue()
    for content in (
        header,
        gzip.compress(header),
        gzip_member(PLAIN, crc=1, isize=1),
        gzip_member(PLAIN, body=damaged),
        FILE + b"junk",
        PLAIN + b"junk",
    ):
        assert fastidx.info(content).shape == (6, 4, 2)


def test_header_may_be_spread_over_members_and_blocks() -> None:
    file = b"".join(gzip_member(PLAIN[i : i + 1]) for i in range(len(PLAIN)))
    assert fastidx.info(file).shape == (6, 4, 2)
    stream = Deflate()
    for byte in PLAIN:
        stream.stored().fixed([byte]).stored()
    assert fastidx.info(gzip_member(PLAIN, body=stream.stored(final=True).getvalue())).ndim == 3


def test_little_of_a_large_source_is_read() -> None:
    rng = np.random.default_rng(1)
    plain = reference.dumps(rng.integers(0, 256, 5_000_000, np.uint8))
    for content in (plain, gzip.compress(plain, 1)):
        for source in (Unseekable(content), Trickle(content, (1 << 30,))):
            file = source.file if isinstance(source, Trickle) else source
            assert fastidx.info(source).shape == (5_000_000,)
            assert io.BytesIO.tell(file) <= 1 << 20


@pytest.mark.parametrize("name", [name for name in BAD_FILES if BAD_FILES[name][1] is HeaderError])
def test_what_is_no_idx_file_is_named(name: str, tmp_path: Path) -> None:
    content, kind, mentions = BAD_FILES[name]
    (tmp_path / "labels.gz").write_bytes(content)
    with pytest.raises(kind) as raised:
        fastidx.info(tmp_path / "labels.gz")
    assert all(mention in str(raised.value) for mention in ["labels.gz", *mentions])


def test_cut_header_is_truncated() -> None:
    for nbytes in range(1, 16):
        with pytest.raises(TruncatedError):
            fastidx.info(PLAIN[:nbytes])
        with pytest.raises(TruncatedError):
            fastidx.info(gzip.compress(PLAIN[:nbytes]))
    for content in (b"", gzip.compress(b"")):
        with pytest.raises(IdxError, match="empty"):
            fastidx.info(content)


@pytest.mark.parametrize("source", [None, 3, [1], io.StringIO("text")])
def test_source_that_is_none_is_refused(source: Any) -> None:
    with pytest.raises(TypeError):
        fastidx.info(source)


def test_missing_file_is_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        fastidx.info(tmp_path / "missing")


@pytest.mark.parametrize("buffering", [-1, 0])
def test_file_is_put_back_to_where_it_stood(tmp_path: Path, buffering: int) -> None:
    (tmp_path / "file").write_bytes(b"before" + FILE)
    with (tmp_path / "file").open("rb", buffering=buffering) as file:
        file.seek(6)
        assert fastidx.info(file).shape == (6, 4, 2)
        assert file.tell() == 6
        file.seek(0)
        with pytest.raises(HeaderError):
            fastidx.info(file)
        assert file.tell() == 0
