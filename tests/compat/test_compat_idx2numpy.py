"""compat.idx2numpy against the package idx2numpy: the same bytes, good and bad, to both."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from compat_peers import assert_same, idx_bytes, outcome, peer, sdist
from hypothesis import example, given
from hypothesis import strategies as st

import fastidx
from fastidx.compat import idx2numpy as ours

DTYPES = ("uint8", "int8", "int16", "int32", "float32", "float64")

arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=4, max_side=4))
)
cuts = st.integers(0, 40)


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    return peer("idx2numpy", "idx2numpy/__init__.py")


def check_string(theirs: ModuleType, data: bytes) -> None:
    assert_same(
        outcome(ours.convert_from_string, data),
        outcome(theirs.convert_from_string, data),
        FormatError=ours.FormatError,
    )


@given(arrays)
def test_reading(theirs: ModuleType, array: np.ndarray[Any, Any]) -> None:
    check_string(theirs, idx_bytes(array))


@given(arrays, cuts)
def test_reading_what_was_cut(theirs: ModuleType, array: np.ndarray[Any, Any], cut: int) -> None:
    data = idx_bytes(array)
    check_string(theirs, data[: max(0, len(data) - 1 - cut)])


@given(arrays, st.binary(min_size=1, max_size=9))
def test_reading_with_something_after_the_data(
    theirs: ModuleType, array: np.ndarray[Any, Any], tail: bytes
) -> None:
    check_string(theirs, idx_bytes(array) + tail)


@given(st.binary(max_size=4).filter(lambda head: head[:2] != b"\x1f\x8b"), st.binary(max_size=24))
@example(b"\0\0\x0a\x01", bytes(8))
@example(b"\0\0\x08\x00", b"\x07")
@example(b"\0\0\x08\xff", bytes(1021))
@example(b"\0\0\x08\x41", bytes(4 * 65))
@example(b"\0\0\x08\x02", b"\0\0\0\0" + b"\0\0\0\5")
def test_reading_anything(theirs: ModuleType, head: bytes, rest: bytes) -> None:
    check_string(theirs, head + rest)


@given(arrays, st.sampled_from(["", "bool", "uint16", "int64", "complex64", "U3", "M8[s]"]))
def test_writing(theirs: ModuleType, array: np.ndarray[Any, Any], dtype: str) -> None:
    if array.ndim == 0 and array.dtype.name in DTYPES and not dtype:
        return  # a difference, see below
    if dtype:
        array = np.zeros(array.shape, dtype)
    assert_same(
        outcome(ours.convert_to_string, array),
        outcome(theirs.convert_to_string, array),
        FormatError=ours.FormatError,
        ValueError=ValueError,
    )


@pytest.mark.parametrize("order", ["C", "F"])
def test_files(theirs: ModuleType, tmp_path: Path, order: Any) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4).copy(order=order)
    one, other = str(tmp_path / "one.gz"), str(tmp_path / "other.gz")
    ours.convert_to_file(one, array)
    theirs.convert_to_file(other, array)
    assert Path(one).read_bytes() == Path(other).read_bytes()
    result = ours.convert_from_file(one)
    expected = theirs.convert_from_file(other)
    assert result.dtype == expected.dtype == np.dtype(">i2")
    np.testing.assert_array_equal(result, expected, strict=True)


def test_open_files(theirs: ModuleType) -> None:
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    file = io.BytesIO()
    file.write(b"before")
    ours.convert_to_file(file, array)
    for module in (ours, theirs):
        file.seek(6)
        np.testing.assert_array_equal(module.convert_from_file(file), array)
    assert not file.closed


def test_open_gzip_files(theirs: ModuleType, tmp_path: Path) -> None:
    array = np.arange(3000, dtype=np.int32)
    path = tmp_path / "numbers.gz"
    path.write_bytes(gzip.compress(idx_bytes(array)))
    for module in (ours, theirs):
        with gzip.open(path) as file:
            np.testing.assert_array_equal(module.convert_from_file(file), array)
            assert file.read() == b""


def corrupt_middle(data: bytes) -> bytes:
    return data[:60] + bytes([data[60] ^ 0xFF]) + data[61:]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-9], id="cut"),
        pytest.param(lambda data: data[:-6] + b"\0\0\0\0\0\0", id="checksum"),
        pytest.param(corrupt_middle, id="deflate"),
        pytest.param(lambda data: b"\x1f\x8b\x09" + data[3:], id="method"),
        pytest.param(lambda data: data[:4], id="header"),
    ],
)
def test_damaged_gzip_files(theirs: ModuleType, tmp_path: Path, damage: Any) -> None:
    data = gzip.compress(idx_bytes(np.random.default_rng(1).integers(0, 9, 500, np.uint8)))
    path = tmp_path / "numbers.gz"
    path.write_bytes(damage(data))

    def read(module: ModuleType) -> Any:
        with gzip.open(path) as file:
            return module.convert_from_file(file)

    assert_same(outcome(read, ours), outcome(read, theirs), FormatError=ours.FormatError)


@pytest.mark.parametrize("argument", ["no/such/file", b"", None, "a text"])
def test_misuse_of_reading(theirs: ModuleType, argument: Any) -> None:
    assert_same(
        outcome(ours.convert_from_file, argument),
        outcome(theirs.convert_from_file, argument),
        AttributeError=TypeError,
    )


def test_text_is_not_data(theirs: ModuleType) -> None:
    assert_same(
        outcome(ours.convert_from_string, "\0\0\x08\x01"),
        outcome(theirs.convert_from_string, "\0\0\x08\x01"),
    )
    assert_same(
        outcome(ours.convert_from_file, io.StringIO("\0\0\x08\x01")),
        outcome(theirs.convert_from_file, io.StringIO("\0\0\x08\x01")),
    )


def test_real_files(theirs: ModuleType, data_dir: Path) -> None:
    for path in sorted(data_dir.glob("*-idx*.gz")):
        with gzip.open(path) as file:
            expected = theirs.convert_from_file(file)
        result = ours.convert_from_file(str(path))
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected, strict=True)


@pytest.mark.slow
def test_published_tests_pass(tmp_path: Path) -> None:
    package = tmp_path / "idx2numpy"
    shutil.copytree(sdist("idx2numpy==1.2.3") / "idx2numpy" / "test", package / "test")
    (package / "__init__.py").write_text("from fastidx.compat.idx2numpy import *\n")
    result = subprocess.run(
        [sys.executable, "-m", "unittest", "-v", "idx2numpy.test.converters_test"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    lines = [line for line in result.stderr.splitlines() if " ... " in line]
    failed = {line.split()[0] for line in lines if not line.endswith(" ok")}
    # It makes an array of 256 dimensions first, which numpy refuses.
    assert failed == {"test_very_high_dimensional_ndarray"}, result.stderr
    assert len(lines) == 11
    assert result.stderr.count("convert_to_string, np.array(high_dim_arr))") == 1


# Differences, as the docstring lists them.


def test_gzipped_content_is_decoded(tmp_path: Path) -> None:
    array = np.arange(5, dtype=np.uint8)
    path = tmp_path / "numbers"
    path.write_bytes(gzip.compress(idx_bytes(array)))
    np.testing.assert_array_equal(ours.convert_from_file(path), array)
    np.testing.assert_array_equal(ours.convert_from_string(path.read_bytes()), array)


def test_arrays_are_writable() -> None:
    for dtype in DTYPES:
        assert ours.convert_from_string(idx_bytes(np.zeros(3, dtype))).flags.writeable


def test_any_byte_order_and_no_dimensions_are_written() -> None:
    data = ours.convert_to_string(np.array(258, ">i2"))
    assert data.hex(" ") == "00 00 0b 00 01 02"


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    ours.convert_to_file(path, np.arange(5, dtype=np.uint8))
    with pytest.raises(ours.FormatError):
        ours.convert_to_file(path, np.arange(5, dtype=np.uint16))
    np.testing.assert_array_equal(ours.convert_from_file(path), np.arange(5))


def test_errors_say_more() -> None:
    with pytest.raises(ours.FormatError, match="holds 0 of 2 data bytes") as info:
        ours.convert_from_string(b"\0\0\x08\x01\0\0\0\x02")
    assert isinstance(info.value, fastidx.TruncatedError)
    with pytest.raises(ours.FormatError, match="int32") as info:
        ours.convert_to_string([1, 2])
    assert isinstance(info.value, fastidx.UnsupportedDTypeError)
