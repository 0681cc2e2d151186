"""load(): every kind of source, what the result is, out=, verify=, strict=, threads, processes."""

from __future__ import annotations

import array
import contextlib
import ctypes
import gzip
import hashlib
import io
import mmap
import multiprocessing
import os
import random
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deflate_writer import (
    Deflate,
    Match,
    expand,
    gzip_footer,
    gzip_header,
    gzip_member,
    raw_deflate,
)

import fastidx
from fastidx import (
    ChecksumError,
    CorruptError,
    IdxError,
    TrailingDataError,
    TruncatedError,
    reference,
)

Array = np.ndarray[Any, Any]
Load = Callable[..., Any]

TYPES = ["u1", "i1", "i2", "i4", "f4", "f8"]
IMAGES = np.arange(12 * 5 * 7, dtype=np.int32).reshape(12, 5, 7) * 1_000_003


def compressed(plain: bytes) -> bytes:
    """A gzip file whose size is a multiple of 8, by zeros after the member: the format has them."""
    file = gzip.compress(plain, mtime=0)
    return file + bytes(-len(file) % 8)


PLAIN = reference.dumps(IMAGES)
CONTENTS = {"plain": PLAIN, "gzip": compressed(PLAIN)}
EACH_CONTENT = pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)


def assert_images(loaded: Any) -> None:
    assert isinstance(loaded, np.ndarray)
    np.testing.assert_array_equal(loaded, IMAGES, strict=True)


# --- Sources -------------------------------------------------------------------------------------


class OtherPath:
    """A path that is neither str nor Path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@EACH_CONTENT
@pytest.mark.parametrize("kind", [str, Path, OtherPath])
def test_path_of_any_kind(content: bytes, kind: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "a name with spaces and ü"
    path.write_bytes(content)
    assert_images(fastidx.load(kind(path)))


@pytest.mark.parametrize("name", ["x.gz", "x", "x.idx", "x.txt", "x.xz", "x-idx3-ubyte"])
@EACH_CONTENT
def test_compression_is_told_by_content_not_by_name(
    content: bytes, name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert_images(fastidx.load(tmp_path / name))


BUFFERS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "writable memoryview": lambda data: memoryview(bytearray(data)),
    "slice of a memoryview": lambda data: memoryview(b"xyz" + data + b"xyz")[3:-3],
    "memoryview of shorts": lambda data: memoryview(data).cast("H"),
    "memoryview of doubles": lambda data: memoryview(data).cast("d"),
    "memoryview of two dimensions": lambda data: memoryview(data).cast("B", (len(data) // 4, 4)),
    "array.array": lambda data: array.array("I", data),
    "array of bytes": lambda data: np.frombuffer(data, np.uint8),
    "array of signed bytes": lambda data: np.frombuffer(data, np.int8).copy(),
    "array of big-endian items": lambda data: np.frombuffer(data, ">u4"),
    "array of structures": lambda data: np.frombuffer(data, "u1,>u2,u1"),
    "ctypes array": lambda data: (ctypes.c_int * (len(data) // 4)).from_buffer_copy(data),
    "array of two dimensions": lambda data: np.frombuffer(data, np.uint8).reshape(-1, 2),
}


@EACH_CONTENT
@pytest.mark.parametrize("make", BUFFERS.values(), ids=BUFFERS)
def test_buffer_of_any_kind(content: bytes, make: Callable[[bytes], Any]) -> None:
    assert len(content) % 8 == 0
    assert_images(fastidx.load(make(content)))


@EACH_CONTENT
def test_memory_map(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert_images(fastidx.load(mapped))
        # Leaving the block closes the map: an error if load() still held its buffer.
    assert_images(fastidx.load(np.memmap(path, np.uint8, "r")))


def test_buffers_are_released() -> None:
    for content in (*CONTENTS.values(), b"no idx file", CONTENTS["gzip"][:50]):
        source = bytearray(content)
        with contextlib.suppress(IdxError):
            fastidx.load(source)
        source.clear()  # a BufferError while a view of it exists


@pytest.mark.parametrize("step", [2, -1])
def test_scattered_buffer_is_refused(step: int) -> None:
    for source in (memoryview(PLAIN)[::step], np.frombuffer(PLAIN, np.uint8)[::step]):
        with pytest.raises((TypeError, ValueError, BufferError), match="contiguous") as raised:
            fastidx.load(source)
        assert not isinstance(raised.value, IdxError)


class Trickle:
    """A file object with nothing but read(), which gives a few bytes at a time."""

    def __init__(self, data: bytes, sizes: tuple[int, ...] = (1, 2, 3, 7)) -> None:
        self.file = io.BytesIO(data)
        self.sizes = sizes
        self.nreads = 0

    def read(self, size: int = -1) -> bytes:
        assert size != 0
        self.nreads += 1
        limit = self.sizes[self.nreads % len(self.sizes)]
        return self.file.read(limit if size < 0 else min(size, limit))


class Unseekable(io.BytesIO):
    """A BytesIO that behaves like a pipe."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: Any) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


