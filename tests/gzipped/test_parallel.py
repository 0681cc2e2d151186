"""Parallel loads give the bytes, the errors and the messages of serial ones, whatever the file."""

from __future__ import annotations

import gc
import gzip
import multiprocessing
import os
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deflate_writer import Deflate, flat_code, gzip_footer, gzip_header
from gzip_streams import digits, flushed, idx, stream
from hypothesis import given, settings
from hypothesis import strategies as st

import fastidx
from fastidx import reference
from fastidx.base.threads import available_threads
from fastidx.gzipped import parallel
from fastidx.gzipped.parallel import ParallelLoad
from fastidx.items.destination import Destination
from fastidx.sources.local import LocalSource
from fastidx.sources.memory import MemorySource

THREADS = [2, 3, 5]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of some kilobytes be divided like large ones."""
    monkeypatch.setattr(parallel, "_CHUNK_NBYTES", 16 * 1024)
    monkeypatch.setattr(parallel, "_MIN_CHUNK_NBYTES", 2 * 1024)
    monkeypatch.setattr(parallel, "_PART_NSYMBOLS", 20_000)
    monkeypatch.setattr(parallel, "_CAPACITY", 300_000)


@pytest.fixture(autouse=True)
def no_thread_left() -> Any:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.fixture
def no_collector() -> Any:
    """Objects go when the last reference goes, or stay."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def one_block(data: bytes) -> bytes:
    """One dynamic block of literals alone, however long."""
    body = Deflate().dynamic([*data], flat_code(range(257), 257), final=True).getvalue()
    return gzip_header() + body + gzip_footer(data)


DATA = idx(digits(900_000))
NOISE = idx(np.random.default_rng(1).integers(0, 256, 300_000, np.uint8).tobytes())

