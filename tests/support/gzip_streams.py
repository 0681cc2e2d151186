"""Data that compresses as images do, and gzip streams of it."""

from __future__ import annotations

import zlib

import numpy as np

from fastidx import reference


def digits(nbytes: int, seed: int = 0) -> bytes:
    """Data that compresses as images do: runs, repeats from a row above, and noise."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (nbytes // 28 + 1, 28), np.uint8)
    rows[rng.random(rows.shape) < 0.7] = 0
    repeated = np.flatnonzero(rng.random(len(rows)) < 0.5)[1:]
    rows[repeated] = rows[repeated - 1]
    return rows.tobytes()[:nbytes]


def idx(data: bytes, dtype: str = "u1") -> bytes:
    array = np.frombuffer(
        data[: len(data) // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize], dtype
    )
    return reference.dumps(array)


def stream(
    data: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY, mem: int = 8
) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, 31, mem, strategy)
    return compressor.compress(data) + compressor.flush()


def flushed(data: bytes, every: int, mode: int) -> bytes:
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    pieces = [
        compressor.compress(data[i : i + every]) + compressor.flush(mode)
        for i in range(0, len(data), every)
    ]
    return b"".join(pieces) + compressor.flush()
