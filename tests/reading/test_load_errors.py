"""What load() says of a file that is not what it should be: which, expected, found, what to do.

Also what it does not do: believe a header that the size of the file cannot justify.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deflate_writer import END_OF_BLOCK, Deflate, Match, gzip_member, lengths_for
from test_load import OtherPath, Trickle, Unseekable
from worker import Worker
from zlib_oracle import verdict, zlib_inflate

import fastidx
from conftest import SANITIZED
from fastidx import (
    ChecksumError,
    CorruptError,
    HeaderError,
    IdxError,
    TrailingDataError,
    TruncatedError,
    reference,
)

Load = Callable[..., Any]
ITEMS = np.arange(5 * 3 * 2, dtype=np.int16).reshape(5, 3, 2)
PLAIN = reference.dumps(ITEMS)
FILE = gzip.compress(PLAIN, mtime=0)
HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>"


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# What the file holds, the error, and what its message must mention, in any order.
BAD_FILES: dict[str, tuple[bytes, type[IdxError], list[str]]] = {
    "empty": (b"", IdxError, ["empty"]),
    "HTML": (HTML, HeaderError, ["HTML"]),
    "JSON": (b'{"error": "not found"}', HeaderError, ["JSON"]),
    "text": (b"Not found", HeaderError, ["Not found"]),
    "xz": (b"\xfd7zXZ\0\0\4", TruncatedError, ["xz"]),
    "compressed HTML": (gzip.compress(HTML), HeaderError, ["HTML"]),
    "compressed JSON": (gzip.compress(b'{"a": 1}'), HeaderError, ["JSON"]),
    "gzipped twice": (gzip.compress(FILE), HeaderError, ["gzip", "once"]),
    "nothing compressed": (gzip.compress(b""), IdxError, ["empty"]),
    "unknown type": (b"\0\0\x0a\1\0\0\0\1x", HeaderError, ["0x0A"]),
    "too many dimensions": (b"\0\0\x08\x41" + bytes(300), HeaderError, ["64", "65"]),
    "cut in the header": (PLAIN[:9], TruncatedError, ["16", "9"]),
    "cut in the data": (PLAIN[:-8], TruncatedError, ["52 of 60", "4 of 5 items"]),
    "no data": (PLAIN[:16], TruncatedError, ["0 of 60", "0 of 5 items"]),
    "cut stream": (FILE[:-20], TruncatedError, ["of 60", "of 5 items"]),
    "cut footer": (FILE[:-3], TruncatedError, ["60"]),
    "cut gzip header": (FILE[:7], TruncatedError, ["gzip"]),
    "cut before the header's end": (FILE[:13], TruncatedError, ["gzip"]),
    "bad CRC": (flipped(FILE, len(FILE) - 8), ChecksumError, ["CRC", "member 1"]),
    "bad second CRC": (
        FILE[:10] + b"\3\0" + bytes(8) + gzip_member(PLAIN, crc=0),
        ChecksumError,
        ["member 2"],
    ),
    "bad length": (gzip_member(PLAIN, isize=77), ChecksumError, ["76", "77"]),
    "bad header CRC": (gzip_member(PLAIN, header_crc=1), ChecksumError, ["CRC"]),
    "bad block": (gzip_member(PLAIN, body=b"\7"), CorruptError, []),
    "bad method": (gzip_member(PLAIN, method=7), CorruptError, []),
    "reserved flag": (gzip_member(PLAIN, reserved=0x20), CorruptError, []),
    "more data": (PLAIN + b"1234567", TrailingDataError, ["strict=False"]),
    "more decoded": (gzip.compress(PLAIN + b"1234567"), TrailingDataError, ["strict=False"]),
    "more bytes": (FILE + b"1234567", TrailingDataError, ["strict=False", f"byte {len(FILE)},"]),
}
EACH_BAD_FILE = pytest.mark.parametrize(
    ("content", "kind", "mentions"), BAD_FILES.values(), ids=BAD_FILES
)
EACH_BAD_CONTENT = pytest.mark.parametrize(
    ("content", "kind"), [bad[:2] for bad in BAD_FILES.values()], ids=BAD_FILES
)


@EACH_BAD_FILE
def test_message_names_the_file_and_what_was_found(
    content: bytes, kind: type[IdxError], mentions: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "train-images"
    path.write_bytes(content)
    with path.open("rb") as file:
        for source in (path, str(path), file):
            with pytest.raises(kind) as raised:
                fastidx.load(source)
            message = str(raised.value)
            assert "train-images" in message
            assert all(mention in message for mention in mentions), message
            assert "empty" in mentions or "empty" not in message


@EACH_BAD_CONTENT
def test_path_that_is_neither_str_nor_path_is_named(
    content: bytes, kind: type[IdxError], tmp_path: Path
) -> None:
    (tmp_path / "train-images").write_bytes(content)
    with pytest.raises(kind, match="train-images"):
        fastidx.load(OtherPath(tmp_path / "train-images"))


@EACH_BAD_CONTENT
def test_error_is_shown_alone(content: bytes, kind: type[IdxError]) -> None:
    with pytest.raises(kind) as raised:
        fastidx.load(content)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@EACH_BAD_FILE
def test_error_is_the_same_for_every_kind_of_source(
    content: bytes, kind: type[IdxError], mentions: list[str], load: Load
) -> None:
    with pytest.raises(kind) as raised:
        load(content)
    for source in (io.BytesIO(content), Unseekable(content), Trickle(content)):
        with pytest.raises(type(raised.value)) as other:
            fastidx.load(source)
        assert all(mention in str(other.value) for mention in mentions), str(other.value)


@EACH_BAD_CONTENT
def test_error_can_be_sent_to_another_process(content: bytes, kind: type[IdxError]) -> None:
    with pytest.raises(kind) as raised:
        fastidx.load(content)
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), str(again)) == (type(raised.value), str(raised.value))


@EACH_BAD_CONTENT
def test_good_file_is_loaded_after_a_bad_one(
    content: bytes, kind: type[IdxError], load: Load
) -> None:
    with pytest.raises(kind):
        load(content)
    np.testing.assert_array_equal(load(FILE), ITEMS, strict=True)


# --- Files that are not there --------------------------------------------------------------------


def test_missing_file_is_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        fastidx.load(tmp_path / "missing.gz")
    assert "missing.gz" in str(raised.value)


def test_directory_is_refused_by_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=tmp_path.name):  # IsADirectoryError, or PermissionError
        fastidx.load(tmp_path)


def test_closed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FILE)
    with (tmp_path / "file").open("rb") as file:
        pass
    with pytest.raises(ValueError, match="closed"):
        fastidx.load(file)


def test_failed_load_leaves_no_file_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content, kind, _ in BAD_FILES.values():
        path.write_bytes(content)
        with pytest.raises(kind):  # an open file would be a ResourceWarning, which is an error
            fastidx.load(path)
    path.unlink()


# --- Cut files -----------------------------------------------------------------------------------


def cut_message(nbytes: int, shape: tuple[int, ...], item_nbytes: int) -> str:
    total = shape[0] * item_nbytes
    items = f"{nbytes // item_nbytes:,} of {shape[0]:,} items complete"
    return f"holds {nbytes:,} of {total:,} data bytes; {items}"


@pytest.mark.parametrize("make", [bytes, io.BytesIO, Unseekable])
def test_cut_plain_file_is_counted(make: Callable[[bytes], Any]) -> None:
    for nbytes in range(60):
        with pytest.raises(TruncatedError) as raised:
            fastidx.load(make(PLAIN[: 16 + nbytes]))
        assert cut_message(nbytes, (5,), 12) in str(raised.value)


@pytest.mark.parametrize("make", [bytes, io.BytesIO, Unseekable, Trickle])
@pytest.mark.parametrize("nbytes", [100_000, 999_999, 1_648_000])
def test_cut_download_is_counted(data_dir: Path, make: Callable[[bytes], Any], nbytes: int) -> None:
    part = (data_dir / "t10k-images-idx3-ubyte.gz").read_bytes()[:nbytes]
    held = len(zlib.decompressobj(31).decompress(part)) - 16
    with pytest.raises(TruncatedError) as raised:
        fastidx.load(make(part))
    assert cut_message(held, (10_000,), 784) in str(raised.value)


def test_cut_labels_of_four_bytes_are_counted(load: Load, data_dir: Path) -> None:
    part = (data_dir / "qmnist-train-labels-idx2-int.gz").read_bytes()[:300_001]
    held = len(zlib.decompressobj(31).decompress(part)) - 12
    with pytest.raises(TruncatedError) as raised:
        load(part)
    assert cut_message(held, (60_000,), 32) in str(raised.value)


def test_stream_that_ends_before_the_array_is_cut_though_the_file_is_whole(load: Load) -> None:
    for content in (gzip.compress(PLAIN[:50]), gzip.compress(PLAIN[:50]) + bytes(600)):
        with pytest.raises(TruncatedError, match="34 of 60 data bytes; 2 of 5 items complete"):
            load(content)


def test_small_file_cut_anywhere_is_refused(load: Load) -> None:
    for file in (FILE, gzip_member(PLAIN[:30], name=b"n") + gzip_member(PLAIN[30:]), PLAIN):
        for nbytes in range(1, len(file)):
            with pytest.raises(TruncatedError):
                load(file[:nbytes])


def test_no_flipped_bit_of_a_small_file_gives_wrong_data(load: Load) -> None:
    file = gzip_member(PLAIN[:30], header_crc=True) + gzip_member(PLAIN[30:])
    for bit in range(8 * len(file)):
        bad = bytearray(file)
        bad[bit // 8] ^= 1 << bit % 8
        loaded = verdict(load, bytes(bad))
        if isinstance(loaded, np.ndarray):  # a bit without meaning: time, system, padding
            np.testing.assert_array_equal(loaded, ITEMS, strict=True)
            assert zlib_inflate(bytes(bad), "gzip") == PLAIN


# --- Headers that claim too much -----------------------------------------------------------------


def header(*shape: int, code: int = 8) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, code, len(shape), *shape)


MAX = 2**32 - 1
WILD: dict[str, bytes] = {
    "2**64 bytes": header(MAX, MAX),
    "2**64 bytes of data behind zero": header(0, MAX, MAX, MAX),
    "4 GiB": header(MAX),
    "32 GiB": header(MAX, code=14),
    "4 GiB of single items": header(MAX, 1, 1),
    "2**63 bytes": header(2**31, 2**31, 2, code=8),
    "2**64 bytes in 64 dimensions": header(*[2] * 64),
    "1 GiB": header(1024, 1024, 1024),
}


def as_plain(data: bytes) -> bytes:
    return data + bytes(max(0, 40 - len(data)))


def as_gzip(data: bytes) -> bytes:
    return gzip.compress(data + bytes(4))


def load_wild(content: bytes, make: Callable[[bytes], Any]) -> tuple[str, int]:
    """The error of load(), and the most memory that Python and numpy had at a time meanwhile.

    What neither of them knows of is held down by the system: no more than 64 MiB are to be had.
    """
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), hard))
    tracemalloc.start()
    try:
        fastidx.load(make(content))
    except IdxError as error:
        return type(error).__name__, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return "loaded", 0


@pytest.mark.timeout(60)
@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs all addresses for itself")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("make", [bytes, io.BytesIO, Unseekable, Trickle])
@pytest.mark.parametrize("compress", [as_plain, as_gzip])
def test_wild_claim_is_refused_with_little_memory(
    isolated: Worker, compress: Callable[[bytes], bytes], make: Callable[[bytes], Any]
) -> None:
    for name, data in WILD.items():
        error, peak = isolated(load_wild, compress(data), make)
        assert error in ("HeaderError", "TruncatedError"), name
        assert peak < 20 << 20, name


@pytest.mark.timeout(60)
@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs all addresses for itself")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_wild_claim_of_a_file_is_refused_with_little_memory(
    isolated: Worker, tmp_path: Path
) -> None:
    for i, data in enumerate([*map(as_plain, WILD.values()), *map(as_gzip, WILD.values())]):
        (tmp_path / str(i)).write_bytes(data)
        error, peak = isolated(load_wild, os.fspath(tmp_path / str(i)), str)
        assert error in ("HeaderError", "TruncatedError"), data
        assert peak < 20 << 20, data


def test_wild_claim_is_refused_before_the_stream_is_decoded() -> None:
    content = gzip.compress(header(MAX, MAX)) + b"not a member, and never looked at"
    with pytest.raises(HeaderError):
        fastidx.load(content)


def test_claim_of_an_out_that_fits_is_no_reason_to_believe_it() -> None:
    out = np.full((10, 1000, 1000), 7, np.uint8)
    with pytest.raises(IdxError):
        fastidx.load(as_gzip(header(10, 1000, 1000)), out=out)
    with pytest.raises(IdxError):
        fastidx.load(as_plain(header(10, 1000, 1000)), out=out)


@pytest.mark.parametrize("make", [bytes, io.BytesIO, Unseekable])
def test_most_compressible_stream_there_can_be_is_no_wild_claim(
    make: Callable[[bytes], Any],
) -> None:
    # A match of 258 bytes in two bits, 1032 bytes of output to one of input: DEFLATE's limit.
    nmatches = 60_000
    litlen = lengths_for({285: 1, 0: 2, END_OF_BLOCK: 2}, 286)
    nbytes = 1 + 258 * nmatches
    stream = Deflate().stored(header(nbytes))
    stream.dynamic([0, *[Match(258, 1)] * nmatches], litlen, [1], final=True)
    file = gzip_member(header(nbytes) + bytes(nbytes), body=stream.getvalue())
    assert nbytes / len(file) > 1020
    loaded = fastidx.load(make(file))
    assert loaded.shape == (nbytes,)
    assert not loaded.any()


@pytest.mark.parametrize("seed", range(5))
def test_random_headers_and_bytes_never_do_worse_than_an_error(load: Load, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(300):
        data = bytes([0, 0, rng.choice([8, 9, 11, 12, 13, 14, rng.randrange(256)])])
        data += bytes([rng.randint(0, 4)]) + rng.randbytes(rng.randint(0, 30))
        for content in (data, gzip_member(data)):
            loaded = verdict(load, content)
            assert isinstance(loaded, type) or reference.dumps(loaded) == data, content.hex()
