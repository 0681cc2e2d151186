"""The oracle itself: pinned to written-out bytes, to known files, and strict about the rest."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastidx import reference
from fastidx.errors import (
    ChecksumError,
    CorruptError,
    HeaderError,
    IdxError,
    TrailingDataError,
    TruncatedError,
    UnsupportedDTypeError,
)

Array = np.ndarray[Any, Any]
Load = Callable[[Any], Array]

LOADS = pytest.mark.parametrize("load", [reference.load, reference.load_frombuffer])

# One file of each type, written out by hand.
FILES = {
    "00000801 00000003 00 7f ff": np.array([0, 127, 255], "u1"),
    "00000901 00000003 00 7f ff": np.array([0, 127, -1], "i1"),
    "00000b02 00000001 00000002 0102 ff00": np.array([[258, -256]], "i2"),
    "00000c01 00000002 01020304 80000000": np.array([16909060, -(2**31)], "i4"),
    "00000d01 00000002 3f800000 ff800000": np.array([1.0, -np.inf], "f4"),
    "00000e00 c000000000000000": np.array(-2.0, "f8"),
    "00000803 00000002 00000000 00000005": np.zeros((2, 0, 5), "u1"),
}
PLAIN = bytes.fromhex("00000801 00000005 0102030405")
GZIP = gzip.compress(PLAIN, mtime=0)


def same(left: Array, right: Array) -> bool:
    return left.dtype == right.dtype and left.shape == right.shape and bool((left == right).all())


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """Draw arrays of each type, shape, byte order, and of a layout that is not C's."""
    kind = draw(st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]))
    dtype = np.dtype(draw(st.sampled_from("<>")) + kind)
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=5)))
    nbytes = dtype.itemsize * int(np.prod(shape, dtype=int))
    array = np.frombuffer(draw(st.binary(min_size=nbytes, max_size=nbytes)), dtype).reshape(shape)
    return array.T if draw(st.booleans()) else array


@LOADS
@pytest.mark.parametrize(("hexadecimal", "expected"), FILES.items())
def test_written_out_files(load: Load, hexadecimal: str, expected: Array) -> None:
    data = bytes.fromhex(hexadecimal)
    for content in (data, gzip.compress(data)):
        loaded = load(content)
        assert same(loaded, expected)
        assert loaded.dtype.isnative
    assert reference.dumps(expected) == data


@given(arrays())
def test_round_trip_keeps_every_bit(array: Array) -> None:
    data = reference.dumps(array)
    loaded = reference.load_frombuffer(data)
    assert loaded.shape == array.shape
    assert loaded.astype(array.dtype).tobytes() == array.tobytes()
    assert np.array_equal(reference.load(data), loaded, equal_nan=array.dtype.kind == "f")


