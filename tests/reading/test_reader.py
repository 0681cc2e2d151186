"""open(): a reader is indexed, cast, copied from and gone through as the loaded array is."""

from __future__ import annotations

import gzip
import io
import operator
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deflate_writer import gzip_member
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from reader_cases import FORMS, TYPES, Array, assert_same, compressible, form, outcome

import fastidx
from fastidx import ChecksumError, ConversionError, IdxError, TruncatedError, reference

IMAGES = compressible((300, 5, 4), "i4")
EACH_FORM = pytest.mark.parametrize("name", FORMS)
EACH_TYPE = pytest.mark.parametrize("dtype", TYPES)


@pytest.fixture(params=FORMS)
def reader(request: pytest.FixtureRequest) -> Iterator[fastidx.IdxReader]:
    """A reader of IMAGES, in each form."""
    with fastidx.open(form(IMAGES, request.param)) as opened:
        yield opened


@pytest.fixture
def labels() -> Iterator[fastidx.IdxReader]:
    """A reader of one dimension: 0, 1, ... 99."""
    with fastidx.open(form(np.arange(100, dtype="u1"), "gzip")) as opened:
        yield opened


# --- What it is ----------------------------------------------------------------------------------


@EACH_FORM
@EACH_TYPE
@pytest.mark.parametrize("shape", [(7,), (3, 2), (4, 1, 5), (0,), (0, 3), (3, 0), (2, 0, 4)])
def test_properties_are_those_of_the_array(name: str, dtype: str, shape: tuple[int, ...]) -> None:
    array = compressible(shape, dtype)
    content = form(array, name)
    with fastidx.open(content) as reader:
        assert (reader.shape, reader.dtype, reader.ndim) == (shape, array.dtype, len(shape))
        assert len(reader) == shape[0]
        assert reader.header == fastidx.info(content)
        assert_same(np.asarray(reader), array)


def test_its_arrays_are_aligned_as_loaded_ones_are(reader: fastidx.IdxReader) -> None:
    for array in (reader[:7], reader[[5, 1, 250]], next(reader.batches(9)), np.asarray(reader)):
        assert array.ctypes.data % 64 == 0
        assert array.flags.writeable and array.flags.c_contiguous


def test_dtype_is_that_of_the_cast() -> None:
    with fastidx.open(form(np.zeros((3, 2), "u1"), "gzip"), dtype="f4") as reader:
        assert reader.dtype == np.float32
        assert reader.header.dtype == np.uint8


def test_repr_says_what_and_of_what_file(tmp_path: Path) -> None:
    path = tmp_path / "some.idx"
    path.write_bytes(form(IMAGES, "gzip"))
    with fastidx.open(path) as reader:
        for word in ("some.idx", "int32", "(300, 5, 4)", "gzip"):
            assert word in repr(reader)
    assert "closed" in repr(reader)


