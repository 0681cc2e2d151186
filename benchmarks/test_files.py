"""The files that are made for the benchmarks are what they are said to be."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import fastidx
from fastidx import synthetic

from . import files
from .giant_block import code_lengths, write_giant_block


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> files.Files:
    monkeypatch.delenv("FASTIDX_TEST_DATA", raising=False)
    return files.prepare(tmp_path, n=50, big_n=130)


@pytest.mark.parametrize("program", [True, False])
def test_big_file(
    made: files.Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: bool
) -> None:
    """Every set of digits is another one, and the last may be a part."""
    monkeypatch.setattr(files, "_SET_N", 60)
    if not program:
        monkeypatch.setattr("shutil.which", lambda _: None)
    drawn = [synthetic.digits(n, seed=seed)[0] for seed, n in enumerate([60, 60, 10])]
    assert made.big.parent == tmp_path
    assert np.array_equal(fastidx.load(made.big), np.concatenate(drawn))
    assert not list(tmp_path.glob("*.part"))


def test_a_big_file_is_there_when_it_is_complete(
    made: files.Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, n: int) -> None:
        path.write_bytes(bytes(n))
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_write_big", write)
    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        _ = made.big
    assert set(tmp_path.iterdir()) == before


def test_bgzf_file(made: files.Files) -> None:
    assert made.bgzf.read_bytes()[12:14] == b"BC"
    assert np.array_equal(fastidx.load(made.bgzf), fastidx.load(made.images))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"ab", id="literals"),
        pytest.param(b"a" * 3_000_000 + b"b", id="matches-of-258-over-slabs"),
        pytest.param(bytes(range(256)) * 30, id="no-match"),
        pytest.param(b"".join(bytes([n % 7]) * n for n in range(1, 600)), id="every-length"),
        pytest.param(synthetic.digits(1500)[0].tobytes(), id="digits"),
    ],
)
def test_giant_block(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "giant.gz"
    write_giant_block(path, data)
    content = path.read_bytes()
    assert gzip.decompress(content) == data
    assert content[10] & 7 == 0b101  # BFINAL: the first block is the last; BTYPE 2: dynamic


def test_code_is_complete_and_bounded() -> None:
    frequencies = np.array([2**40, 5, 0, 1, 1, 70_000, 2**39, 3])
    nbits = code_lengths(frequencies)
    assert nbits[2] == 0
    used = nbits[nbits > 0]
    assert len(used) == 7
    assert used.max() <= 15
    assert (0.5**used).sum() == 1.0
    assert nbits[0] < nbits[1]
