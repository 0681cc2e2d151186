"""Conversion of data wider than 8 bits: `Conversion.apply` computes what plain Python computes."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from conversions import WIDE, applied, assert_same, conversion, conversions, expected, hard_values

from fastidx.errors import ConversionError
from fastidx.items.conversion import BLOCK_NITEMS


@pytest.mark.parametrize(("file", "target", "options"), conversions(WIDE))
def test_hard_values(
    file: str, target: str, options: dict[str, Any], rng: np.random.Generator
) -> None:
    result = conversion(file, target, **options)
    assert result.dtype == target and result.table is None and result.refused is None
    items = hard_values(file, rng)
    wanted = [expected(x.item(), result.dtype, **options) for x in items]
    fits = np.array([value is not None for value in wanted])
    out = np.empty(fits.sum(), target)
    result.apply(items[fits], out)
    assert_same(out, [value for value in wanted if value is not None])
    one = np.empty(1, target)
    for index in rng.permutation(np.flatnonzero(~fits))[:20]:
        with pytest.raises(ConversionError):
            result.apply(items[index : index + 1], one)


@pytest.mark.parametrize(("file", "target"), [c[:2] for c in conversions(WIDE) if not c[2]])
def test_without_arithmetic_it_is_what_numpy_gives(
    file: str, target: str, rng: np.random.Generator
) -> None:
    items = rng.integers(0, 128, 1000).astype(file)
    assert_same(applied(items, target), list(items.astype(target)))


@pytest.mark.parametrize("options", [{"scale": 1 / 3, "offset": -100.5}, {"scale": -1.5}], ids=str)
@pytest.mark.parametrize("target", ["i1", "i2", "u2", "f2", "f4"])
def test_every_16_bit_value(target: str, options: dict[str, Any]) -> None:
    items = np.arange(-(2**15), 2**15, dtype=np.int16)
    wanted = [expected(x, np.dtype(target), **options) for x in items.tolist()]
    fits = np.array([value is not None for value in wanted])
    assert_same(applied(items[fits], target, **options), [v for v in wanted if v is not None])
    for index in np.flatnonzero(fits[1:] != fits[:-1]):  # both sides of each edge
        with pytest.raises(ConversionError):
            applied(items[index : index + 2], target, **options)


def test_floats_are_rounded_to_integers_with_and_without_arithmetic() -> None:
    # Items are rounded in the same way with and without arithmetic.
    items = np.array([-2.7, -0.5, 0.5, 1.5, 2.7], np.float32)
    assert applied(items, "i4").tolist() == [-3, 0, 0, 2, 3]
    assert applied(items, "i4", scale=1).tolist() == [-3, 0, 0, 2, 3]


def test_64_bit_integers_lose_nothing() -> None:
    items = np.array([-(2**31), 2**31 - 1, 16777217], np.int32)
    assert applied(items, "i8").tolist() == items.tolist()
    edge = np.array([2.0**63 - 1024, 2.0**64 - 2048, 2.0**63, 2.0**64])
    assert applied(edge[:3], "u8").tolist() == [2**63 - 1024, 2**64 - 2048, 2**63]
    assert applied(edge[:1], "i8").tolist() == [2**63 - 1024]
    for items, target in ((edge[2:3], "i8"), (edge[3:], "u8"), (np.array([-0.51]), "u8")):
        with pytest.raises(ConversionError):
            applied(items, target)


def test_infinities_and_nan_pass_to_floats_and_bool() -> None:
    items = np.array([math.inf, -math.inf, math.nan])
    assert_same(applied(items, "f4", scale=2.0, offset=1), [math.inf, -math.inf, math.nan])
    assert_same(applied(items, "f2", scale=0), [math.nan, math.nan, math.nan])
    assert_same(applied(items, "?"), [True, True, True])


@pytest.mark.parametrize("nitems", [0, 1, 7, BLOCK_NITEMS + 5])
@pytest.mark.parametrize(
    "options", [{"dtype": "f4"}, {"scale": 0.5}, {"dtype": "i1", "scale": 0.001}], ids=str
)
def test_any_length_is_converted_block_by_block(
    nitems: int, options: dict[str, Any], rng: np.random.Generator
) -> None:
    items = rng.integers(-30_000, 30_000, nitems).astype(np.int16)
    dtype = np.dtype(options.get("dtype", "f8"))
    wanted = [expected(x, dtype, options.get("scale")) for x in items.tolist()]
    assert_same(applied(items, **options), wanted)


def test_many_threads_may_use_one_conversion(rng: np.random.Generator) -> None:
    items = rng.normal(size=400_000).astype(np.float32)
    result = conversion("f4", "f2", scale=1 / 3, offset=7)
    out = np.empty(len(items), np.float16)
    pieces = [slice(begin, begin + 9_999) for begin in range(0, len(items), 9_999)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda piece: result.apply(items[piece], out[piece]), pieces))
    np.testing.assert_array_equal(out, (items.astype("f8") * (1 / 3) + 7).astype("f2"), strict=True)


@pytest.mark.parametrize("file", ["u1", "f8"])
def test_what_numpy_is_told_of_floating_point_errors_is_not_asked(file: str) -> None:
    with np.errstate(all="raise"):
        result = conversion(file, "f4", scale=1e-320, offset=1e-45)
        if result.table is None:
            result.apply(np.array([1.0, math.inf, 1e-300]), np.empty(3, np.float32))
        with pytest.raises(ConversionError, match=r"becomes 2e\+300"):
            raise conversion("u1", "f4", scale=1e300).refusal(2)
        with pytest.raises(ConversionError, match="becomes inf"):
            applied(np.array([1e300]), "f4", scale=1e300)
