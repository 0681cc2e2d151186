"""Headers: built, parsed, and refused with a message that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import message_of

from fastidx.errors import HeaderError, TruncatedError
from fastidx.format.header import IdxHeader, header_for, header_length, parse_header

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}
# Products with float64 stay within the size that an array can have.
SHAPES = st.lists(st.integers(0, 2**19), max_size=3).map(tuple) | st.just((2**32 - 1, 2**28 - 1))
FILE = "folder/train-images-idx3-ubyte.gz"


@given(st.sampled_from(sorted(TYPES)), SHAPES)
def test_header_survives_the_round_trip(code: int, shape: tuple[int, ...]) -> None:
    header = IdxHeader(code, shape)
    data = header.to_bytes()
    assert data[:4] == bytes([0, 0, code, len(shape)])
    assert data[4:] == b"".join(dim.to_bytes(4, "big") for dim in shape)
    assert parse_header(data + b"data", name=FILE) == header
    assert header_length(data, name=FILE) == len(data) == header.header_nbytes


@pytest.mark.parametrize(("code", "name"), TYPES.items())
def test_dtype_is_native_and_file_dtype_big_endian(code: int, name: str) -> None:
    header = IdxHeader(code, (2,))
    assert header.dtype == np.dtype(name)
    assert header.dtype.isnative
    assert header.file_dtype == np.dtype(">" + name)
    assert header.file_dtype.newbyteorder(">") == header.file_dtype


@pytest.mark.parametrize(
    ("shape", "size", "nbytes", "item_nbytes"),
    [
        ((), 1, 4, 4),
        ((7,), 7, 28, 4),
        ((60000, 28, 28), 47040000, 188160000, 3136),
        ((0, 28, 28), 0, 0, 3136),
        ((5, 0), 0, 0, 0),
        ((2**32 - 1, 2**29), (2**32 - 1) << 29, (2**32 - 1) << 31, 2**31),
    ],
)
def test_header_counts(shape: tuple[int, ...], size: int, nbytes: int, item_nbytes: int) -> None:
    header = IdxHeader(0x0C, shape)
    assert header.ndim == len(shape)
    assert (header.size, header.nbytes, header.item_nbytes) == (size, nbytes, item_nbytes)


def test_header_is_immutable_and_hashable() -> None:
    header = IdxHeader(0x08, (3,), "gzip", 23)
    with pytest.raises(AttributeError):
        header.shape = (4,)  # type: ignore[misc]
    assert hash(header) == hash(IdxHeader(0x08, (3,), "gzip", 23))
    assert header != IdxHeader(0x08, (3,))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_like_header_is_parsed(kind: Callable[[bytes], Any]) -> None:
    data = kind(bytes.fromhex("00000d02 00000002 00000003 ffff"))
    assert header_length(data, name=FILE) == 12
    assert parse_header(data, name=FILE) == IdxHeader(0x0D, (2, 3))


def test_empty_file_is_named_as_such() -> None:
    with pytest.raises(TruncatedError) as caught:
        header_length(b"", name=FILE)
    for part in (FILE, "at least 4 bytes", "empty file (0 bytes)", "fetch it again"):
        assert part in str(caught.value)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_beginning_of_a_magic_number_is_truncated(length: int) -> None:
    start = bytes.fromhex("00000803")[:length]
    with pytest.raises(TruncatedError) as caught:
        header_length(start, name=FILE)
    for part in (FILE, "at least 4 bytes", f"only {start.hex(' ')};", "cut", "fetch it again"):
        assert part in str(caught.value)


@pytest.mark.parametrize("length", [4, 7, 8, 15])
def test_cut_header_is_truncated(length: int) -> None:
    data = IdxHeader(0x08, (60000, 28, 28)).to_bytes()[:length]
    with pytest.raises(TruncatedError) as caught:
        parse_header(data, name=FILE)
    for part in (FILE, "16 bytes (3 dimensions)", f"only {length};", "cut", "fetch it again"):
        assert part in str(caught.value)


@pytest.mark.parametrize("code", [0x00, 0x07, 0x0A, 0x0F, 0xFF])
def test_unknown_type_code_names_the_known_ones(code: int) -> None:
    message = message_of(header_length, bytes([0, 0, code, 1]), name=FILE)
    for part in (FILE, f"found 0x{code:02X};", "0x08 (uint8)", "0x0E (float64)", "damaged"):
        assert part in message
    with pytest.raises(HeaderError):
        header_length(bytes([0, 0, code]), name=FILE)


def test_more_dimensions_than_numpy_holds_are_refused() -> None:
    shape = (1,) * 64
    assert parse_header(IdxHeader(8, shape).to_bytes(), name=FILE).shape == shape
    message = message_of(parse_header, IdxHeader(8, (1,) * 65).to_bytes(), name=FILE)
    for part in (FILE, "at most 64 dimensions", "found 65", "damaged", "fetch it again"):
        assert part in message


@pytest.mark.parametrize("prefix", [b"\x12\x34\x56\x78", b"\x00\x01\x08\x03", b"\xfe", b"\x00\x10"])
def test_unrecognised_bytes_are_shown(prefix: bytes) -> None:
    with pytest.raises(HeaderError) as caught:
        header_length(prefix, name=FILE)
    for part in (FILE, "starts with 00 00", f"found {prefix.hex(' ')};", "fetch it again"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("code", "shape"),
    [
        (0x08, (2**32 - 1, 2**32 - 1)),
        (0x0E, (2**30 + 1, 2**30 + 1)),
        (0x08, (0, 2**32 - 1, 2**32 - 1)),
        (0x08, (2**32 - 1,) * 64),
    ],
)
def test_sizes_that_no_array_can_have_are_refused(code: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(HeaderError) as caught:
        parse_header(IdxHeader(code, shape).to_bytes(), name=FILE)
    for part in (FILE, "at most 9,223,372,036,854,775,807", f"{shape[-1]:,} elements", "damaged"):
        assert part in str(caught.value)


@given(st.sampled_from(sorted(TYPES)), st.lists(st.sampled_from([0, 1, 2**31, 2**32 - 1])))
def test_sizes_with_empty_dimensions_pass_exactly_where_numpy_makes_them(
    code: int, dims: list[int]
) -> None:
    shape = (0, *dims[:5])
    data = IdxHeader(code, shape).to_bytes()
    try:
        np.empty(shape, TYPES[code])
    except ValueError:
        message_of(parse_header, data, name=FILE)
    else:
        assert parse_header(data, name=FILE).shape == shape


@given(st.sampled_from([b"", b"\0", b"\0\0\x08", b"\0\0\x0d\2"]), st.binary(max_size=24))
def test_any_bytes_give_a_header_or_one_of_two_errors(start: bytes, rest: bytes) -> None:
    data = start + rest
    try:
        header = parse_header(data, name=FILE)
    except (HeaderError, TruncatedError):
        assert message_of(parse_header, data, name=FILE).startswith(f"{FILE}: expected ")
    else:
        assert data.startswith(header.to_bytes())


@pytest.mark.parametrize("order", ["<", ">", "="])
@pytest.mark.parametrize(("code", "name"), TYPES.items())
def test_header_for_ignores_the_byte_order(code: int, name: str, order: str) -> None:
    assert header_for(np.zeros((2, 0, 5), dtype=order + name)) == IdxHeader(code, (2, 0, 5))
    assert header_for(np.array(1, dtype=order + name)) == IdxHeader(code, ())


def test_dimension_of_33_bits_is_refused() -> None:
    widest = np.broadcast_to(np.uint8(0), (2**32 - 1,))
    assert header_for(widest).shape == (2**32 - 1,)
    too_wide = np.broadcast_to(np.uint8(0), (2, 2**32))
    with pytest.raises(HeaderError) as caught:
        header_for(too_wide, name=FILE)
    for part in (FILE, "at most 4,294,967,295", "found 4,294,967,296", "save it in parts"):
        assert part in str(caught.value)
