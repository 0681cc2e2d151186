"""Sizes that are off: the message says what the writer of the file most likely did wrong."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastidx.errors import HeaderError, TrailingDataError, TruncatedError
from fastidx.format.faults import implausible_error, trailing_error, truncated_error
from fastidx.format.header import IdxHeader, parse_header

FILE = "folder/train-images-idx3-ubyte"
IMAGES, LABELS = (60_000, 28, 28), (60_000,)
U1, I2, I4, F4, F8 = 0x08, 0x0B, 0x0C, 0x0D, 0x0E
SIZE = 60_000 * 784


def little_endian(shape: tuple[int, ...]) -> tuple[int, ...]:
    return struct.unpack(f"<{len(shape)}I", struct.pack(f">{len(shape)}I", *shape))


# Type code, shape in the header, bytes that follow it, what the message says.
LARGER = [
    (
        U1,
        IMAGES,
        3 * SIZE,
        "exactly 3 times",
        "3 channels (colours), which is 60,000 x 28 x 28 x 3",
    ),
    (
        U1,
        IMAGES,
        4 * SIZE,
        "4 channels (colours and transp",
        "or for elements of type int32 or float32",
    ),
    (U1, IMAGES, 2 * SIZE, "exactly 2 times", "elements of type int16"),
    (U1, IMAGES, 8 * SIZE, "exactly 8 times", "elements of type float64"),
    (I4, IMAGES, 8 * SIZE, "exactly 2 times", "elements of type float64"),
    (U1, LABELS, 10 * 60_000, "exactly 10 times", "one dimension more, which is 60,000 x 10"),
    (U1, LABELS, SIZE, "exactly 784 times", "60,000 x 784, or for two dimensions more, which is"),
    (U1, LABELS, SIZE, "exactly 784 times", "60,000 x 28 x 28: write the header"),
    (U1, IMAGES, 2 * SIZE + 16, "that is exactly the size of 2 such files", "split it"),
    (I2, LABELS, 5 * 120_000 + 4 * 8, "exactly the size of 5 such files", "split it"),
]
SMALLER = [
    (
        U1,
        (2352, 28, 28),
        2352,
        "2,352, counts all elements",
        "of 3 items of 28 x 28: write it as 3",
    ),
    (F4, (2352, 28, 28), 4 * 2352, "2,352, counts all elements", "3 items of 28 x 28"),
    (U1, (SIZE, 784), SIZE, "47,040,000, counts all", "60,000 items of 784: write it as 60,000"),
    (I4, IMAGES, SIZE, "elements of type uint8 or int8", "write the type code of the data"),
    (F8, IMAGES, 4 * SIZE, "elements of type int32 or float32", "write the type code"),
    (U1, little_endian(LABELS), 60_000, "60,000 in little-endian byte order", "'>I'"),
    (I2, little_endian((300, 28)), 16_800, "300 x 28 in little-endian byte order", "'>I'"),
]


@pytest.mark.parametrize(("code", "shape", "held", "cause", "remedy"), LARGER)
def test_too_much_data_is_explained(
    code: int, shape: tuple[int, ...], held: int, cause: str, remedy: str
) -> None:
    for compression in (None, "gzip"):
        error = trailing_error(IdxHeader(code, shape, compression), FILE, held)
        assert type(error) is TrailingDataError
        for part in (FILE, "expected the end after", "more; that is", cause, remedy):
            assert part in str(error)
        assert "strict" not in str(error)


@pytest.mark.parametrize(("code", "shape", "held", "cause", "remedy"), SMALLER)
def test_too_little_data_is_explained(
    code: int, shape: tuple[int, ...], held: int, cause: str, remedy: str
) -> None:
    for compression in (None, "gzip"):
        error = truncated_error(IdxHeader(code, shape, compression), FILE, held, False)
        assert type(error) is TruncatedError
        for part in (FILE, f"holds {held:,} of ", "data bytes; ", cause, remedy):
            assert part in str(error)
        assert "fetch" not in str(error)


def test_stream_that_breaks_off_is_a_cut_download_whatever_its_size() -> None:
    error = truncated_error(IdxHeader(I4, IMAGES, "gzip"), FILE, SIZE, True)
    assert "breaks off, as after a download that was cut: fetch" in str(error)


@pytest.mark.parametrize("held", [0, 1, 784, SIZE // 3 + 1, SIZE - 1])
def test_other_sizes_are_a_cut_file(held: int) -> None:
    error = truncated_error(IdxHeader(U1, IMAGES), FILE, held, False)
    whole = held // 784
    assert f"{whole:,} of 60,000 items complete" in str(error)
    assert "the file was cut" in str(error)
    assert (f"fastidx cat --stop {whole} reads" in str(error)) == (whole > 0)


@pytest.mark.parametrize(
    ("held", "is_little"), [(SIZE + 1, True), (SIZE + SIZE // 2, True), (SIZE * 5 // 3, False)]
)
def test_remainder_is_to_be_ignored_only_if_it_is_little(held: int, is_little: bool) -> None:
    error = trailing_error(IdxHeader(U1, IMAGES), FILE, held)
    assert f"found {held - SIZE:,} more" in str(error)
    assert ("strict=False" in str(error)) == is_little
    assert ("right dimensions" in str(error)) != is_little


def test_plain_file_of_known_size_tells_what_follows() -> None:
    header = IdxHeader(U1, IMAGES, None, 16 + 3 * SIZE)
    assert "3 channels" in str(trailing_error(header, FILE))
    assert "if little follows" in str(trailing_error(IdxHeader(U1, IMAGES, "gzip", 99), FILE))


def test_implausible_shape_is_explained_before_any_data_is_read() -> None:
    shape = little_endian(LABELS)
    header = IdxHeader(U1, shape, "gzip", 28_881)
    assert "60,000 in little-endian byte order" in str(implausible_error(header, FILE))
    with pytest.raises(HeaderError, match="60,000 x 28 x 28 in little-endian byte order"):
        parse_header(IdxHeader(U1, little_endian(IMAGES)).to_bytes(), name=FILE)
    counted = IdxHeader(U1, (2352, 28, 28), "gzip", 700)
    assert "2,352, counts all elements of 3 items of 28 x 28" in str(
        implausible_error(counted, FILE)
    )
    honest = IdxHeader(U1, (2**31 + 12345,), "xz", 99)
    assert "at most 7100 times as many; it was cut" in str(implausible_error(honest, FILE))


@given(
    st.sampled_from([U1, I2, I4, F4, F8]),
    st.lists(st.integers(0, 9), max_size=3).map(tuple),
    st.integers(0, 10**6),
)
def test_small_headers_make_no_claims(code: int, shape: tuple[int, ...], held: int) -> None:
    header = IdxHeader(code, shape)
    if held < header.nbytes < 64:
        assert "cut" in str(truncated_error(header, FILE, held, False))
    elif header.nbytes < 64 and held > header.nbytes:
        assert "exactly" not in str(trailing_error(header, FILE, held))


@given(
    st.sampled_from([U1, I2, I4, F4, F8]),
    st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple),
    st.integers(0, 2**40),
    st.sampled_from([None, "gzip", "xz"]),
)
def test_any_sizes_give_a_message(
    code: int, shape: tuple[int, ...], held: int, compression: str | None
) -> None:
    header = IdxHeader(code, shape, compression, held)
    for error in (
        truncated_error(header, FILE, held, False),
        trailing_error(header, FILE, held),
        *([implausible_error(header, FILE)] if compression else []),
    ):
        assert str(error).startswith(f"{FILE}: ")
