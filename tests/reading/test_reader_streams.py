"""Sources that can only be read forward, in whatever pieces they come, and with bounded memory."""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import http.client
import http.server
import io
import os
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deflate_writer import gzip_header
from proc_status import status
from reader_cases import FORMS, assert_same, compressible, form
from worker import Worker

import fastidx
from conftest import SANITIZED
from fastidx import IdxError, TruncatedError, synthetic
from fastidx._kernel import crc32_combine

pytestmark = pytest.mark.timeout(120)
ITEMS = compressible((500, 300))
EACH_FORM = pytest.mark.parametrize("name", FORMS)
MIB = 1 << 20


class Trickle:
    """A file object that has nothing but read(), and gives little each time."""

    def __init__(self, content: bytes, step: int) -> None:
        self.rest, self.step, self.nbytes_read = content, step, 0

    def read(self, nbytes: int = -1, /) -> bytes:
        n = min(self.step, len(self.rest) if nbytes < 0 else nbytes)
        piece, self.rest = self.rest[:n], self.rest[n:]
        self.nbytes_read += len(piece)
        return piece


class TricklingRaw(io.RawIOBase):
    """The same with readinto() only."""

    def __init__(self, content: bytes, step: int) -> None:
        self.trickle = Trickle(content, step)

    def readable(self) -> bool:
        return True

    def readinto(self, out: Any, /) -> int:
        piece = self.trickle.read(len(out))
        out[: len(piece)] = piece
        return len(piece)


@contextlib.contextmanager
def pipe_of(content: bytes, close: bool = True) -> Iterator[Any]:
    """A pipe that somebody writes to; it stays open if so said, and then has no buffer."""
    read_end, write_end = os.pipe()

    def write() -> None:
        with (
            contextlib.suppress(BrokenPipeError),
            os.fdopen(write_end, "wb", closefd=close) as file,
        ):
            file.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with os.fdopen(read_end, "rb", -1 if close else 0) as file:
            yield file
    finally:
        writer.join()
        if not close:
            os.close(write_end)


