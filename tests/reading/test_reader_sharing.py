"""A reader in several threads and processes; pickled, forked, leaked and closed."""

from __future__ import annotations

import copy
import gc
import gzip
import io
import multiprocessing
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reader_cases import FORMS, Array, assert_same, compressible, form
from worker import Worker

import fastidx

pytestmark = pytest.mark.timeout(60)
ITEMS = compressible((600, 50), "i2")
EACH_FORM = pytest.mark.parametrize("name", FORMS)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints every KiB, and source buffers smaller than the files."""
    monkeypatch.setattr("fastidx.reading.reader._SPACING_NBYTES", 1024)
    monkeypatch.setattr("fastidx.gzipped.stream._FIRST_RATE", 0)
    monkeypatch.setattr("fastidx.sources.local.CHUNK_NBYTES", 4096)


@pytest.fixture(params=FORMS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of ITEMS, in each form."""
    path = tmp_path / "file"
    path.write_bytes(form(ITEMS, request.param))
    return path


def open_files() -> list[str]:
    """What this process has open."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [str(link.readlink()) for link in links]


# --- Threads -------------------------------------------------------------------------------------


def hammer(reader: fastidx.IdxReader, seed: int, nreads: int = 60) -> None:
    """Read here and there, and compare."""
    random = np.random.default_rng(seed)
    out = np.empty((20, 50), "i2")
    for _ in range(nreads):
        i = int(random.integers(0, 580))
        numbers = random.integers(-600, 600, 5)
        assert_same(reader[i], ITEMS[i])
        assert_same(reader[i : i + 15], ITEMS[i : i + 15])
        assert_same(reader[numbers], ITEMS[numbers])
        assert reader.read_into(out, i) == 20
        assert_same(out, ITEMS[i : i + 20])


@pytest.mark.parametrize("source", ["path", "bytes", "file"])
def test_four_threads_hammer_one_reader(path: Path, source: str) -> None:
    content = path.read_bytes()
    sources: dict[str, Any] = {"path": path, "bytes": content, "file": io.BytesIO(content)}
    with fastidx.open(sources[source]) as reader, ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda seed: hammer(reader, seed), range(4)):
            pass


def test_threads_with_their_own_batches(path: Path) -> None:
    def go_through(n: int) -> Array:
        return np.concatenate(list(reader.batches(n)))

    with fastidx.open(path) as reader, ThreadPoolExecutor(4) as pool:
        for whole in pool.map(go_through, [7, 64, 100, 600]):
            assert_same(whole, ITEMS)


@pytest.mark.parametrize("name", ["gzip", "small blocks", "members", "bgzf"])
def test_index_is_built_while_others_read(name: str) -> None:
    with fastidx.open(form(ITEMS, name)) as reader, ThreadPoolExecutor(3) as pool:
        reads = [pool.submit(hammer, reader, seed, 20) for seed in range(2)]
        for spacing in (10_000, 5_000, 300):
            reader.build_index(spacing=spacing)
        for read in reads:
            read.result()


def test_closing_while_others_read_ends_them_with_an_error(path: Path) -> None:
    def read_on() -> None:
        while True:
            hammer(reader, 3, 1)

    reader = fastidx.open(path)
    with ThreadPoolExecutor(3) as pool:
        reads = [pool.submit(read_on) for _ in range(3)]
        threading.Event().wait(0.05)
        reader.close()
        for read in reads:
            with pytest.raises(ValueError, match="closed"):
                read.result()


# --- Pickling ------------------------------------------------------------------------------------


def copied(reader: fastidx.IdxReader) -> fastidx.IdxReader:
    """What arrives in another place."""
    arrived = pickle.loads(pickle.dumps(reader))
    assert isinstance(arrived, fastidx.IdxReader)
    return arrived


def test_pickled_reader_reads_on_its_own(path: Path) -> None:
    with fastidx.open(path) as reader, copied(reader) as other:
        reader[100]
        assert_same(other[500], ITEMS[500])
        reader.close()
        assert_same(np.asarray(other), ITEMS)


def test_pickled_reader_keeps_its_options() -> None:
    content = form(compressible((30, 5)), "gzip")
    table = np.arange(256.0) ** 0.5
    for options in ({"dtype": "f4", "scale": 0.5, "offset": 1}, {"lut": table}):
        with fastidx.open(content, threads=2, **options) as reader, copied(reader) as other:
            assert other.dtype == reader.dtype
            assert_same(other[3:9], reader[3:9])


@pytest.mark.parametrize("kind", [str, Path, Path.read_bytes, lambda path: path.read_bytes()])
def test_source_of_any_kind_that_can_be_opened_again(
    kind: Callable[[Path], Any], path: Path
) -> None:
    with fastidx.open(kind(path)) as reader, copied(reader) as other:
        assert_same(other[7], ITEMS[7])


def test_pickled_reader_brings_what_it_knows() -> None:
    with fastidx.open(form(ITEMS, "small blocks")) as reader:
        index = reader.build_index(spacing=1024)
        with copied(reader) as other:
            assert other._log.points == index.points
            assert_same(other[599], ITEMS[599])


def test_copy_is_another_reader(path: Path) -> None:
    with fastidx.open(path) as reader, copy.copy(reader) as other:
        reader.close()
        assert_same(other[50], ITEMS[50])


@EACH_FORM
def test_reader_of_a_file_object_cannot_be_pickled(name: str) -> None:
    with (
        fastidx.open(io.BytesIO(form(ITEMS, name))) as reader,
        pytest.raises(TypeError, match=r"found one of a file object.*open the path instead"),
    ):
        pickle.dumps(reader)


def test_pickled_reader_of_a_file_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(form(ITEMS, "gzip"))
    with fastidx.open(path) as reader:
        message = pickle.dumps(reader)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(message)


# --- Processes -----------------------------------------------------------------------------------


def test_sent_to_a_new_process(path: Path, isolated: Worker) -> None:
    with fastidx.open(path) as reader:
        reader[300:]
        assert_same(isolated(read_and_close, reader, [3, 599, 0]), ITEMS[[3, 599, 0]])
        assert_same(reader[10], ITEMS[10])


def read_and_close(reader: fastidx.IdxReader, numbers: list[int]) -> Array:
    with reader:
        return reader.__getitems__(numbers)


def in_fork(function: Callable[[], Any]) -> Any:
    """What a function returns in a forked child, or its exception, if that comes soon."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that other threads may hold locks
        pid = os.fork()
    if pid == 0:
        try:
            sender.send(function())
        except BaseException as error:
            sender.send(error)
        finally:
            os._exit(0)
    sender.close()
    try:
        result = receiver.recv() if receiver.poll(5) else TimeoutError("the child hangs")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        receiver.close()
    if isinstance(result, BaseException):
        raise result
    return result


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")


