"""xz files: streams, padding, checks, damage, and every way to read them."""

from __future__ import annotations

import io
import itertools
import lzma
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import fastidx
from fastidx import ChecksumError, CorruptError, IdxError, TrailingDataError, TruncatedError
from fastidx.reference import dumps

IMAGES = np.arange(30 * 5 * 7, dtype=np.int32).reshape(30, 5, 7) * 1_000_003
PLAIN = dumps(IMAGES)
FILE = lzma.compress(PLAIN)
CHECKS = {
    "none": lzma.CHECK_NONE,
    "CRC-32": lzma.CHECK_CRC32,
    "CRC-64": lzma.CHECK_CRC64,
    "SHA-256": lzma.CHECK_SHA256,
}


class OneByte(io.RawIOBase):
    """A file that cannot seek and gives one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, out: Any) -> int:
        return self.file.readinto(memoryview(out)[:1])


def streams(*pieces: bytes, padding: int = 0) -> bytes:
    """An xz file of several streams."""
    return b"".join(lzma.compress(piece) + bytes(padding) for piece in pieces)


def assert_images(loaded: Any) -> None:
    np.testing.assert_array_equal(loaded, IMAGES, strict=True)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("make", [bytes, io.BytesIO, OneByte])
def test_any_check_from_any_source(check: int, make: Any) -> None:
    assert_images(fastidx.load(make(lzma.compress(PLAIN, check=check))))


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (4, 0, 2), (2, 3, 4)])
def test_any_type_and_shape(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    expected = rng.integers(0, 100, shape).astype(dtype)
    loaded = fastidx.load(lzma.compress(dumps(expected)))
    np.testing.assert_array_equal(loaded, expected, strict=True)


@pytest.mark.parametrize("padding", [0, 4, 40_000])
@pytest.mark.parametrize("make", [bytes, OneByte])
def test_streams_in_a_row_are_one_file(padding: int, make: Any) -> None:
    pieces = (b"", PLAIN[:3], b"", PLAIN[3:100], PLAIN[100:], b"")
    assert_images(fastidx.load(make(streams(*pieces, padding=padding))))


def test_many_tiny_streams_are_no_burden() -> None:
    ones = np.ones(20_000, np.uint8)
    plain = dumps(ones)
    empty, single = lzma.compress(b""), lzma.compress(b"\1")
    file = lzma.compress(plain[:-1000]) + single * 1000 + empty * 20_000
    start = time.perf_counter()
    np.testing.assert_array_equal(fastidx.load(file), ones)
    assert time.perf_counter() - start < 10


@pytest.mark.skipif(shutil.which("xz") is None, reason="no xz program")
def test_file_of_several_blocks() -> None:
    command = ["xz", "--threads=2", "--block-size=1024", "--stdout"]
    file = subprocess.run(command, input=PLAIN, capture_output=True, check=True).stdout
    assert len(file) > len(FILE)
    assert_images(fastidx.load(file))


def test_out_and_conversion() -> None:
    out = np.empty(IMAGES.shape, np.int32)
    assert fastidx.load(FILE, out=out) is out
    assert_images(out)
    halves = fastidx.load(FILE, scale=0.5, threads=2)
    np.testing.assert_array_equal(halves, IMAGES * 0.5, strict=True)


def test_info_says_xz_and_reads_little() -> None:
    file = io.BytesIO(FILE)
    header = fastidx.info(file)
    assert header.shape == IMAGES.shape
    assert (header.compression, header.compressed_nbytes) == ("xz", len(FILE))
    assert file.tell() == 0
    damaged = FILE[:-20] + bytes(20)
    assert fastidx.info(damaged) == header


def test_file_cut_anywhere_is_truncated() -> None:
    small = lzma.compress(dumps(np.arange(10, dtype=np.uint8)))
    for length in range(1, len(small)):
        for make in (bytes, io.BytesIO, OneByte):
            with pytest.raises(TruncatedError, match=r"xz|empty"):
                fastidx.load(make(small[:length]))
            with pytest.raises(TruncatedError):
                fastidx.load(make(small[:length]), strict=False)


def test_cut_between_streams_is_counted() -> None:
    with pytest.raises(TruncatedError, match=r"100 of 4,200 data bytes; 0 of 30 items"):
        fastidx.load(streams(PLAIN[:116]))
    second = lzma.compress(PLAIN[116:])
    for length in (1, 5, 6, 30):
        with pytest.raises(TruncatedError, match="stream breaks off"):
            fastidx.load(lzma.compress(PLAIN[:116]) + second[:length])


@pytest.mark.parametrize("strict", [True, False])
def test_each_flipped_bit_is_noticed(strict: bool) -> None:
    """All of the file is covered by one check or another."""
    for i in range(6, len(FILE)):
        damaged = bytearray(FILE)
        damaged[i] ^= 1 << i % 8
        with pytest.raises(IdxError):
            fastidx.load(damaged, strict=strict)


def block_end(file: bytes) -> int:
    """Where the data of the only block end, and its check begins: 8 bytes for CRC-64."""
    index_nbytes = (int.from_bytes(file[-8:-4], "little") + 1) * 4
    return len(file) - 12 - index_nbytes - 8


@pytest.mark.parametrize("strict", [True, False])
def test_wrong_check_is_a_checksum_error(strict: bool) -> None:
    damaged = bytearray(FILE)
    damaged[block_end(FILE)] ^= 1
    with pytest.raises(ChecksumError, match="checksum or an index"):
        fastidx.load(damaged, strict=strict)


def test_damaged_data_are_not_a_checksum_error() -> None:
    damaged = bytearray(FILE)
    damaged[200:220] = bytes(20)
    with pytest.raises(CorruptError, match="xz data") as raised:
        fastidx.load(damaged)
    assert not isinstance(raised.value, ChecksumError)


def test_what_follows_the_file_is_refused() -> None:
    for file, position in ((FILE, len(FILE)), (FILE + bytes(8), len(FILE) + 8)):
        with pytest.raises(TrailingDataError, match=f"byte {position},"):
            fastidx.load(file + b"something else")
        assert_images(fastidx.load(file + b"something else", strict=False))
    with pytest.raises(TrailingDataError, match="found 4 more"):
        fastidx.load(streams(PLAIN, b"more"))
    assert_images(fastidx.load(streams(PLAIN, b"more"), strict=False))


def test_checks_are_made_even_with_verify_off() -> None:
    damaged = bytearray(FILE)
    damaged[block_end(FILE)] ^= 1
    with pytest.raises(ChecksumError):
        fastidx.load(damaged, verify=False)


def test_other_content_in_xz_is_named() -> None:
    with pytest.raises(fastidx.HeaderError, match="HTML page"):
        fastidx.load(lzma.compress(b"<!DOCTYPE html>" + b"text " * 200))
    with pytest.raises(fastidx.HeaderError, match="gzip file"):
        fastidx.load(lzma.compress(b"\x1f\x8b\x08" + bytes(1000)))


def test_untrue_header_takes_no_memory() -> None:
    claims = fastidx.IdxHeader(8, (2**20, 2**20)).to_bytes()
    with pytest.raises(TruncatedError, match="at most"):
        fastidx.load(lzma.compress(claims))
    with pytest.raises(TruncatedError):
        fastidx.load(OneByte(lzma.compress(claims)))


def test_data_as_dense_as_can_be_are_plausible() -> None:
    zeros = np.zeros(20_000_000, np.uint8)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "nice_len": 273}]
    file = lzma.compress(dumps(zeros), filters=filters)
    assert zeros.nbytes / len(file) > 5000
    np.testing.assert_array_equal(fastidx.load(file), zeros)


def test_greedy_dictionary_is_refused() -> None:
    # Block header: size, flags, LZMA2 with one byte of properties. 40 asks for 4 GiB less 1 byte.
    block = bytearray(FILE[12:24])
    assert block[:4] == b"\2\0\x21\1"
    block[4] = 40
    block[8:12] = zlib.crc32(block[:8]).to_bytes(4, "little")
    with pytest.raises(IdxError, match="MiB"):
        fastidx.load(FILE[:12] + bytes(block) + FILE[24:])


@hypothesis.given(
    st.lists(st.integers(0, len(PLAIN)), max_size=4),
    st.integers(1, 400),
    st.sampled_from([0, 4, 8]),
)
def test_agrees_with_the_standard_library(cuts: list[int], step: int, padding: int) -> None:
    bounds = [0, *sorted(cuts), len(PLAIN)]
    file = streams(*(PLAIN[a:b] for a, b in itertools.pairwise(bounds)), padding=padding)
    source = io.BytesIO(file)
    source.readinto = None  # type: ignore[assignment,method-assign]
    if padding == 0:  # which the standard library does not accept between streams
        assert lzma.decompress(file) == PLAIN

    class Steps:
        def read(self, nbytes: int) -> bytes:
            return source.read(min(nbytes, step))

    assert_images(fastidx.load(Steps()))


def test_python_without_lzma() -> None:
    code = (
        "import sys; sys.modules['lzma'] = None; import fastidx\n"
        "try: fastidx.load(sys.stdin.buffer)\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=FILE, capture_output=True)
    assert b"<stdin>: expected Python's module lzma" in done.stdout


def test_real_file(data_dir: Path) -> None:
    path = data_dir / "xnist-labels-idx2-int.xz"
    with lzma.open(path) as file:
        plain = file.read()
    loaded = fastidx.load(path)
    assert loaded.shape == (402953, 8)
    np.testing.assert_array_equal(loaded, np.frombuffer(plain, ">i4", offset=12).reshape(-1, 8))