@contextlib.contextmanager
def socket_of(content: bytes) -> Iterator[io.BufferedReader]:
    """A socket that somebody sends to."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            theirs.sendall(content)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with ours, ours.makefile("rb") as file:
            yield file
    finally:
        sender.join()


@contextlib.contextmanager
def member_of_zip(content: bytes) -> Iterator[Any]:
    """A member of a zip archive, compressed again."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("folder/member", content)
    with zipfile.ZipFile(archive) as file, file.open("folder/member") as member:
        yield member


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one content, all of it or only its beginning."""

    content = b""
    served = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(self.content[: self.served])

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def response_of(content: bytes, served: int | None = None) -> Iterator[Any]:
    """What urllib gives for a URL."""
    attributes = {"content": content, "served": len(content) if served is None else served}
    with http.server.HTTPServer(("127.0.0.1", 0), type("Served", (Handler,), attributes)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/") as response:
                yield response
        finally:
            server.shutdown()
            thread.join()


FORWARD: dict[str, Callable[[bytes], contextlib.AbstractContextManager[Any]]] = {
    "one byte at a time": lambda content: contextlib.nullcontext(Trickle(content, 1)),
    "a few bytes at a time": lambda content: contextlib.nullcontext(TricklingRaw(content, 777)),
    "pipe": pipe_of,
    "socket": socket_of,
    "zip member": member_of_zip,
    "response": response_of,
    "GzipFile": lambda content: gzip.open(io.BytesIO(gzip.compress(content, 1))),
}
EACH_SOURCE = pytest.mark.parametrize("source", FORWARD)


# --- Forward -------------------------------------------------------------------------------------


@EACH_FORM
@EACH_SOURCE
def test_batches_of_a_stream(source: str, name: str) -> None:
    content = form(ITEMS[:60] if source == "one byte at a time" else ITEMS, name)
    with FORWARD[source](content) as file, fastidx.open(file) as reader:
        whole = np.concatenate(list(reader.batches(64)))
        assert_same(whole, ITEMS[: len(whole)])
        assert len(whole) == len(reader)


@EACH_FORM
@EACH_SOURCE
def test_forward_with_gaps(source: str, name: str) -> None:
    with FORWARD[source](form(ITEMS[:60], name)) as file, fastidx.open(file) as reader:
        assert_same(reader[3], ITEMS[3])
        assert_same(reader[[9, 7]], ITEMS[[9, 7]])
        assert_same(reader[12:30:3], ITEMS[12:30:3])
        out = np.empty((5, 300), "u1")
        assert reader.read_into(out, 40) == 5
        assert_same(out, ITEMS[40:45])
        assert_same(reader[-1], ITEMS[59])


@EACH_FORM
def test_a_file_that_decompresses_by_itself_can_go_back(name: str) -> None:
    with FORWARD["GzipFile"](form(ITEMS, name)) as file, fastidx.open(file) as reader:
        for i in (100, 99, 101, 0):
            assert_same(reader[i], ITEMS[i])


@EACH_FORM
@pytest.mark.parametrize("source", ["a few bytes at a time", "pipe", "socket"])
def test_going_back_is_refused_with_a_way_out(source: str, name: str) -> None:
    with FORWARD[source](form(ITEMS, name)) as file, fastidx.open(file) as reader:
        assert_same(reader[100], ITEMS[100])
        for key in (99, 100, slice(0, 5), [200, 3]):
            with pytest.raises(io.UnsupportedOperation, match="cannot; read forward only, or open"):
                reader[key]
        assert_same(reader[101:105], ITEMS[101:105])


@EACH_FORM
def test_iteration_and_array_of_a_pipe(name: str) -> None:
    with pipe_of(form(ITEMS, name)) as file, fastidx.open(file) as reader:
        assert_same(np.stack(list(reader)), ITEMS)
    with pipe_of(form(ITEMS, name)) as file, fastidx.open(file, dtype="f4") as reader:
        assert_same(np.asarray(reader), ITEMS.astype("f4"))


@EACH_FORM
def test_first_items_come_before_the_last_are_written(name: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (8000, 100), np.uint8)
    content = form(noise, name)
    trickle = Trickle(content, 5000)
    with fastidx.open(trickle) as reader:
        assert trickle.nbytes_read < 300_000
        assert_same(reader[:10], noise[:10])
        assert trickle.nbytes_read < 600_000 < len(content)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", [name for name in FORMS if name != "members"])
def test_all_of_a_stream_that_stays_open_after_it(name: str) -> None:
    with pipe_of(form(ITEMS, name), close=False) as file, fastidx.open(file) as reader:
        assert_same(np.concatenate(list(reader.batches(64))), ITEMS)
    with pipe_of(form(ITEMS, name), close=False) as file, fastidx.open(file) as reader:
        assert_same(np.asarray(reader), ITEMS)
    with pipe_of(form(ITEMS, name), close=False) as file, fastidx.open(file) as reader:
        assert_same(reader[-1], ITEMS[-1])


SMALL = {
    "labels": np.array([5, 0, 4], "u1"),
    "one element": np.array(7, "u1"),
    "images": np.arange(60, dtype="i2").reshape(5, 3, 4),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", SMALL)
@EACH_FORM
def test_small_stream_that_stays_open(name: str, what: str) -> None:
    array = SMALL[what]
    with pipe_of(form(array, name), close=False) as file, fastidx.open(file) as reader:
        assert_same(reader[...], array)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("compressed", [True, False])
def test_items_come_as_they_are_written(compressed: bool) -> None:
    """A peer that writes an item and waits for what becomes of it, over a pipe kept open."""
    header, compressor = fastidx.IdxHeader(0x08, (3, 100)).to_bytes(), zlib.compressobj(6, 8, 31)

    def written(data: bytes) -> bytes:
        if not compressed:
            return data
        return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)

    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb", 0) as sink, os.fdopen(read_end, "rb") as file:
        sink.write(written(header))
        with fastidx.open(file) as reader:
            for i in range(3):
                sink.write(written(bytes([i + 1] * 100)))
                assert reader[i].tolist() == [i + 1] * 100
            if compressed:
                sink.write(compressor.flush())


@pytest.mark.timeout(30)
@pytest.mark.parametrize("size", [0, 1, 3])
def test_beginning_that_comes_byte_by_byte(size: int) -> None:
    """What comes late decides what it is; nobody decides before."""
    for name in FORMS:
        read_end, write_end = os.pipe()
        content = form(SMALL["images"], name)
        with os.fdopen(write_end, "wb", 0) as sink, os.fdopen(read_end, "rb") as file:
            sink.write(content[:size])
            later = threading.Timer(0.05, sink.write, [content[size:]])
            later.start()
            with fastidx.open(file) as reader:
                assert_same(reader[:], SMALL["images"])
            later.join()


BAD_ENDS: dict[str, Callable[[bytes], bytes]] = {
    "false checksum": lambda content: content[:-8] + bytes([content[-8] ^ 1]) + content[-7:],
    "cut in the footer": lambda content: content[:-3],
    "more behind": lambda content: content + b"more",
    "another member with data": lambda content: content + gzip.compress(b"data"),
    "more in the member": lambda content: gzip.compress(gzip.decompress(content) + b"more", 0),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("end", BAD_ENDS)
@pytest.mark.parametrize("way", ["batches", "array", "items"])
def test_bad_end_of_a_pipe_is_found_by_whoever_reads_all(end: str, way: str) -> None:
    content = BAD_ENDS[end](form(ITEMS[:50], "gzip"))
    ways: dict[str, Callable[[Any], Any]] = {
        "batches": lambda reader: list(reader.batches(7)),
        "array": np.asarray,
        "items": list,
    }
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb", 0) as sink:
        sink.write(content)  # all of it, since what comes behind the data is not waited for
    with os.fdopen(read_end, "rb") as file, pytest.raises(IdxError), fastidx.open(file) as reader:
        ways[way](reader)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("end", ["false checksum", "cut in the footer", "more in the member"])
def test_bad_end_that_comes_late_is_waited_for_by_a_whole_pass(end: str) -> None:
    content = BAD_ENDS[end](form(ITEMS[:50], "stored"))
    at = content.index(ITEMS[49].tobytes()) + 300
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb", 0) as sink, os.fdopen(read_end, "rb") as file:
        sink.write(content[:at])
        with fastidx.open(file) as reader:
            batches = reader.batches(50)
            assert_same(next(batches), ITEMS[:50])  # what is there is not held back

            def write_the_rest() -> None:
                sink.write(content[at:])
                sink.close()

            later = threading.Timer(0.05, write_the_rest)
            later.start()
            with pytest.raises(IdxError):
                next(batches)
            later.join()


def test_what_needs_a_seek_is_refused() -> None:
    with pipe_of(form(ITEMS, "gzip")) as file, fastidx.open(file) as reader:
        with pytest.raises(ValueError, match="seek"):
            reader.build_index()
        with pytest.raises(ValueError, match="map"):
            reader.as_memmap()
    with pipe_of(form(ITEMS, "gzip")) as file, pytest.raises(ValueError, match="seek"):
        fastidx.open(file, index="some.gzidx")


def test_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with (tmp_path / "file").open() as file, pytest.raises(TypeError, match="binary"):
        fastidx.open(file)  # type: ignore[arg-type]


def test_non_blocking_pipe_is_refused_rather_than_taken_for_ended() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    content = form(ITEMS, "plain")
    os.write(write_end, content[:5000])
    with (
        os.fdopen(write_end, "wb"),
        os.fdopen(read_end, "rb", 0) as file,
        fastidx.open(file) as reader,
        pytest.raises(BlockingIOError, match="blocking"),
    ):
        reader[400]


# --- Streams that end early ----------------------------------------------------------------------


@EACH_FORM
@pytest.mark.parametrize("source", ["a few bytes at a time", "pipe", "socket", "zip member"])
def test_stream_that_ends_early(source: str, name: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (500, 300), np.uint8)
    content = form(noise, name)
    seen: list[Any] = []
    with (
        FORWARD[source](content[: len(content) // 2]) as file,
        fastidx.open(file) as reader,
        pytest.raises(TruncatedError, match=r"holds [\d,]+ of 150,000 data bytes"),
    ):
        seen.extend(reader.batches(100))
    assert 1 <= len(seen) <= 2
    assert_same(np.concatenate(seen), noise[: 100 * len(seen)])


def test_response_that_breaks_off() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (500, 300), np.uint8)
    content = form(noise, "gzip")
    with response_of(content, 80_000) as file, fastidx.open(file) as reader:
        assert_same(reader[:200], noise[:200])
        with pytest.raises((IdxError, http.client.IncompleteRead)):
            reader[200:400]


class Failing(Trickle):
    """A stream whose connection breaks."""

    def read(self, nbytes: int = -1, /) -> bytes:
        if len(self.rest) < 60_000:
            raise TimeoutError("timed out")
        return super().read(nbytes)


@pytest.mark.parametrize("name", ["plain", "gzip"])
def test_error_of_the_source_arrives_and_nothing_else(name: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (500, 300), np.uint8)
    with fastidx.open(Failing(form(noise, name), 999)) as reader:
        assert_same(reader[:100], noise[:100])
        for _ in range(2):
            with pytest.raises((TimeoutError, io.UnsupportedOperation)):
                reader[100:450]


class Interrupted(Trickle):
    """A stream that fails once and then goes on."""

    failed = False

    def read(self, nbytes: int = -1, /) -> bytes:
        if len(self.rest) < 60_000 and not self.failed:
            self.failed = True
            raise InterruptedError("once")
        return super().read(nbytes)


@pytest.mark.parametrize("name", ["plain", "gzip"])
def test_stream_that_failed_once_is_never_read_from_the_wrong_place(name: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (500, 300), np.uint8)
    with fastidx.open(Interrupted(form(noise, name), 999)) as reader:
        reader[:100]
        with pytest.raises(InterruptedError):
            reader[100:450]
        for key in (slice(100, 110), slice(450, 460)):
            try:
                assert_same(reader[key], noise[key])
            except (io.UnsupportedOperation, IdxError):
                pass
            else:
                pytest.fail("what came after the failure was taken for what should have come")


# --- Another process -----------------------------------------------------------------------------

_CONSUMER = """
import sys, fastidx, numpy
with fastidx.open(sys.stdin.buffer) as reader:
    sums = [int(batch.sum(dtype="i8")) for batch in reader.batches(64)]