@LOADS
def test_any_source_is_read_by_content(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "plain.gz"
    path.write_bytes(PLAIN)
    expected = np.array([1, 2, 3, 4, 5], "u1")
    for source in (path, str(path), PLAIN, bytearray(GZIP), memoryview(GZIP), io.BytesIO(GZIP)):
        assert same(load(source), expected)
    assert same(load(np.frombuffer(GZIP, "u1")), expected)


@LOADS
def test_members_are_one_stream_and_zero_padding_is_none(load: Load) -> None:
    parts = [gzip.compress(PLAIN[:6]), gzip.compress(b""), gzip.compress(PLAIN[6:])]
    assert same(load(b"".join(parts)), load(PLAIN))
    assert same(load(bytes(7).join(parts) + bytes(9)), load(PLAIN))


@LOADS
@pytest.mark.parametrize("data", [PLAIN, GZIP], ids=["plain", "gzip"])
def test_every_truncation_is_refused(load: Load, data: bytes) -> None:
    # The first byte of a gzip file alone is not yet one.
    for length in range(2 if data is GZIP else 0, len(data)):
        with pytest.raises(TruncatedError):
            load(data[:length])


@LOADS
@pytest.mark.parametrize(
    "data",
    [PLAIN + b"\0", GZIP + b"x", GZIP + b"\0\0\0x", gzip.compress(PLAIN + b"\0"), GZIP + GZIP],
    ids=["plain", "garbage", "garbage after padding", "inside", "second file"],
)
def test_trailing_bytes_are_refused(load: Load, data: bytes) -> None:
    with pytest.raises(TrailingDataError):
        load(data)


@LOADS
def test_no_flipped_bit_of_the_data_goes_unnoticed(load: Load) -> None:
    unnoticed = set()
    for bit in range(len(GZIP) * 8):
        data = bytearray(GZIP)
        data[bit // 8] ^= 1 << bit % 8
        try:
            assert load(bytes(data)).tolist() == [1, 2, 3, 4, 5]
            unnoticed.add(bit // 8)
        except IdxError:
            pass
    # FTEXT, MTIME, XFL and OS mean nothing to a reader, nor do the bits after the last block.
    assert unnoticed == {3, 4, 5, 6, 7, 8, 9, len(GZIP) - 9}


@LOADS
def test_damage_is_told_apart(load: Load) -> None:
    def damaged(offset: int, value: int) -> bytes:
        data = bytearray(GZIP)
        data[offset] = value
        return bytes(data)

    for data, error in [
        (damaged(2, 7), CorruptError),  # CM
        (damaged(10, 0xFF), CorruptError),  # BTYPE
        (damaged(3, 0x20), CorruptError),  # a reserved flag
        (damaged(-5, GZIP[-5] ^ 1), ChecksumError),  # CRC-32
        (damaged(-1, 1), ChecksumError),  # ISIZE
    ]:
        with pytest.raises(CorruptError) as caught:
            load(data)
        assert caught.type is error


@LOADS
def test_header_checksum_is_verified_behind_all_optional_fields(load: Load) -> None:
    fields = b"\x04\x00\0\0\0\0" + b"name\0" + b"comment\0"
    header = GZIP[:3] + bytes([0x02 | 0x04 | 0x08 | 0x10]) + GZIP[4:10] + fields
    crc = zlib.crc32(header) & 0xFFFF
    assert same(load(header + crc.to_bytes(2, "little") + GZIP[10:]), load(PLAIN))
    with pytest.raises(ChecksumError, match="gzip header"):
        load(header + (crc ^ 1).to_bytes(2, "little") + GZIP[10:])


@LOADS
@pytest.mark.parametrize(
    "hexadecimal",
    [
        "3c21444f",  # not 00 00
        "01",
        "000108",
        "000007",  # no such type
        "00000a01 00000001 00",
        "00000841",  # 65 dimensions
        "00000802 ffffffff ffffffff",  # more than an address space
        "00000803 00000000 ffffffff ffffffff",
    ],
)
def test_bad_header_is_refused(load: Load, hexadecimal: str) -> None:
    data = bytes.fromhex(hexadecimal)
    for content in (data, gzip.compress(data)):
        with pytest.raises(HeaderError):
            load(content)


def test_messages_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cut.idx"
    path.write_bytes(PLAIN[:-1])
    with pytest.raises(TruncatedError, match=r"cut\.idx: .*announces 13 bytes in all, found 12"):
        reference.load(path)


@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
def test_save_follows_the_name(name: str, tmp_path: Path) -> None:
    array = np.arange(6, dtype="<i2").reshape(2, 3)
    reference.save(tmp_path / name, array)
    content = (tmp_path / name).read_bytes()
    assert (content[:2] == b"\x1f\x8b") == name.endswith("gz")
    assert same(reference.load(content), array)
    data = reference.dumps(array)
    assert content == (gzip.compress(data, 6, mtime=0) if name.endswith("gz") else data)


def test_save_obeys_compression_before_the_name(tmp_path: Path) -> None:
    array = np.arange(6, dtype="u1")
    path = tmp_path / "a.gz"
    reference.save(path, array, compression=None)
    assert path.read_bytes() == reference.dumps(array)
    file = io.BytesIO()
    reference.save(file, array, compression="gzip")
    assert gzip.decompress(file.getvalue()) == reference.dumps(array)


def test_dumps_refuses_types_that_idx_lacks() -> None:
    for array in (np.zeros(2, "i8"), np.zeros(2, "?"), np.zeros(2, "u2"), np.zeros(2, "c8")):
        with pytest.raises(UnsupportedDTypeError, match=str(array.dtype)):
            reference.dumps(array)


@LOADS
def test_known_labels(load: Load, data_dir: Path) -> None:
    labels = load(data_dir / "t10k-labels-idx1-ubyte.gz")
    assert labels.shape == (10000,)
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_known_images(data_dir: Path) -> None:
    images = reference.load_frombuffer(data_dir / "train-images-idx3-ubyte.gz")
    assert images.shape == (60000, 28, 28)
    content = hashlib.md5(bytes.fromhex("00000803 0000ea60 0000001c 0000001c"))
    content.update(images.tobytes())
    assert content.hexdigest() == "6bbc9ace898e44ae57da46a324031adb"


def test_known_int32_labels(data_dir: Path) -> None:
    labels = reference.load(data_dir / "qmnist-train-labels-idx2-int.gz")
    assert labels.shape == (60000, 8)
    # QMNIST's first column is the class of MNIST's digits, in MNIST's order.
    digits = reference.load_frombuffer(data_dir / "train-labels-idx1-ubyte.gz")
    assert np.array_equal(labels[:, 0], digits)
    with lzma.open(data_dir / "xnist-labels-idx2-int.xz") as file:
        assert reference.load_frombuffer(file).shape == (402953, 8)