FILES: dict[str, Callable[[], bytes]] = {
    "ordinary": lambda: stream(DATA),
    "fastest": lambda: stream(DATA, 1),
    "best": lambda: stream(DATA, 9),
    "small blocks": lambda: stream(DATA, 6, mem=1),
    "literals only": lambda: stream(DATA, strategy=zlib.Z_HUFFMAN_ONLY),
    "runs only": lambda: stream(DATA, strategy=zlib.Z_RLE),
    "fixed blocks": lambda: stream(DATA, strategy=zlib.Z_FIXED),
    "stored": lambda: stream(DATA, 0),
    "noise, stored by choice": lambda: stream(NOISE),
    "full flushes": lambda: flushed(DATA, 40_000, zlib.Z_FULL_FLUSH),
    "sync flushes": lambda: flushed(DATA, 7_000, zlib.Z_SYNC_FLUSH),
    "partial flushes": lambda: flushed(DATA, 30_000, zlib.Z_PARTIAL_FLUSH),
    "hardly any entropy": lambda: stream(idx(bytes(40_000_000))),
    "dense, then empty": lambda: stream(idx(digits(400_000) + bytes(9_000_000) + digits(400_000))),
    "false starts, stored": lambda: stream(idx(stream(digits(700_000)) * 3), 0),
    "false starts, compressed": lambda: stream(idx(stream(digits(700_000)) * 3)),
    "two members": lambda: stream(DATA[:500_000]) + stream(DATA[500_000:]),
    "an empty member and padding behind": lambda: stream(DATA) + stream(b"") + bytes(100),
    "many tiny members": lambda: (
        b"".join(gzip.compress(DATA[i : i + 97]) for i in range(0, 200_000, 97))
        + gzip.compress(DATA[(200_000 + 96) // 97 * 97 :])
    ),
}
for kind in ("i2", "i4", "f4", "f8"):
    FILES[f"items of {kind}"] = partial(lambda kind: stream(idx(digits(900_001), kind)), kind)


@pytest.fixture(scope="module", params=FILES)
def content(request: pytest.FixtureRequest) -> bytes:
    return FILES[request.param]()


# Bytes are all there; of a file, each thread reads what it needs.
Stored = Callable[[bytes | bytearray], bytes | bytearray | Path]


@pytest.fixture(params=["bytes", "file"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    def to_file(content: bytes | bytearray) -> Path:
        path = tmp_path / "x.gz"
        path.write_bytes(content)
        return path

    return to_file if request.param == "file" else lambda content: content


@pytest.mark.parametrize("threads", THREADS)
def test_bytes_are_those_of_a_serial_load(content: bytes, stored: Stored, threads: int) -> None:
    source = stored(content)
    array = fastidx.load(source, threads=threads)
    assert array.tobytes() == fastidx.load(source, threads=1).tobytes()
    assert array.flags.writeable


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
@pytest.mark.parametrize("nbytes", [0, 8, 24, 800_008])
@pytest.mark.parametrize("threads", THREADS)
def test_plain_files_are_read_in_threads(
    dtype: str, nbytes: int, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    read_at = LocalSource._read_at

    def noted(source: LocalSource, pos: int, out: memoryview) -> int:
        read.append(pos)
        return read_at(source, pos, out)

    monkeypatch.setattr(LocalSource, "_read_at", noted)
    path = tmp_path / "x"
    path.write_bytes(content := idx(digits(nbytes), dtype))
    loaded = fastidx.load(path, threads=threads)
    np.testing.assert_array_equal(loaded, reference.load(content), strict=True)
    assert nbytes < 1000 or len(set(read)) >= threads
    if dtype == "u1":
        options: dict[str, Any] = {"dtype": "f4", "scale": Fraction(1, 255)}
        scaled = fastidx.load(path, threads=threads, **options)
        np.testing.assert_array_equal(scaled, fastidx.load(content, **options), strict=True)


@pytest.mark.parametrize("strict", [True, False])
def test_bad_plain_files_fail_as_in_a_serial_load(strict: bool, tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (DATA + b"x", DATA[:-1], DATA[:9], DATA[:3], b""):
        path.write_bytes(content)
        assert outcome(path, 3, strict=strict) == outcome(path, 1, strict=strict)


def test_plain_file_cut_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(DATA)
    read_at = LocalSource._read_at

    def cut_and_read(source: LocalSource, pos: int, out: memoryview) -> int:
        os.truncate(path, len(DATA) // 2)
        return read_at(source, pos, out)

    monkeypatch.setattr(LocalSource, "_read_at", cut_and_read)
    with pytest.raises(fastidx.SourceChangedError, match=r"x: .*written to"):
        fastidx.load(path, threads=3)


def test_one_giant_block() -> None:
    content = one_block(idx(digits(200_000)))
    assert np.array_equal(fastidx.load(content, threads=3), fastidx.load(content, threads=1))


def outcome(source: bytes | bytearray | Path, threads: int, **options: Any) -> Any:
    try:
        return fastidx.load(source, threads=threads, **options).tobytes()
    except fastidx.IdxError as error:
        return type(error), str(error)


@pytest.mark.parametrize("strict", [True, False])
def test_cut_files_fail_as_in_a_serial_load(content: bytes, stored: Stored, strict: bool) -> None:
    for nbytes in (1, 3, 8, 9, len(content) // 3, len(content) // 2 + 1):
        cut = stored(content[:-nbytes])
        assert outcome(cut, 3, strict=strict) == outcome(cut, 1, strict=strict)


@pytest.mark.parametrize("verify", [True, False])
def test_damage_is_met_as_in_a_serial_load(
    content: bytes, stored: Stored, verify: bool, rng: np.random.Generator
) -> None:
    for _ in range(4):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        source = stored(damaged)
        assert outcome(source, 2, verify=verify) == outcome(source, 1, verify=verify)


@pytest.mark.parametrize("extra", [b"junk", bytes(9), gzip.compress(b"more", mtime=0)])
@pytest.mark.parametrize("strict", [True, False])
def test_what_follows_is_met_as_in_a_serial_load(
    extra: bytes, stored: Stored, strict: bool
) -> None:
    source = stored(stream(DATA) + extra)
    assert outcome(source, 3, strict=strict) == outcome(source, 1, strict=strict)


def test_data_behind_the_array_is_met_as_in_a_serial_load(stored: Stored) -> None:
    source = stored(stream(DATA + digits(100_000)))
    for strict in (True, False):
        assert outcome(source, 3, strict=strict) == outcome(source, 1, strict=strict)


def test_a_file_cut_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(stream(DATA))
    read_range = LocalSource.read_range

    def cut_and_read(source: LocalSource, *args: Any) -> memoryview:
        os.truncate(path, len(stream(DATA)) // 2)
        return read_range(source, *args)

    monkeypatch.setattr(LocalSource, "read_range", cut_and_read)
    with pytest.raises(fastidx.SourceChangedError, match=r"x\.gz.*written to"):
        fastidx.load(path, threads=3)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    nbytes=st.integers(1, 400_000),
    level=st.integers(0, 9),
    mem=st.integers(1, 9),
    strategy=st.sampled_from([0, 1, 2, 3, 4]),
    dtype=st.sampled_from(["u1", "i2", "f4", "f8"]),
    threads=st.sampled_from(THREADS),
)
def test_any_stream(
    seed: int, nbytes: int, level: int, mem: int, strategy: int, dtype: str, threads: int
) -> None:
    content = stream(idx(digits(nbytes, seed), dtype), level, strategy, mem)
    assert outcome(content, threads) == outcome(content, 1)


def directly(content: bytes, threads: int = 2) -> tuple[ParallelLoad, np.ndarray[Any, Any]]:
    header = fastidx.info(content)
    items = np.empty(header.nbytes, np.uint8)
    destination = Destination(header, None, items)
    load = ParallelLoad(MemorySource(content, "x"), destination, threads=threads, verify=True)
    assert load.run()
    return load, items


def test_speculation_is_adopted(data_dir: Path) -> None:
    # How often depends on when threads run; that it comes to nothing ten times is no accident.
    content = (data_dir / "t10k-images-idx3-ubyte.gz").read_bytes()
    expected = fastidx.load(content, threads=1).reshape(-1)
    nadopted = 0
    for _ in range(10):
        load, items = directly(content)
        nadopted += load.nadopted
        assert np.array_equal(items, expected)
    assert nadopted > 0


@pytest.mark.parametrize("threads", THREADS)
def test_real_files(data_dir: Path, threads: int) -> None:
    for path in sorted(data_dir.glob("*.gz")):
        assert np.array_equal(fastidx.load(path, threads=threads), fastidx.load(path, threads=1))


def test_memory_of_guesses_is_bounded() -> None:
    load, _ = directly(FILES["dense, then empty"](), threads=3)
    assert len(load._spare) <= parallel._GUESSES_PER_THREAD * 3


def fail_in_other_threads(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each guess fail, before the front begins."""
    failed = threading.Event()
    lead = ParallelLoad._lead

    def fail(*_: object) -> None:
        failed.set()
        raise error

    def lead_when_one_has_failed(load: ParallelLoad) -> bool:
        assert failed.wait(60)
        return lead(load)

    monkeypatch.setattr(ParallelLoad, "_take_spare", fail)
    monkeypatch.setattr(ParallelLoad, "_lead", lead_when_one_has_failed)


def test_an_error_in_another_thread_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_in_other_threads(OSError("a guess failed"), monkeypatch)
    with pytest.raises(OSError, match="a guess failed"):
        fastidx.load(stream(DATA), threads=3)


def test_a_load_goes_on_where_other_threads_have_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail_in_other_threads(MemoryError(), monkeypatch)
    np.testing.assert_array_equal(
        fastidx.load(stream(DATA), threads=3), fastidx.load(stream(DATA), threads=1)
    )


@pytest.mark.parametrize("nstarted", range(4))
def test_a_load_goes_on_with_the_threads_that_could_be_started(
    nstarted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_some(thread: threading.Thread) -> None:
        if len(started) == nstarted:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    loaded = fastidx.load(stream(DATA), threads=5)
    np.testing.assert_array_equal(loaded, reference.load(DATA))
    assert len(started) <= nstarted  # the load may end before all have been asked for


@pytest.mark.parametrize("threads", [0, -1])
def test_meaningless_numbers_of_threads_are_refused(threads: int) -> None:
    with pytest.raises(ValueError, match="threads"):
        fastidx.load(stream(DATA), threads=threads)


def test_threads_can_be_set_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    run = ParallelLoad.run

    def noted_run(self: ParallelLoad) -> bool:
        used.append(self._threads)
        return run(self)

    monkeypatch.setattr(ParallelLoad, "run", noted_run)
    monkeypatch.setattr("fastidx.reading.load._NBYTES_PER_THREAD", {"gzip": len(stream(DATA)) // 4})
    monkeypatch.setenv("FASTIDX_THREADS", "3")
    fastidx.load(stream(DATA))
    monkeypatch.setenv("FASTIDX_THREADS", "1")
    fastidx.load(stream(DATA))
    assert used == [3]
    monkeypatch.setenv("FASTIDX_THREADS", "1000")
    fastidx.load(stream(DATA))
    assert used == [3, 4]  # as the file is too small for more
    monkeypatch.setenv("FASTIDX_THREADS", "many")
    with pytest.raises(ValueError, match=r"FASTIDX_THREADS.*'many'"):
        fastidx.load(stream(DATA))


@pytest.mark.parametrize(
    ("limit", "threads"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("1000 100000\n", 1),
        ("9900000 100000\n", 8),
        ("max 100000\n", 8),
        ("", 8),
        (None, 8),
    ],
)
def test_limit_of_a_container_is_kept(
    limit: str | None, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FASTIDX_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.setattr("fastidx.base.threads._CPU_LIMIT", str(tmp_path / "cpu.max"))
    if limit is not None:
        (tmp_path / "cpu.max").write_text(limit)
    assert available_threads() == threads


def test_several_parallel_loads_at_once() -> None:
    contents = [stream(idx(digits(500_000, seed))) for seed in range(6)]
    expected = [fastidx.load(content, threads=1).tobytes() for content in contents]
    with ThreadPoolExecutor(6) as pool:
        loaded = list(pool.map(lambda content: fastidx.load(content, threads=3), contents * 3))
    assert [array.tobytes() for array in loaded] == expected * 3


def checksum(content: bytes) -> int:
    return zlib.crc32(fastidx.load(content, threads=2))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_other_processes(method: str) -> None:
    content = stream(DATA)
    fastidx.load(content, threads=2)
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map(checksum, [content] * 4)
    assert found == [checksum(content)] * 4


@pytest.mark.usefixtures("no_collector")
def test_memory_of_the_threads_goes_with_the_load() -> None:
    fastidx.load(gzip.compress(idx(digits(400_000))), threads=3)
    # isinstance() would ask objects of others, some of which answer with a warning.
    left = [one for one in gc.get_objects() if type(one) in (parallel._Chunk, parallel._Part)]
    assert left == []