print(len(reader), reader.dtype, sum(sums), len(sums))
"""


def consume(command: list[str]) -> str:
    """What a consumer at the end of a pipe prints."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as producer:
        assert producer.stdout is not None
        consumer = subprocess.run(
            [sys.executable, "-W", "error", "-c", _CONSUMER],
            stdin=producer.stdout,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert not consumer.stderr
    return consumer.stdout


@pytest.mark.parametrize("command", [["gzip", "-c"], ["cat"]])
def test_stdin(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(form(ITEMS, "plain"))
    assert consume([*command, str(path)]).split() == ["500", "uint8", str(ITEMS.sum()), "8"]


def test_stdin_of_real_data(data_dir: Path) -> None:
    path = data_dir / "t10k-images-idx3-ubyte.gz"
    expected = fastidx.load(path).sum(dtype="i8")
    assert consume(["gzip", "-dc", str(path)]).split() == ["10000", "uint8", str(expected), "157"]


# --- Memory --------------------------------------------------------------------------------------

_ITEM_NBYTES = 784
_BLOCK_NITEMS = 1000


def write_large(path: Path, nblocks: int) -> None:
    """A gzip file of one member: a thousand images, of which most are black, again and again."""
    block = np.zeros((_BLOCK_NITEMS, 28, 28), np.uint8)
    block[::5] = synthetic.digits(_BLOCK_NITEMS // 5)[0]
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    compressed = compressor.compress(block.tobytes()) + compressor.flush(zlib.Z_FULL_FLUSH)
    header = fastidx.IdxHeader(0x08, (nblocks * _BLOCK_NITEMS, 28, 28)).to_bytes()
    crc, crc_of_block = zlib.crc32(header), zlib.crc32(block)
    with path.open("wb") as file:
        file.write(gzip_header() + b"\0" + struct.pack("<HH", len(header), 0xFFFF ^ len(header)))
        file.write(header)
        for _ in range(nblocks):
            crc = crc32_combine(crc, crc_of_block, block.nbytes)
            file.write(compressed)
        size = (len(header) + nblocks * block.nbytes) % 2**32
        file.write(b"\x03\0" + struct.pack("<II", crc, size))


def memory_in_use() -> int:
    """Bytes in use now; the peak is counted from here."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)  # what lies idle would be taken again unseen
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def extra_memory(source: str, path: Path, npasses: int) -> int:
    """Bytes that going through a file adds to the process at its peak, batch and all."""
    with fastidx.open(form(ITEMS, "gzip")) as reader:  # imports, once
        list(reader.batches(100))
    batch = np.ones((256, 28, 28), np.uint8)
    before, n = memory_in_use(), 0
    with contextlib.ExitStack() as stack:
        opened: Any = path
        if source == "pipe":
            process = stack.enter_context(subprocess.Popen(["cat", path], stdout=subprocess.PIPE))
            opened = process.stdout
        reader = stack.enter_context(fastidx.open(opened))
        for _ in range(npasses):
            for part in reader.batches(256, out=batch):
                n += len(part)
                assert part[0, 0, 0] == 0
    assert n == npasses * len(reader)
    return status("VmHWM") - before


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 1 GB, or 300 MB where others wait for it."""
    path = tmp_path_factory.mktemp("large") / "images.gz"
    write_large(path, (300_000_000 if os.environ.get("CI") else 10**9) // 784_000)
    return path


def extra_memory_of(nbytes: int) -> int:
    """The same measure of so many bytes that are taken and given back."""
    before = memory_in_use()
    np.ones(nbytes, np.uint8)
    return status("VmHWM") - before


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_measure_of_memory_sees_what_is_given_back(isolated: Worker) -> None:
    for nbytes in (8 * MIB, 32 * MIB):
        assert 0.9 * nbytes < isolated(extra_memory_of, nbytes) < 1.5 * nbytes


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory cannot be told apart")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize(("source", "npasses"), [("path", 1), ("pipe", 1), ("path", 2)])
def test_memory_of_going_through_a_large_file(
    source: str, npasses: int, large: Path, isolated: Worker
) -> None:
    extra = isolated(extra_memory, source, large, npasses)
    assert extra < 8 * MIB