class RawBytes(io.RawIOBase):
    """An unbuffered file: read() comes from readinto(), which fills 11 bytes at most."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.file.read(min(11, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


class SilentSeek(io.BytesIO):
    """A file whose seek() returns nothing, as many a wrapper's does."""

    def seek(self, *args: Any) -> None:  # type: ignore[override]
        super().seek(*args)


class FailingSeek(io.BytesIO):
    """A file that says it can seek and then cannot."""

    def seek(self, *_: Any) -> int:
        raise OSError("no seeking here")


FILE_OBJECTS: dict[str, Callable[[bytes], Any]] = {
    "BytesIO": io.BytesIO,
    "short reads": Trickle,
    "single bytes": lambda data: Trickle(data, (1,)),
    "unseekable": Unseekable,
    "silent seek": SilentSeek,
    "failing seek": FailingSeek,
    "raw": RawBytes,
    "buffered raw": lambda data: io.BufferedReader(RawBytes(data)),
}


@EACH_CONTENT
@pytest.mark.parametrize("make", FILE_OBJECTS.values(), ids=FILE_OBJECTS)
def test_file_object_of_any_kind(content: bytes, make: Callable[[bytes], Any]) -> None:
    assert_images(fastidx.load(make(content)))


@EACH_CONTENT
@pytest.mark.parametrize("buffering", [-1, 0, 16])
def test_open_file_stays_open(content: bytes, buffering: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb", buffering=buffering) as file:
        assert_images(fastidx.load(file))
        assert not file.closed


@EACH_CONTENT
@pytest.mark.parametrize("buffering", [-1, 0])
def test_pipe(content: bytes, buffering: int) -> None:
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as pool, os.fdopen(reading, "rb", buffering=buffering) as source:

        def feed() -> None:
            with os.fdopen(writing, "wb", buffering=0) as sink:
                for i in range(0, len(content), 100):
                    sink.write(content[i : i + 100])

        fed = pool.submit(feed)
        assert_images(fastidx.load(source))
        fed.result()


@EACH_CONTENT
def test_file_object_is_read_from_where_it_stands(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"something before" + content)
    memory = io.BytesIO(b"something before" + content)
    with (tmp_path / "file").open("rb") as file:
        for source in (memory, file):
            source.seek(16)
            assert_images(fastidx.load(source))


def test_file_that_decompresses_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(CONTENTS["gzip"])
    with gzip.open(path) as file:
        assert_images(fastidx.load(file))
    path.write_bytes(gzip.compress(CONTENTS["gzip"]))
    with gzip.open(path) as file:  # twice compressed: one layer is left for load()
        assert_images(fastidx.load(file))


@EACH_CONTENT
def test_text_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    text: list[Any] = [io.StringIO("text")]
    with (tmp_path / "file").open(encoding="latin-1") as file:
        for source in [file, *text]:
            with pytest.raises(TypeError, match="binary"):
                fastidx.load(source)


@pytest.mark.parametrize("source", [None, 3, 2.5, [b"x"], object(), {"a": 1}])
def test_source_that_is_none_is_refused_with_its_type(source: Any) -> None:
    with pytest.raises(TypeError, match=type(source).__name__) as raised:
        fastidx.load(source)
    assert not isinstance(raised.value, IdxError)


class Failing(Trickle):
    """A file object whose third read raises, as a lost connection does."""

    def read(self, size: int = -1) -> bytes:
        if self.nreads == 2:
            raise ConnectionResetError("gone")
        return super().read(min(size, 50) if size > 0 else 50)


@EACH_CONTENT
def test_error_of_the_file_object_comes_through(content: bytes) -> None:
    with pytest.raises(ConnectionResetError, match="gone"):
        fastidx.load(Failing(content, (50,)))


def test_error_of_a_file_that_decompresses_by_itself_comes_through() -> None:
    damaged = bytearray(gzip.compress(PLAIN))
    damaged[-8] ^= 1
    with gzip.open(io.BytesIO(damaged)) as file, pytest.raises(gzip.BadGzipFile, match="CRC"):
        fastidx.load(file)


@pytest.mark.parametrize("piece", ["text", None, 3])
def test_read_that_gives_no_bytes_is_an_error(piece: Any) -> None:
    source: Any = Trickle(PLAIN)
    pieces = iter([piece] * 3)
    source.read = lambda _size: next(pieces)
    with pytest.raises((TypeError, OSError)):  # BlockingIOError is an OSError
        fastidx.load(source)


# --- Results -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(), (1,), (7,), (3, 5), (2, 3, 4), (2, 1, 3, 2), (1, 2, 1, 2, 3)]
)
@pytest.mark.parametrize("dtype", TYPES)
def test_result_is_an_array_to_work_with(
    load: Load, rng: np.random.Generator, dtype: str, shape: tuple[int, ...]
) -> None:
    raw = rng.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    expected = np.frombuffer(raw, dtype).reshape(shape)
    for content in (reference.dumps(expected), gzip.compress(reference.dumps(expected))):
        loaded = load(content)
        assert (loaded.shape, loaded.dtype) == (shape, np.dtype(dtype))
        assert loaded.dtype.isnative
        assert loaded.flags.writeable
        assert loaded.flags.c_contiguous
        assert loaded.tobytes() == raw  # NaNs too, bit by bit