@EACH_FORM
@pytest.mark.parametrize("kind", ["str", "path", "file", "bytearray", "memoryview", "array"])
def test_source_of_any_kind(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a name with spaces and ü"
    path.write_bytes(content := form(IMAGES, name))
    with path.open("rb") as file:
        sources: dict[str, Any] = {
            "str": str(path),
            "path": path,
            "file": file,
            "bytearray": bytearray(content),
            "memoryview": memoryview(b"xyz" + content + b"xyz")[3:-3],
            "array": np.frombuffer(content, np.uint8),
        }
        with fastidx.open(sources[kind]) as reader:
            assert_same(reader[17], IMAGES[17])
            assert_same(reader[3:40], IMAGES[3:40])


@EACH_FORM
def test_file_object_is_read_from_its_position_on(name: str) -> None:
    file = io.BytesIO(b"something before" + form(IMAGES, name))
    file.seek(16)
    with fastidx.open(file) as reader:
        for i in (299, 0, 150):
            assert_same(reader[i], IMAGES[i])


# --- Indexing ------------------------------------------------------------------------------------

_INTEGERS = st.one_of(
    st.integers(-9, 9),
    st.integers(-9, 9).map(np.int8),
    st.integers(-9, 9).map(np.int64),
    st.integers(0, 9).map(np.uint8),
    st.just(2**70),
)
_LISTS = st.one_of(
    st.lists(st.integers(-8, 8), max_size=6),
    st.lists(st.booleans(), max_size=7),
    st.builds(np.array, st.lists(st.integers(-8, 8)), st.sampled_from(["i1", "i2", "i8", "f8"])),
    st.builds(np.array, st.lists(st.integers(0, 8)), st.sampled_from(["u1", "u4", "u8"])),
    st.builds(np.array, st.lists(st.booleans(), max_size=7), st.just(bool)),
    npst.arrays("i8", st.sampled_from([(), (1, 2), (2, 0)]), elements=st.integers(-3, 3)),
    st.builds(range, st.integers(-3, 3), st.integers(-3, 7)),
)
_SLICES = st.builds(
    slice,
    st.none() | st.integers(-9, 9),
    st.none() | st.integers(-9, 9),
    st.none() | st.integers(-3, 3),
)
_ODD = st.sampled_from([None, ..., True, False, np.True_, 1.0, np.float64(1), "x", b"x"])
_KEY = st.one_of(_INTEGERS, _LISTS, _SLICES, _ODD)
_KEYS = st.one_of(_KEY, st.lists(_KEY, max_size=4).map(tuple))
_SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7)


def assert_indexed_as_array(content: bytes, array: Array, key: Any) -> None:
    with fastidx.open(content) as reader:
        # The second time from what the first has learnt.
        for _ in range(2):
            assert_same(outcome(lambda: reader[key]), outcome(lambda: array[key]))


@EACH_TYPE
@settings(max_examples=150)
@given(data=st.data())
def test_any_key_gives_what_numpy_gives(dtype: str, data: st.DataObject) -> None:
    shape, name = data.draw(_SHAPES), data.draw(st.sampled_from(list(FORMS)))
    array = compressible(shape, dtype)
    assert_indexed_as_array(form(array, name), array, data.draw(_KEYS))


@settings(max_examples=300)
@given(data=st.data())
def test_basic_keys_give_what_numpy_gives(data: st.DataObject) -> None:
    array = compressible(data.draw(_SHAPES), "i2")
    key = data.draw(npst.basic_indices(array.shape, allow_newaxis=True))
    assert_indexed_as_array(form(array, "small blocks"), array, key)


@pytest.mark.parametrize(
    "key",
    [
        (0, slice(None), [1, 2]),
        (-1, slice(None), [[1, 2]]),
        (slice(1, 3), slice(None), [1, 2]),
        (np.array([2, 1]), slice(None), [1, 2]),
        (0, ..., None),
        (slice(None), None, 1),
        (5, np.array([True, False, True, False, True])),
        IMAGES > 10,
        np.arange(300) % 3 == 1,
        (np.arange(300) % 3 == 1, 2, 3),
        [299, 0, 0, -1, 5],
        slice(290, 2, -7),
        slice(2**70, -(2**70), -1),
        (),
    ],
    ids=str,
)
def test_hard_key(reader: fastidx.IdxReader, key: Any) -> None:
    assert_same(reader[key], IMAGES[key])


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i8", "u8"])
def test_numbers_of_narrow_types(dtype: str) -> None:
    array = compressible((70_000,), "i2")
    numbers = np.array([0, 127, 5], dtype)
    with fastidx.open(form(array, "gzip")) as reader:
        assert_same(reader[numbers], array[numbers])
        assert_same(reader[numbers[1]], array[127])
        assert_same(reader.__getitems__(list(numbers)), array[numbers])


@pytest.mark.parametrize("key", [300, -301, [0, 300], np.array([-301]), (300, 0), 2**70])
def test_out_of_range(reader: fastidx.IdxReader, key: Any) -> None:
    with pytest.raises(IndexError):
        reader[key]
    assert_same(reader[7], IMAGES[7])


