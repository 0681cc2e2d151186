"""Input that ends where a block does: a parallel load must notice, as a serial one does."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

import fastidx
from fastidx import TruncatedError


def flushed(nbytes: int, every: int) -> tuple[bytes, list[int]]:
    """A gzip file whose writer flushed now and then; and where its flushes end."""
    data = np.random.default_rng(2).integers(0, 30, nbytes, dtype=np.uint8).tobytes()
    content = fastidx.IdxHeader(0x08, (nbytes,)).to_bytes() + data
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    out, ends = b"", []
    for begin in range(0, len(content), every):
        out += compressor.compress(content[begin : begin + every])
        out += compressor.flush(zlib.Z_SYNC_FLUSH)
        ends.append(len(out))
    return out + compressor.flush(), ends


def message(content: bytes, threads: int) -> str:
    with pytest.raises(TruncatedError) as raised:
        fastidx.load(content, threads=threads)
    return str(raised.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("threads", [2, 3])
def test_small_file_whose_writer_died_after_a_flush(threads: int) -> None:
    content = bytes.fromhex("1f8b08000000000000036260e060646060e0343432363105000000ffff")
    assert message(content, threads) == message(content, 1)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("threads", [2, 4])
def test_file_cut_at_each_flush(threads: int) -> None:
    content, ends = flushed(2_000_000, 150_000)
    for end in ends:
        assert message(content[:end], threads) == message(content[:end], 1)


@pytest.mark.timeout(120)
def test_real_file_cut_where_a_block_ends(data_dir: Path) -> None:
    content = (data_dir / "train-images-idx3-ubyte.gz").read_bytes()
    for end in range(9_002_555, 9_002_565):
        assert message(content[:end], 2) == message(content[:end], 1)