@needs_fork
def test_both_processes_read_after_a_fork(path: Path) -> None:
    with fastidx.open(path) as reader:
        batches = reader.batches(40)
        first = next(batches)
        found = in_fork(lambda: (np.concatenate([first, *batches]), reader[5], np.asarray(reader)))
        for array, expected in zip(found, (ITEMS, ITEMS[5], ITEMS), strict=True):
            assert_same(array, expected)
        assert_same(np.concatenate([first, *batches]), ITEMS)
        assert_same(reader[599], ITEMS[599])


@needs_fork
def test_processes_read_at_the_same_time(path: Path) -> None:
    with fastidx.open(path) as reader:
        reader[250]
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=hammer, args=(reader, seed)) for seed in range(2)]
        for child in children:
            child.start()
        hammer(reader, 9)
        for child in children:
            child.join(10)
            child.kill()
        assert [child.exitcode for child in children] == [0, 0]


@needs_fork
def test_fork_while_a_thread_reads_does_not_block_the_child(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(form(ITEMS, "gzip"))
    with fastidx.open(path) as reader:
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with reader._lock:
                held.set()
                done.wait(30)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        try:
            assert_same(in_fork(lambda: reader[17]), ITEMS[17])
        finally:
            done.set()
            holder.join()


@needs_fork
def test_child_that_closes_leaves_the_parent_its_file(path: Path) -> None:
    with fastidx.open(path) as reader:
        reader[3]
        in_fork(reader.close)
        assert_same(reader[400], ITEMS[400])


@needs_fork
def test_grandchild_reads_too(path: Path) -> None:
    with fastidx.open(path) as reader:
        assert_same(in_fork(lambda: in_fork(lambda: reader[33])), ITEMS[33])


@needs_fork
def test_what_is_known_stays_known_after_a_fork() -> None:
    with fastidx.open(form(ITEMS, "small blocks")) as reader:
        npoints = len(reader.build_index(spacing=1024).points)

        def npoints_in_use() -> int:
            assert_same(reader[5], ITEMS[5])
            return len(reader._access.log.points)  # type: ignore[attr-defined]

        assert in_fork(npoints_in_use) == npoints > 10


# --- Closing and leaking -------------------------------------------------------------------------


def test_closes_its_file(path: Path) -> None:
    reader = fastidx.open(path)
    assert str(path) in open_files()
    reader.close()
    reader.close()
    assert reader.closed
    assert str(path) not in open_files()


def test_with_closes_even_after_an_error(path: Path) -> None:
    with pytest.raises(IndexError), fastidx.open(path) as reader:
        reader[600]
    assert reader.closed
    assert str(path) not in open_files()


def test_file_object_is_left_open(path: Path) -> None:
    with path.open("rb") as file:
        with fastidx.open(file) as reader:
            reader[5]
        assert not file.closed


@pytest.mark.parametrize(
    "use",
    [
        lambda reader: reader[0],
        lambda reader: reader[0:0],
        lambda reader: reader[[]],
        lambda reader: reader[...],
        lambda reader: reader.__getitems__([1]),
        lambda reader: reader.read_into(np.empty((1, 50), "i2")),
        lambda reader: reader.read_into(np.empty((0, 50), "i2")),
        lambda reader: next(reader.batches(3)),
        lambda reader: next(iter(reader)),
        np.asarray,
        lambda reader: reader.as_memmap(),
        lambda reader: reader.build_index(),
    ],
)
def test_use_after_close(use: Callable[[fastidx.IdxReader], Any], path: Path) -> None:
    reader = fastidx.open(path)
    reader[0]
    reader.close()
    with pytest.raises(ValueError, match=f"{path}: the reader has been closed"):
        use(reader)


def test_batches_end_with_an_error_when_the_reader_is_closed(path: Path) -> None:
    with fastidx.open(path) as reader:
        batches = reader.batches(50)
        next(batches)
    with pytest.raises(ValueError, match="closed"):
        next(batches)


def test_closing_with_the_last_batch_in_hand_is_no_error(path: Path) -> None:
    with fastidx.open(path) as reader:
        batches = reader.batches(600)
        assert_same(next(batches), ITEMS)
        reader.close()
        assert list(batches) == []


def test_properties_remain_after_close(path: Path) -> None:
    with fastidx.open(path) as reader:
        pass
    assert (len(reader), reader.shape, reader.dtype.str[1:]) == (600, (600, 50), "i2")
    assert reader.header == fastidx.info(path)


def test_leaked_reader_warns_and_closes_its_file(path: Path) -> None:
    reader = fastidx.open(path)
    reader[3]
    with pytest.warns(ResourceWarning, match=f"unclosed.*{path}"):
        del reader
    assert str(path) not in open_files()


def test_closed_reader_does_not_warn(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader = fastidx.open(path)
        reader.close()
        del reader
        gc.collect()


@pytest.mark.parametrize(
    "content", [b"", b"nothing of ours", gzip.compress(b"", mtime=0)[:10], b"\0\0\x08\x01"]
)
def test_failed_opening_leaves_nothing_open_and_warns_not(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(fastidx.IdxError):
            fastidx.open(path)
        gc.collect()
    assert str(path) not in open_files()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"threads": 0}, ValueError),
        ({"dtype": "U1"}, TypeError),
        ({"lut": [1, 2]}, (TypeError, ValueError)),
        ({"index": 3.5}, (TypeError, ValueError)),
    ],
    ids=str,
)
def test_refused_options_leave_nothing_open(options: dict[str, Any], kind: Any, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kind):
            fastidx.open(path, **options)
        gc.collect()
    assert str(path) not in open_files()


def test_many_readers_leak_no_files(path: Path) -> None:
    before = len(open_files())
    for i in range(50):
        with fastidx.open(path) as reader:
            reader[i]
    assert len(open_files()) == before