def test_out_of_range_says_which_and_of_how_many(labels: fastidx.IdxReader) -> None:
    with pytest.raises(IndexError, match=r"index 100 is out of bounds for axis 0 with size 100"):
        labels[[5, 100]]
    with pytest.raises(IndexError, match=r"index -101 is out of bounds for axis 0 with size 100"):
        labels[-101]


def test_what_is_no_index(labels: fastidx.IdxReader) -> None:
    keys: list[Any] = ["5", 1.0, 1 + 0j, {}]
    for key in keys:
        with pytest.raises(IndexError):
            labels[key]


class Number:
    """Something that is an integer only by protocol."""

    def __index__(self) -> int:
        return 7


def test_anything_with_index_is_an_integer(reader: fastidx.IdxReader) -> None:
    assert_same(reader[Number()], IMAGES[7])
    assert_same(reader[Number() :][0], IMAGES[7])


def test_items_of_one_dimension_are_scalars(labels: fastidx.IdxReader) -> None:
    assert type(labels[3]) is np.uint8
    assert all(isinstance(item, np.generic) for item in labels)
    assert type(labels[()]) is np.ndarray


@pytest.mark.parametrize("key", [5, slice(2, 9), slice(None, None, -1), [1, 2], ...], ids=str)
def test_results_are_copies(key: Any) -> None:
    content = bytearray(form(IMAGES, "plain"))
    with fastidx.open(content) as reader:
        first = reader[key]
        assert type(first) is np.ndarray
        assert first.flags.writeable and first.flags.c_contiguous
        first[...] = 99
        assert_same(reader[key], IMAGES[key])
    assert content == form(IMAGES, "plain")


def test_backwards(labels: fastidx.IdxReader) -> None:
    assert [int(item) for item in reversed(labels)] == list(range(99, -1, -1))


def test_as_torch_and_grain_ask(reader: fastidx.IdxReader) -> None:
    items = reader.__getitems__([5, 299, 5, 0])
    assert len(items) == 4
    assert_same(np.stack(list(items)), IMAGES[[5, 299, 5, 0]])
    assert_same(reader.__getitem__(298), IMAGES[298])
    assert_same(reader.__getitems__([]), IMAGES[:0])
    assert operator.length_hint(reader) == 300


def test_getitems_refuses_what_is_no_list_of_integers(labels: fastidx.IdxReader) -> None:
    for numbers in ([[1, 2]], [1.5], 3):
        with pytest.raises(IndexError):
            labels.__getitems__(numbers)  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="100"):
        labels.__getitems__([1, 100])


# --- Casts ---------------------------------------------------------------------------------------

_CASTS: dict[str, dict[str, Any]] = {
    "dtype": {"dtype": "f4"},
    "wider": {"dtype": np.int64},
    "bool": {"dtype": bool},
    "scale": {"dtype": "f8", "scale": Fraction(1, 255)},
    "offset": {"dtype": "f4", "scale": 0.5, "offset": -3},
}


@EACH_FORM
@EACH_TYPE
@pytest.mark.parametrize("cast", _CASTS)
def test_casts_are_those_of_load(name: str, dtype: str, cast: str) -> None:
    content = form(compressible((40, 3, 5), dtype), name)
    expected = fastidx.load(content, **_CASTS[cast])
    with fastidx.open(content, **_CASTS[cast]) as reader:
        for key in (7, slice(3, 30, 4), [39, -40], slice(None, None, -1), (2, 1)):
            assert_same(reader[key], expected[key])
        assert_same(np.asarray(reader), expected)
        assert_same(np.concatenate(list(reader.batches(9))), expected)


@EACH_FORM
def test_lut(name: str) -> None:
    array = compressible((40, 3), "u1")
    table = np.arange(256, dtype="f8") ** 2
    with fastidx.open(form(array, name), lut=table) as reader:
        assert_same(reader[5:8], table[array[5:8]])
        assert_same(reader[[39, 0], 1], table[array[[39, 0], 1]])


