"""An index changes how load() finds its way, and nothing else."""

from __future__ import annotations

import dataclasses
import gzip
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastidx
from fastidx import GzipIndex
from fastidx.parallel import ParallelLoad
from test_parallel import DATA, FILES, digits, idx, outcome, stream

SPACING = 40_000


def index_of(content: bytes | Path, spacing: int = SPACING) -> GzipIndex:
    with fastidx.open(content) as reader:
        return reader.build_index(spacing=spacing)


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where threads do without the index."""

    def fail(_: ParallelLoad) -> bool:
        raise AssertionError("the index was not used")

    monkeypatch.setattr(ParallelLoad, "run", fail)


@pytest.fixture(scope="module", params=FILES)
def content(request: pytest.FixtureRequest) -> bytes:
    return FILES[request.param]()


@pytest.mark.parametrize("kind", ["bytes", "path"])
def test_bytes_are_those_of_a_serial_load(content: bytes, kind: str, tmp_path: Path) -> None:
    source: bytes | Path = content
    if kind == "path":
        source = tmp_path / "x.gz"
        source.write_bytes(content)
    index = index_of(source)
    array = fastidx.load(source, threads=3, index=index)
    assert array.tobytes() == fastidx.load(source, threads=1).tobytes()
    assert array.flags.writeable


@pytest.mark.usefixtures("no_search")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dtype": "float32", "scale": Fraction(1, 255)},
        {"scale": 2, "offset": 1},
        {"lut": np.arange(256, dtype=np.int16)},
        {"verify": False},
        {"out": bytearray(len(DATA) - 8)},
    ],
)
@pytest.mark.parametrize("threads", [2, 5])
def test_threads_start_where_the_index_says(options: dict[str, Any], threads: int) -> None:
    content = stream(DATA)
    index = index_of(content)
    assert len(index.points) > 10
    loaded = np.asarray(fastidx.load(content, threads=threads, index=index, **options)).tobytes()
    assert loaded == np.asarray(fastidx.load(content, threads=1, **options)).tobytes()


@pytest.mark.usefixtures("no_search")
@pytest.mark.parametrize("dtype", ["i2", "i4", "f8"])
def test_items_of_several_bytes_lie_across_checkpoints(dtype: str) -> None:
    content = stream(idx(digits(500_001), dtype), 1)
    loaded = fastidx.load(content, threads=3, index=index_of(content, 33_333))
    assert loaded.tobytes() == fastidx.load(content, threads=1).tobytes()


@pytest.mark.usefixtures("no_search")
def test_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(stream(DATA))
    index_of(path).save(tmp_path / "x.gz.gzidx")
    expected = fastidx.load(path, threads=1)
    for index in ("auto", tmp_path / "x.gz.gzidx", str(tmp_path / "x.gz.gzidx")):
        assert np.array_equal(fastidx.load(path, threads=2, index=index), expected)
    with pytest.raises(AssertionError, match="not used"):
        fastidx.load(path, threads=2)


def without_checksums(index: GzipIndex) -> GzipIndex:
    """As another program would have made it."""
    return dataclasses.replace(index, crcs=None, fingerprint=None)


@pytest.mark.usefixtures("no_search")
def test_index_without_checksums_is_verified_by_the_footer() -> None:
    content = stream(DATA)
    index = without_checksums(index_of(content))
    loaded = fastidx.load(content, threads=3, index=index)
    assert loaded.tobytes() == fastidx.load(content, threads=1).tobytes()
    wrong = bytearray(content)
    wrong[-8] ^= 1
    with pytest.raises(AssertionError, match="not used"):  # it goes on to look for itself
        fastidx.load(wrong, threads=3, index=index)
    assert fastidx.load(wrong, threads=3, index=index, verify=False).tobytes() == loaded.tobytes()


def test_index_without_checksums_of_several_members() -> None:
    content = FILES["two members"]()
    index = without_checksums(index_of(content))
    loaded = fastidx.load(content, threads=3, index=index)
    assert loaded.tobytes() == fastidx.load(content, threads=1).tobytes()


@pytest.mark.parametrize("checksums", [True, False])
def test_damage_is_met_as_in_a_serial_load(
    content: bytes, checksums: bool, rng: np.random.Generator
) -> None:
    index = dataclasses.replace(index_of(content), fingerprint=None)
    if not checksums:
        index = without_checksums(index)
    for _ in range(6):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        assert outcome(damaged, 3, index=index) == outcome(damaged, 1)


def test_windows_of_another_file_do_no_harm() -> None:
    content = stream(DATA)
    index = without_checksums(index_of(content))
    points = [point._replace(window=point.window[::-1]) for point in index.points]
    wrong = dataclasses.replace(index, points=points)
    loaded = fastidx.load(content, threads=3, index=wrong)
    assert loaded.tobytes() == fastidx.load(content, threads=1).tobytes()


@pytest.mark.parametrize("strict", [True, False])
def test_data_behind_the_array_is_met_as_in_a_serial_load(strict: bool) -> None:
    content = stream(DATA + digits(100_000))
    whole = stream(idx(digits(1_000_000)))
    index = without_checksums(index_of(whole))
    index = dataclasses.replace(index, compressed_nbytes=len(content))
    assert outcome(content, 3, strict=strict, index=index) == outcome(content, 1, strict=strict)


@pytest.mark.parametrize("threads", [1, 2])
def test_stale_index_is_refused(threads: int, tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(stream(DATA))
    index_of(path).save(tmp_path / "x.gz.gzidx")
    path.write_bytes(stream(DATA[:-1]))
    with pytest.raises(fastidx.IdxError, match=r"x\.gz: expected the file that .*build the index"):
        fastidx.load(path, threads=threads, index="auto")


def test_index_of_what_is_not_gzip_is_refused(tmp_path: Path) -> None:
    index = index_of(stream(DATA))
    for source in (DATA, tmp_path / "plain"):
        if isinstance(source, Path):
            source.write_bytes(DATA)
        with pytest.raises(ValueError, match="gzip file that can seek"):
            fastidx.load(source, index=index)
        assert len(fastidx.load(source, index="auto")) == len(DATA) - 8


def test_the_end_is_looked_at() -> None:
    content = gzip.compress(DATA)
    index = without_checksums(index_of(content))
    for extra in (b"junk", bytes(16), gzip.compress(b"more")):
        longer = dataclasses.replace(index, compressed_nbytes=len(content + extra))
        assert outcome(content + extra, 3, index=longer) == outcome(content + extra, 1)