@pytest.mark.parametrize("dtype", TYPES)
def test_result_starts_at_a_multiple_of_64_bytes(dtype: str) -> None:
    for n in range(1, 40):
        content = reference.dumps(np.ones(n, dtype))
        for source in (content, gzip.compress(content), io.BytesIO(content), Unseekable(content)):
            assert fastidx.load(source).ctypes.data % 64 == 0


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 0, 0), (2, 0, 28, 28), (0, 2**32 - 1)])
@pytest.mark.parametrize("dtype", TYPES)
def test_empty_arrays_keep_their_shape(load: Load, dtype: str, shape: tuple[int, ...]) -> None:
    header = fastidx.IdxHeader(reference.dumps(np.zeros(0, dtype))[2], shape).to_bytes()
    for content in (header, gzip.compress(header)):
        loaded = load(content)
        assert (loaded.shape, loaded.dtype) == (shape, np.dtype(dtype))


def test_64_dimensions_are_loaded() -> None:
    expected = np.arange(4, dtype=np.int16).reshape((1,) * 30 + (2,) + (1,) * 32 + (2,))
    np.testing.assert_array_equal(fastidx.load(reference.dumps(expected)), expected, strict=True)


def test_results_share_nothing_with_the_source_or_each_other() -> None:
    for content in CONTENTS.values():
        source = bytearray(content)
        first, second = fastidx.load(source), fastidx.load(source)
        source[:] = bytes(len(source))
        first[:] = 0
        assert_images(second)


@pytest.mark.parametrize("value", [0, -1])
def test_numpy_integers_of_any_value(load: Load, value: int) -> None:
    # Long runs compress to matches that overlap themselves in every type.
    expected = np.full((500, 41), value, np.int32)
    np.testing.assert_array_equal(load(gzip.compress(reference.dumps(expected))), expected)