@EACH_FORM
@pytest.mark.parametrize("dtype", ["u1", "i2"])
def test_refused_value_does_not_shift_what_is_read_next(name: str, dtype: str) -> None:
    array = np.arange(100, dtype=dtype)
    array[50] = 200
    with fastidx.open(form(array, name), dtype="i1") as reader:
        for _ in range(2):
            with pytest.raises(ConversionError, match="200"):
                reader[0:60]
            assert_same(reader[0:10], array[0:10].astype("i1"))
            with pytest.raises(ConversionError, match="200"):
                reader[10:60]
            assert_same(reader[10:50], array[10:50].astype("i1"))
            assert_same(reader[51:], array[51:].astype("i1"))


def test_casts_that_make_no_sense_are_refused_on_opening(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(form(IMAGES, "gzip"))
    with pytest.raises(TypeError, match="dtype"):
        fastidx.open(path, dtype="U3")
    with pytest.raises((TypeError, ValueError), match="lut"):
        fastidx.open(path, lut=np.arange(256))


# --- read_into -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "n"), [(0, 10), (7, 293), (295, 5), (0, 0), (300, 0), (299, 1)])
def test_read_into_fills_the_array(reader: fastidx.IdxReader, start: int, n: int) -> None:
    out = np.full((n, 5, 4), -1, "i4")
    assert reader.read_into(out, start) == n
    assert_same(out, IMAGES[start : start + n])


def test_read_into_at_the_end_reads_fewer_and_leaves_the_rest(reader: fastidx.IdxReader) -> None:
    out = np.full((10, 5, 4), -77, "i4")
    assert reader.read_into(out, start=296) == 4
    assert_same(out[:4], IMAGES[296:])
    assert (out[4:] == -77).all()
    assert reader.read_into(out, 300) == 0


def test_read_into_a_part_of_an_array(reader: fastidx.IdxReader) -> None:
    big = np.zeros((30, 5, 4), "i4")
    assert reader.read_into(big[10:20], np.int64(100)) == 10  # type: ignore[arg-type]
    assert_same(big[10:20], IMAGES[100:110])
    assert not big[:10].any() and not big[20:].any()


def read_only() -> Array:
    out = np.zeros((2, 5, 4), "i4")
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("out", "kind", "message"),
    [
        (np.zeros((2, 5, 4), "i8"), ValueError, "out: expected dtype int32.*found int64"),
        (np.zeros((2, 5, 4), ">i4"), ValueError, "other byte order"),
        (np.zeros((2, 5), "i4"), ValueError, r"out: expected shape \(2, 5, 4\), found \(2, 5\)"),
        (np.zeros((2, 4, 5), "i4"), ValueError, r"expected shape \(2, 5, 4\)"),
        (np.zeros((4, 5, 2), "i4").T, ValueError, "C-contiguous"),
        (np.zeros((4, 5, 4), "i4")[::2], ValueError, "C-contiguous"),
        (read_only(), ValueError, "writable"),
        (np.zeros((), "i4"), TypeError, "out: expected an array of items"),
        (bytearray(160), TypeError, "expected an array of items, found bytearray"),
        (None, TypeError, "found NoneType"),
    ],
)
def test_read_into_refuses(out: Any, kind: type[Exception], message: str) -> None:
    with (
        fastidx.open(form(IMAGES, "gzip")) as reader,
        pytest.raises(kind, match=message),
    ):
        reader.read_into(out)


@pytest.mark.parametrize(("start", "kind"), [(-1, IndexError), (301, IndexError), (1.0, TypeError)])
def test_read_into_refuses_a_start(start: Any, kind: type[Exception]) -> None:
    out = np.full((2, 5, 4), 3, "i4")
    with fastidx.open(form(IMAGES, "gzip")) as reader, pytest.raises(kind):
        reader.read_into(out, start)
    assert (out == 3).all()


def test_read_into_of_a_subclass(reader: fastidx.IdxReader) -> None:
    out = np.ma.masked_array(np.zeros((3, 5, 4), "i4"))
    assert reader.read_into(out, 4) == 3
    assert_same(out.data, IMAGES[4:7])


