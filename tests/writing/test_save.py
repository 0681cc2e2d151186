"""Saving: the bytes of the file, compressed or not, and the arguments that are refused."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from saving import saved, unchanged_file

from fastidx import reference
from fastidx.errors import HeaderError, UnsupportedDTypeError
from fastidx.writing import save as writer
from fastidx.writing.save import save

Array = np.ndarray[Any, Any]
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions and file types")
MIB = 1 << 20


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    yield from unchanged_file(tmp_path)


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """Draw arrays of each type, shape and byte order, contiguous or not, down to no dimension."""
    kind = draw(st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]))
    dtype = np.dtype(draw(st.sampled_from("<>")) + kind)
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=5)))
    nbytes = dtype.itemsize * int(np.prod(shape, dtype=int))
    array = np.frombuffer(draw(st.binary(min_size=nbytes, max_size=nbytes)), dtype).reshape(shape)
    if array.ndim:
        axis = draw(st.integers(0, array.ndim - 1))
        array = np.flip(array, axis) if draw(st.booleans()) else np.repeat(array, 2, axis)[::2]
    return array.T if draw(st.booleans()) else array


@given(arrays(), st.sampled_from([None, "gzip"]), st.integers(1, 40))
def test_bytes_are_those_of_the_reference(array: Array, compression: Any, nbytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_SLICE_NBYTES", max(nbytes, array.itemsize))
        data = saved(array, compression=compression)
    assert (gzip.decompress(data) if compression else data) == reference.dumps(array)


def test_layout_is_as_written_out() -> None:
    array = np.array([[1, -2], [3, -4]], dtype="<i2")
    assert saved(array).hex(" ", -2) == "0000 0b02 0000 0002 0000 0002 0001 fffe 0003 fffc"
    assert saved(array.T).hex(" ", -2).endswith("0001 0003 fffe fffc")
    assert saved(np.array(-1, dtype="<i4")).hex(" ", 4) == "00000c00 ffffffff"
    assert saved(np.empty((2, 0), np.uint8)).hex(" ", 4) == "00000802 00000002 00000000"


@pytest.mark.parametrize(
    "array",
    [
        np.arange(3 * MIB, dtype="u1"),
        np.arange(MIB + 1, dtype="<f4").reshape(-1, 1),
        np.arange(600 * 700, dtype="<f8").reshape(600, 700).T,
        np.arange(2 * MIB, dtype=">i4")[::-3],
        np.broadcast_to(np.float32(1.5), (1000, 700)),
    ],
    ids=["u1", "f4", "transposed", "strided", "broadcast"],
)
def test_arrays_of_several_slices(array: Array) -> None:
    assert saved(array) == reference.dumps(array)


def test_as_many_dimensions_as_numpy_holds() -> None:
    array = np.arange(4, dtype="<i2").reshape((2,) + (1,) * 62 + (2,))
    assert saved(array) == reference.dumps(array)
    assert reference.load(saved(array)).ndim == 64


def test_anything_that_asarray_takes() -> None:
    class Wrapper:
        def __array__(self, dtype: object = None, copy: object = None) -> Array:
            return np.array([1, 2], dtype="u1")

    assert saved(Wrapper()) == reference.dumps(np.array([1, 2], dtype="u1"))
    assert saved([[0.5], [1.5]]) == reference.dumps(np.array([[0.5], [1.5]]))
    assert saved(memoryview(b"\1\2")) == reference.dumps(np.array([1, 2], dtype="u1"))
    assert saved(np.float32(2)) == reference.dumps(np.array(2, dtype="f4"))


def test_array_is_neither_changed_nor_kept() -> None:
    array = np.arange(10, dtype="<i4")
    array.setflags(write=False)
    before = sys.getrefcount(array)
    saved(array, compression="gzip")
    assert array.tolist() == list(range(10))
    assert sys.getrefcount(array) == before


@pytest.mark.parametrize("level", [-1, 10])
def test_level_out_of_range_is_refused_even_where_it_is_not_used(old: Path, level: int) -> None:
    with pytest.raises(ValueError, match=f"level: expected an integer from 0 to 9, found {level}"):
        save(old, np.zeros(3, "u1"), compression=None, level=level)


def test_other_misuse_is_refused(old: Path) -> None:
    with pytest.raises(ValueError, match=r"'infer', 'gzip', 'bgzf' or None \(plain\), found 'xz'"):
        save(old, np.zeros(3, "u1"), compression="xz")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="float"):
        save(old, np.zeros(3, "u1"), level=6.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"path or a binary file object.*found ndarray"):
        save(np.zeros(3, "u1"), str(old))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="found bytes"):
        save(os.fsencode(old), np.zeros(3, "u1"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="str"):
        save(io.StringIO(), np.zeros(3, "u1"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (np.zeros(3, "u2"), "int32"),
        ([1, 2, 3], "int32"),
        ([True], "uint8"),
        (np.zeros(3, "u4"), "float64"),
        ("text", "no type of IDX"),
    ],
)
def test_unsupported_type_names_file_and_nearest_type(old: Path, array: Any, advice: str) -> None:
    with pytest.raises(UnsupportedDTypeError) as caught:
        save(old, array)
    assert str(caught.value).startswith(f"{old}: expected an array of a type that IDX has")
    assert advice in str(caught.value).split(";")[1]


def test_file_object_is_named_and_untouched_by_a_refusal(tmp_path: Path) -> None:
    with (tmp_path / "x.idx").open("wb") as file:
        with pytest.raises(UnsupportedDTypeError, match=r"x\.idx: expected"):
            save(file, [1j])
        assert file.tell() == 0
    with pytest.raises(UnsupportedDTypeError, match="<file object>: expected"):
        saved([1j])


def test_name_in_messages_is_printable(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedDTypeError) as caught:
        save(tmp_path / "a\x1b[2J\n.gz", [1j])
    assert r"a\x1b[2J\n.gz: expected" in str(caught.value)
    assert str(caught.value).isprintable()


def test_dimension_of_33_bits_is_refused(old: Path) -> None:
    with pytest.raises(HeaderError, match="found 4,294,967,296"):
        save(old, np.broadcast_to(np.uint8(0), (2**32, 1)))


class Raw(io.RawIOBase):
    """An unbuffered file that takes at most ``most`` bytes at a time."""

    def __init__(self, most: int) -> None:
        self.most, self.content = most, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.content += bytes(data)[: self.most]
        return min(self.most, len(data))


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_partial_writes_are_completed(compression: Any) -> None:
    array = np.arange(1000, dtype="<i4")
    file = Raw(7)
    save(file, array, compression=compression)
    assert bytes(file.content) == saved(array, compression=compression)


def test_a_file_that_takes_nothing_is_an_error_not_a_hang() -> None:
    with pytest.raises(OSError, match="accepted none of 8 bytes"):
        save(Raw(0), np.zeros(3, "u1"))


def test_write_may_return_nothing() -> None:
    class Parts(list[bytes]):
        def write(self, data: bytes) -> None:
            self.append(data)

    parts = Parts()
    save(parts, np.arange(3 * MIB, dtype="u1"))
    assert b"".join(parts) == reference.dumps(np.arange(3 * MIB, dtype="u1"))
    assert max(map(len, parts)) <= MIB


def test_file_object_is_written_from_its_position_and_left_open(tmp_path: Path) -> None:
    array = np.arange(5, dtype="u1")
    with (tmp_path / "two").open("w+b") as file:
        file.write(b"before")
        save(file, array)
        file.write(b"after")
    assert (tmp_path / "two").read_bytes() == b"before" + reference.dumps(array) + b"after"


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_memory_stays_bounded(tmp_path: Path, compression: Any) -> None:
    # A sparse file of 64 MiB takes no room on the disk.
    with (tmp_path / "data").open("wb") as file:
        file.truncate(64 * MIB)
    mapped = np.memmap(tmp_path / "data", "<i4", "r")
    tracemalloc.start()
    try:
        save(tmp_path / "a.idx", mapped.reshape(4, -1).T, compression=compression, level=1)
        assert tracemalloc.get_traced_memory()[1] < 5 * MIB
    finally:
        tracemalloc.stop()
    assert reference.load_frombuffer(tmp_path / "a.idx").shape == (4 * MIB, 4)