@pytest.mark.parametrize("level", [0, 1, 6])
@pytest.mark.parametrize("dtype", TYPES)
def test_arrays_larger_than_any_buffer(
    load: Load, rng: np.random.Generator, dtype: str, level: int
) -> None:
    expected = rng.integers(0, 50, 1_500_000 // np.dtype(dtype).itemsize).astype(dtype)
    file = gzip.compress(reference.dumps(expected), level)
    np.testing.assert_array_equal(load(file), expected, strict=True)


@pytest.mark.parametrize("dtype", ["u1", "i4"])
def test_large_arrays_from_sources_of_unknown_size(dtype: str) -> None:
    rows = 40_000_000 // np.dtype(dtype).itemsize // 1000
    expected = np.add.outer(np.arange(rows), np.arange(1000)).astype(dtype)
    plain = reference.dumps(expected)
    for content in (plain, gzip.compress(plain, 1)):
        loaded = fastidx.load(Unseekable(content))
        np.testing.assert_array_equal(loaded, expected, strict=True)
        assert loaded.ctypes.data % 64 == 0


# --- Members -------------------------------------------------------------------------------------


def test_members_may_be_cut_anywhere(load: Load) -> None:
    plain = reference.dumps(IMAGES[:2])
    for cut in range(len(plain) + 1):
        file = gzip_member(plain[:cut]) + gzip_member(plain[cut:], name=b"second")
        np.testing.assert_array_equal(load(file), IMAGES[:2])


def test_every_byte_may_be_its_own_member(load: Load) -> None:
    file = b"".join(gzip_member(PLAIN[i : i + 1]) + bytes(i % 3) for i in range(len(PLAIN)))
    np.testing.assert_array_equal(load(file), IMAGES)
    np.testing.assert_array_equal(fastidx.load(Trickle(file)), IMAGES)


@pytest.mark.parametrize("sizes", [(1,), (7,), (1000,)])
def test_matches_reach_back_into_the_header(sizes: tuple[int, ...]) -> None:
    # The header is history too, but is no part of the array; a source that comes byte by byte makes
    # load() stop between any two symbols while the window fills up.
    nmatches = 400
    nbytes = 32_000 + 3 * nmatches
    history = struct.pack(">4BI", 0, 0, 8, 1, nbytes) + random.Random(1).randbytes(32_000)
    symbols = [Match(3, min(len(history) + 3 * i, 32_768)) for i in range(nmatches)]
    data = history + expand(symbols, history)
    file = gzip_member(data, body=Deflate().stored(history).fixed(symbols, final=True).getvalue())
    assert fastidx.load(Trickle(file, sizes)).tobytes() == data[8:]
    assert fastidx.load(file).tobytes() == data[8:]


# --- Real files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "qmnist-train-labels-idx2-int.gz",
    ],
)
def test_real_file_is_what_the_reference_loads(load: Load, data_dir: Path, name: str) -> None:
    expected = reference.load_frombuffer(data_dir / name)
    np.testing.assert_array_equal(load(data_dir / name), expected, strict=True)
    out = np.empty_like(expected)
    assert fastidx.load(data_dir / name, out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_train_images_have_their_known_digest(load: Load, data_dir: Path) -> None:
    images = load(data_dir / "train-images-idx3-ubyte.gz")
    header = struct.pack(">4B3I", 0, 0, 8, 3, 60000, 28, 28)
    digest = hashlib.md5(header + images.tobytes(), usedforsecurity=False).hexdigest()
    assert digest == "6bbc9ace898e44ae57da46a324031adb"


# --- out= ----------------------------------------------------------------------------------------


@EACH_CONTENT
@pytest.mark.parametrize("dtype", TYPES)
def test_out_array_is_filled_and_returned(content: bytes, dtype: str) -> None:
    expected = IMAGES.astype(dtype)
    plain = reference.dumps(expected)
    out = np.full(IMAGES.shape, 77, dtype)
    source = plain if content is PLAIN else gzip.compress(plain)
    assert fastidx.load(source, out=out) is out
    np.testing.assert_array_equal(out, expected)


@EACH_CONTENT
def test_out_may_be_part_of_a_larger_array(content: bytes) -> None:
    whole = np.full((3, *IMAGES.shape), -7, np.int32)
    fastidx.load(content, out=whole[1])
    np.testing.assert_array_equal(whole[1], IMAGES)
    assert (whole[[0, 2]] == -7).all()


@EACH_CONTENT
def test_out_array_of_a_subclass_is_returned_as_it_is(content: bytes, tmp_path: Path) -> None:
    out = np.memmap(tmp_path / "out", np.int32, "w+", shape=IMAGES.shape)
    assert fastidx.load(content, out=out) is out
    np.testing.assert_array_equal(out, IMAGES)


OUT_BUFFERS: dict[str, Callable[[], Any]] = {
    "bytearray": lambda: bytearray(IMAGES.nbytes),
    "memoryview": lambda: memoryview(bytearray(IMAGES.nbytes)),
    "memoryview of ints": lambda: memoryview(bytearray(IMAGES.nbytes)).cast("i"),
    "array.array": lambda: array.array("i", bytes(IMAGES.nbytes)),
    "mmap": lambda: mmap.mmap(-1, IMAGES.nbytes),
    "ctypes array": ctypes.c_int * IMAGES.size,
}


@EACH_CONTENT
@pytest.mark.parametrize("make", OUT_BUFFERS.values(), ids=OUT_BUFFERS)
def test_out_buffer_is_filled_and_returned(content: bytes, make: Callable[[], Any]) -> None:
    out = make()
    assert fastidx.load(content, out=out) is out
    assert bytes(memoryview(out).cast("B")) == IMAGES.tobytes()  # in native byte order


@EACH_CONTENT
def test_out_buffer_is_released(content: bytes) -> None:
    out = bytearray(IMAGES.nbytes)
    fastidx.load(content, out=out)
    out.clear()  # a BufferError while a view of it exists
    out = bytearray(IMAGES.nbytes)
    with pytest.raises(IdxError):
        fastidx.load(content[:-20], out=out)
    out.clear()


@EACH_CONTENT
@pytest.mark.parametrize("offset", [0, 1, 2, 3, 5])
def test_out_buffer_needs_no_alignment(content: bytes, offset: int) -> None:
    memory = bytearray(b"\xa5" * (IMAGES.nbytes + 8))
    fastidx.load(content, out=memoryview(memory)[offset : offset + IMAGES.nbytes])
    assert memory[offset : offset + IMAGES.nbytes] == IMAGES.tobytes()
    assert memory[:offset] + memory[offset + IMAGES.nbytes :] == b"\xa5" * 8


def read_only(shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape, np.int32)
    out.flags.writeable = False
    return out


# Each with what the message must name: what was expected and what was given.
BAD_OUTS: dict[str, tuple[Callable[[], Any], str]] = {
    "dtype": (lambda: np.zeros(IMAGES.shape, np.uint32), "uint32.*int32|int32.*uint32"),
    "item size": (lambda: np.zeros(IMAGES.shape, np.int64), "int64.*int32|int32.*int64"),
    "byte order": (lambda: np.zeros(IMAGES.shape, ">i4"), ">i4|byte order|endian"),
    "shape": (lambda: np.zeros((12, 7, 5), np.int32), r"12, 7, 5.*12, 5, 7|12, 5, 7.*12, 7, 5"),
    "flat shape": (lambda: np.zeros(IMAGES.size, np.int32), r"12, 5, 7.*420|420.*12, 5, 7"),
    "more items": (
        lambda: np.zeros((13, 5, 7), np.int32),
        r"12, 5, 7.*13, 5, 7|13, 5, 7.*12, 5, 7",
    ),
    "order": (lambda: np.zeros(IMAGES.shape, np.int32, order="F"), "contiguous"),
    "stride": (lambda: np.zeros((12, 5, 14), np.int32)[..., ::2], "contiguous"),
    "backwards": (lambda: np.zeros(IMAGES.shape, np.int32)[::-1], "contiguous"),
    "read-only": (lambda: read_only(IMAGES.shape), "read-only|writ"),
    "bytes": (lambda: bytes(IMAGES.nbytes), "read-only|writ"),
    "short buffer": (lambda: bytearray(IMAGES.nbytes - 1), "1,?679.*1,?680|1,?680.*1,?679"),
    "long buffer": (lambda: bytearray(IMAGES.nbytes + 1), "1,?681.*1,?680|1,?680.*1,?681"),
    "empty buffer": (bytearray, r"\b0\b.*1,?680|1,?680.*\b0\b"),
    "scattered buffer": (lambda: memoryview(bytearray(2 * IMAGES.nbytes))[::2], "contiguous"),
    "no buffer": (lambda: [0] * 420, "list"),
    "text": (lambda: "out", "str"),
}


@EACH_CONTENT
@pytest.mark.parametrize(("make", "message"), BAD_OUTS.values(), ids=BAD_OUTS)
def test_out_that_does_not_fit_is_refused_and_untouched(
    content: bytes, make: Callable[[], Any], message: str
) -> None:
    out, before = make(), make()
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        fastidx.load(content, out=out)
    assert not isinstance(raised.value, IdxError)
    assert "out" in str(raised.value)
    assert np.array_equal(out, before) if isinstance(out, np.ndarray) else out == before


def test_out_of_no_dimensions_and_of_no_elements() -> None:
    scalar = np.array(0.0)
    assert fastidx.load(reference.dumps(np.array(2.5)), out=scalar) is scalar
    assert scalar == 2.5
    empty = np.empty((0, 28, 28), np.uint8)
    assert fastidx.load(gzip.compress(reference.dumps(empty)), out=empty) is empty
    assert fastidx.load(reference.dumps(empty), out=bytearray()) == b""
    with pytest.raises(ValueError, match="shape"):
        fastidx.load(reference.dumps(empty), out=np.empty((28, 28, 0), np.uint8))


# --- verify= -------------------------------------------------------------------------------------

BODY = gzip_header() + raw_deflate(PLAIN)
BAD_FOOTERS = {
    "crc": gzip_footer(PLAIN, crc=0xDEADBEEF),
    "isize": gzip_footer(PLAIN, isize=len(PLAIN) + 1),
    "both": bytes(8),
}


@pytest.mark.parametrize("footer", BAD_FOOTERS.values(), ids=BAD_FOOTERS)
def test_checksums_are_verified_unless_told_otherwise(load: Load, footer: bytes) -> None:
    with pytest.raises(ChecksumError):
        load(BODY + footer)
    with pytest.raises(ChecksumError):
        load(BODY + footer, verify=True, strict=False)
    assert_images(load(BODY + footer, verify=False))
    assert_images(load(BODY + footer + BODY[:0], verify=False, strict=False))


@pytest.mark.parametrize("first", [BODY + bytes(8), BODY + gzip_footer(PLAIN)])
def test_checksums_of_every_member_are_verified(load: Load, first: bytes) -> None:
    rest = b"more"
    header = struct.pack(">4BI", 0, 0, 8, 1, len(PLAIN) + 4)
    good = [gzip_member(header), BODY + gzip_footer(PLAIN), gzip_member(rest)]
    assert load(b"".join(good)).tobytes() == PLAIN + rest
    for i, bad in enumerate([gzip_member(header, crc=1), first, gzip_member(rest, isize=5)]):
        if bad != good[i]:
            with pytest.raises(ChecksumError):
                load(b"".join([*good[:i], bad, *good[i + 1 :]]))


def test_without_verify_damage_is_still_found(load: Load) -> None:
    reserved_block = Deflate().stored(PLAIN[:300]).bits(0b111, 3).getvalue()
    for content, kind in [
        (BODY, TruncatedError),
        (BODY[:-30], TruncatedError),
        (gzip_member(PLAIN, body=reserved_block), CorruptError),
        (gzip_member(PLAIN, header_crc=0), ChecksumError),
    ]:
        with pytest.raises(kind):
            load(content, verify=False)


# --- strict= -------------------------------------------------------------------------------------

TRAILING: dict[str, bytes] = {
    "after plain data": PLAIN + b"junk",
    "zeros after plain data": PLAIN + bytes(4),
    "one byte after plain data": PLAIN + b"\0",
    "after the stream": CONTENTS["gzip"] + b"junk",
    "one byte after the stream": gzip.compress(PLAIN) + b"x",
    "decoded": gzip.compress(PLAIN + b"junk"),
    "one decoded byte": gzip.compress(PLAIN + b"\0"),
    "much decoded": gzip.compress(PLAIN + bytes(10_000_000)),
    "another member": gzip.compress(PLAIN) + gzip.compress(b"junk"),
    "another file": gzip.compress(PLAIN) * 2,
}
MAKERS: list[Callable[[bytes], Any]] = [bytes, io.BytesIO, Unseekable]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("content", TRAILING.values(), ids=TRAILING)
def test_bytes_after_the_data_are_refused_unless_tolerated(
    content: bytes, make: Callable[[bytes], Any]
) -> None:
    with pytest.raises(TrailingDataError, match=r"found (over |other )?[\d,]*( more|more|data)"):
        fastidx.load(make(content))
    assert_images(fastidx.load(make(content), strict=False))
    out = np.empty_like(IMAGES)
    assert_images(fastidx.load(make(content), strict=False, out=out))


def test_empty_members_and_zeros_after_the_stream_are_not_data(load: Load) -> None:
    assert_images(load(gzip.compress(PLAIN) + gzip.compress(b"") + bytes(100)))


def test_tolerance_is_for_what_follows_only(load: Load) -> None:
    for content, kind in [
        (PLAIN[:-1], TruncatedError),
        (BODY[:-1], TruncatedError),
        (BODY + bytes(8) + b"junk", ChecksumError),
        (b"junk" + PLAIN, fastidx.HeaderError),
    ]:
        with pytest.raises(kind):
            load(content, strict=False)


def test_options_are_keywords() -> None:
    call_anyhow: Any = fastidx.load
    with pytest.raises(TypeError):
        call_anyhow(PLAIN, np.empty_like(IMAGES))
    with pytest.raises(TypeError):
        call_anyhow(PLAIN, verfy=False)


# --- Threads and processes -----------------------------------------------------------------------


@pytest.fixture
def many_files(rng: np.random.Generator, tmp_path: Path) -> list[tuple[Path, Array]]:
    files = []
    for i, dtype in enumerate(TYPES * 2):
        expected = rng.integers(0, 100, 100_000 + 1000 * i).astype(dtype)
        path = tmp_path / f"{i}.gz"
        path.write_bytes(gzip.compress(reference.dumps(expected), 1 + i % 9))
        files.append((path, expected))
    return files


def test_threads_load_as_one_does(many_files: list[tuple[Path, Array]]) -> None:
    start = threading.Barrier(4)

    def load_all(first: int) -> None:
        start.wait()
        for path, expected in many_files[first:] + many_files[:first]:
            np.testing.assert_array_equal(fastidx.load(path), expected, strict=True)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(load_all, 3 * i) for i in range(4)]:
            done.result(timeout=120)