# --- batches and iteration -----------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 100, 299, 300, 301, 10**6])
def test_batches_are_the_whole_in_order(reader: fastidx.IdxReader, n: int) -> None:
    batches = list(reader.batches(n))
    assert [len(batch) for batch in batches[:-1]] == [n] * (len(batches) - 1)
    assert 0 < len(batches[-1]) <= n
    assert_same(np.concatenate(batches), IMAGES)


@settings(max_examples=150)
@given(
    n=st.integers(1, 12),
    start=st.integers(-14, 14),
    stop=st.none() | st.integers(-14, 14),
    drop_last=st.booleans(),
    name=st.sampled_from(list(FORMS)),
)
def test_batches_of_a_part(
    n: int, start: int, stop: int | None, drop_last: bool, name: str
) -> None:
    array = compressible((10, 3), "i2")
    part = array[start:stop]
    last = len(part) // n * n if drop_last else len(part)
    expected = [part[i : min(i + n, last)] for i in range(0, last, n)]
    with fastidx.open(form(array, name)) as reader:
        batches = list(reader.batches(n, start=start, stop=stop, drop_last=drop_last))
    assert len(batches) == len(expected)
    for found, wanted in zip(batches, expected, strict=True):
        assert_same(found, wanted)


def test_batches_are_independent_arrays_without_out(reader: fastidx.IdxReader) -> None:
    first, second, *_ = reader.batches(10)
    first[:] = 0
    assert_same(second, IMAGES[10:20])


def test_batches_reuse_out(reader: fastidx.IdxReader) -> None:
    out = np.empty((128, 5, 4), "i4")
    sizes = []
    for i, batch in enumerate(reader.batches(128, out=out)):
        assert np.shares_memory(batch, out)
        assert_same(batch, IMAGES[i * 128 : (i + 1) * 128])
        sizes.append(len(batch))
    assert sizes == [128, 128, 44]


@pytest.mark.parametrize(
    "out",
    [
        np.empty((4, 5, 4), "i4"),
        np.empty((3, 5, 4), "i8"),
        np.empty((3, 5), "i4"),
        np.empty((3, 5, 8), "i4")[..., ::2],
        read_only(),
        bytearray(240),
    ],
    ids=["too many", "type", "shape", "gaps", "too few, read-only", "no array"],
)
def test_batches_refuse_an_out_at_once(out: Any) -> None:
    with (
        fastidx.open(form(IMAGES, "gzip")) as reader,
        pytest.raises((TypeError, ValueError), match="out: expected"),
    ):
        reader.batches(3, out=out)


@pytest.mark.parametrize(("n", "kind"), [(0, ValueError), (-3, ValueError), (2.0, TypeError)])
def test_batches_refuse_a_size_at_once(n: Any, kind: type[Exception]) -> None:
    with fastidx.open(form(IMAGES, "gzip")) as reader, pytest.raises(kind):
        reader.batches(n)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (0, 0)])
def test_no_items_give_no_batches(shape: tuple[int, ...]) -> None:
    with fastidx.open(form(np.zeros(shape, "f4"), "gzip")) as reader:
        assert list(reader.batches(5)) == []
        assert list(reader) == []


def test_items_without_bytes_are_batched_too() -> None:
    with fastidx.open(form(np.zeros((5, 0, 3), "f4"), "gzip")) as reader:
        assert [batch.shape for batch in reader.batches(2)] == [(2, 0, 3), (2, 0, 3), (1, 0, 3)]
        assert [item.shape for item in reader] == [(0, 3)] * 5


def test_two_sets_of_batches_at_once(reader: fastidx.IdxReader) -> None:
    pairs = list(zip(reader.batches(50), reader.batches(50, start=150), strict=False))
    assert len(pairs) == 3
    for i, (early, late) in enumerate(pairs):
        assert_same(early, IMAGES[50 * i : 50 * i + 50])
        assert_same(late, IMAGES[150 + 50 * i : 200 + 50 * i])


def test_random_items_between_batches(reader: fastidx.IdxReader) -> None:
    for i, batch in enumerate(reader.batches(40)):
        assert_same(batch, IMAGES[40 * i : 40 * i + 40])
        assert_same(reader[(i * 37) % 300], IMAGES[(i * 37) % 300])


def test_iteration_gives_items(reader: fastidx.IdxReader) -> None:
    items = list(reader)
    assert len(items) == 300
    for found, expected in zip(items, IMAGES, strict=True):
        assert_same(found, expected)
    assert_same(next(iter(reader)), IMAGES[0])


def test_iteration_over_more_than_one_inner_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastidx.reading.reader._BATCH_NBYTES", 100)
    with fastidx.open(form(IMAGES, "gzip")) as reader:
        assert_same(np.stack(list(reader)), IMAGES)


# --- numpy ---------------------------------------------------------------------------------------


def test_numpy_makes_arrays_of_it(reader: fastidx.IdxReader) -> None:
    assert_same(np.asarray(reader), IMAGES)
    assert_same(np.array(reader, dtype="f8"), IMAGES.astype("f8"))
    assert_same(np.asarray(reader, np.int16), IMAGES.astype("i2"))
    assert_same(np.array(reader, copy=True), IMAGES)
    assert int(np.sum(reader)) == IMAGES.sum()


def test_numpy_cannot_have_it_without_a_copy(reader: fastidx.IdxReader) -> None:
    with pytest.raises(ValueError, match="as_memmap"):
        np.array(reader, copy=False)


# --- One element, and nothing --------------------------------------------------------------------


@EACH_FORM
@EACH_TYPE
def test_one_element(name: str, dtype: str) -> None:
    array = np.array(7, dtype)
    with fastidx.open(form(array, name)) as reader:
        assert (reader.shape, reader.ndim) == ((), 0)
        assert_same(np.asarray(reader), array)
        for key in ((), ..., None, (None, ...), True, 0, slice(None), [0], (0, 0)):
            at_key = operator.itemgetter(key)
            assert_same(outcome(lambda: at_key(reader)), outcome(lambda: at_key(array)))  # noqa: B023


def test_one_element_has_no_length() -> None:
    with fastidx.open(form(np.float64(7), "gzip")) as reader:
        calls: list[Callable[[], Any]] = [
            lambda: len(reader),
            lambda: list(reader),
            lambda: list(reader.batches(1)),
        ]
        for call in calls:
            with pytest.raises(TypeError, match="one single element"):
                call()


# --- as_memmap -----------------------------------------------------------------------------------