def test_threads_may_share_a_source() -> None:
    expected = np.arange(300_000, dtype=np.int32)
    source = gzip.compress(reference.dumps(expected), 1)
    with ThreadPoolExecutor(4) as pool:
        for loaded in pool.map(fastidx.load, [source] * 8, timeout=120):
            np.testing.assert_array_equal(loaded, expected)


def load_and_send(path: Path, connection: Any) -> None:
    connection.send(fastidx.load(path))


METHODS = [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_other_processes_load_as_this_one_does(
    method: str, many_files: list[tuple[Path, Array]]
) -> None:
    path, expected = many_files[3]
    fastidx.load(path)  # whatever a first call leaves behind is inherited by fork
    context: Any = multiprocessing.get_context(method)
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=load_and_send, args=(path, sending))
    process.start()
    sending.close()
    np.testing.assert_array_equal(receiving.recv(), expected, strict=True)
    process.join(60)
    assert process.exitcode == 0
    receiving.close()


@pytest.mark.parametrize("subclass", ["masked", "matrix"])
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_out_of_a_subclass_is_filled(subclass: str) -> None:
    plain = np.zeros((5, 3), np.uint8)
    out = np.ma.masked_array(plain) if subclass == "masked" else np.asmatrix(plain)
    values = np.arange(15, dtype=np.uint8).reshape(5, 3)
    assert fastidx.load(reference.dumps(values), out=out) is out
    assert np.array_equal(plain, values)