@EACH_TYPE
@pytest.mark.parametrize("shape", [(6, 5), (), (0, 3), (3, 0), (9,)])
def test_memmap_of_a_plain_file(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = compressible(shape, dtype)
    path = tmp_path / "file"
    path.write_bytes(form(array, "plain"))
    with fastidx.open(path) as reader:
        mapped = reader.as_memmap()
    assert mapped.dtype == array.dtype.newbyteorder(">")
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    assert_same(np.asarray(mapped).astype(dtype), array)


@pytest.mark.parametrize("shape", [(6, 5), (), (0, 3)])
def test_memmap_of_bytes_is_a_view(shape: tuple[int, ...]) -> None:
    array = compressible(shape, "i4")
    content = bytearray(form(array, "plain"))
    with fastidx.open(content) as reader:
        view = reader.as_memmap()
    assert not view.flags.writeable
    assert view.size == 0 or np.shares_memory(view, np.frombuffer(content, np.uint8))
    assert_same(view.astype("i4"), array)


def test_memmap_refuses_what_must_be_decoded(tmp_path: Path) -> None:
    for name in ("gzip", "plain"):
        (tmp_path / name).write_bytes(form(IMAGES, name))
    with fastidx.open(tmp_path / "gzip") as reader, pytest.raises(ValueError, match="uncompressed"):
        reader.as_memmap()
    with (
        fastidx.open(tmp_path / "plain", dtype="f4") as reader,
        pytest.raises(ValueError, match="no conversion"),
    ):
        reader.as_memmap()
    with (
        fastidx.open(io.BytesIO(form(IMAGES, "plain"))) as reader,
        pytest.raises(ValueError, match="local file or bytes"),
    ):
        reader.as_memmap()


# --- Damaged files -------------------------------------------------------------------------------

NOISE = np.random.default_rng(3).integers(0, 256, (400, 100), np.uint8)


@pytest.mark.parametrize("name", [name for name in FORMS if name != "plain"])
def test_truncated_file_gives_what_is_there_and_an_error_for_the_rest(name: str) -> None:
    content = form(NOISE, name)
    with fastidx.open(content[: len(content) // 2]) as reader:
        for _ in range(2):
            assert_same(reader[:100], NOISE[:100])
            for key in (399, slice(None), slice(180, 300), [0, 399], ...):
                with pytest.raises(IdxError):
                    reader[key]
            with pytest.raises(IdxError):
                np.asarray(reader)
            with pytest.raises(IdxError):
                list(reader.batches(150))


@pytest.mark.parametrize("first", [0, 250, 399])
def test_truncated_file_says_how_much_there_is(first: int) -> None:
    content = form(NOISE, "gzip")
    there = len(reference_part(content[:20_000])) - 12
    message = f"holds {there:,} of 40,000 data bytes; {there // 100} of 400 items.*breaks off"
    with (
        fastidx.open(content[:20_000]) as reader,
        pytest.raises(TruncatedError, match=message),
    ):
        reader[first:]


def reference_part(content: bytes) -> bytes:
    """What can be decompressed of a gzip file that was cut."""
    file = gzip.GzipFile(fileobj=io.BytesIO(content))
    part = b""
    try:
        while piece := file.read1(100):
            part += piece
    except EOFError:
        pass
    return part


def test_plain_file_that_is_too_short_is_refused_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(form(NOISE, "plain")[:-1])
    with fastidx.open(path) as reader:
        assert_same(reader[:-1], NOISE[:-1])
        with pytest.raises(TruncatedError, match=re.escape(str(path))):
            reader[-1]


def test_header_that_claims_more_than_the_stream_holds() -> None:
    content = gzip.compress(fastidx.IdxHeader(0x08, (500, 100)).to_bytes() + NOISE.tobytes())
    with fastidx.open(content) as reader:
        assert_same(reader[399], NOISE[399])
        for key in (400, slice(399, 401), ...):
            with pytest.raises(TruncatedError, match="the header claims more than was written"):
                reader[key]


LARGE = np.random.default_rng(4).integers(0, 16, (300, 10_000), np.uint8)
_PLAIN = reference.dumps(LARGE)
_HALVES = _PLAIN[:1_000_000], _PLAIN[1_000_000:]
FALSE_CHECKSUMS = {
    "the only": gzip_member(_PLAIN, crc=1),
    "first of two": gzip_member(_HALVES[0], crc=1) + gzip_member(_HALVES[1]),
    "second of two": gzip_member(_HALVES[0]) + gzip_member(_HALVES[1], crc=1),
    "size": gzip_member(_PLAIN, isize=1),
}
WAYS: dict[str, Callable[[fastidx.IdxReader], Any]] = {
    "array": np.asarray,
    "slice": lambda reader: reader[:],
    "reverse": lambda reader: reader[::-1],
    "batches": lambda reader: list(reader.batches(7)),
    "items": list,
    "gather": lambda reader: reader[list(range(300))],
    "mask": lambda reader: reader[np.ones(300, bool)],
    "by number": lambda reader: [reader[i] for i in range(300)],
    "read_into": lambda reader: reader.read_into(np.empty(LARGE.shape, "u1")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("content", FALSE_CHECKSUMS.values(), ids=FALSE_CHECKSUMS)
def test_false_checksum_is_found_by_whoever_reads_all(content: bytes, way: str) -> None:
    with fastidx.open(content) as reader:
        for _ in range(2):
            with pytest.raises(ChecksumError):
                WAYS[way](reader)


@pytest.mark.parametrize("content", FALSE_CHECKSUMS.values(), ids=FALSE_CHECKSUMS)
def test_checksums_are_not_compared_if_not_asked_for(content: bytes) -> None:
    with fastidx.open(content, verify=False) as reader:
        assert_same(np.asarray(reader), LARGE)
        assert_same(reader[150], LARGE[150])
