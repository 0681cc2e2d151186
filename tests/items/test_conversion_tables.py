"""Conversion of 8-bit data: the tables, computed or given, hold what plain Python computes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from conversions import BYTES, TARGETS, assert_same, conversion, conversions, expected, hard_values


@pytest.mark.parametrize(("file", "target", "options"), conversions(["u1", "i1"]))
def test_table_of_all_256_values(file: str, target: str, options: dict[str, Any]) -> None:
    result = conversion(file, target, **options)
    assert result.dtype == target and result.table is not None
    assert result.table.flags.c_contiguous and result.table.dtype == target
    wanted = [expected(x.item(), result.dtype, **options) for x in BYTES.view(file)]
    refused = [value is None for value in wanted]
    assert_same(result.table, [0 if value is None else value for value in wanted])
    assert (result.refused is not None) == any(refused)
    if result.refused is not None:
        assert result.refused.dtype == bool and result.refused.tolist() == refused


@pytest.mark.parametrize("file", ["u1", "i1"])
def test_fraction_divides_as_the_tutorials_do(file: str) -> None:
    items = BYTES.view(file)
    table = conversion(file, scale=Fraction(1, 255)).table
    assert table is not None and table.dtype == np.float64
    assert_same(table, list(items / 255.0))
    assert_same(conversion(file, "f4", scale=Fraction(1, 255)).table, list(items / 255.0))  # type: ignore[arg-type]
    product = conversion(file, scale=1 / 255).table
    assert product is not None and not np.array_equal(table, product)
    assert_same(product, list(items.astype(np.float64) * (1 / 255)))


def test_product_and_sum_are_rounded_one_by_one() -> None:
    # A fused operation rounds once, to the float64 nearest to the exact sum. Here two roundings
    # give other numbers.
    table = conversion("u1", scale=0.1, offset=0.1).table
    assert table is not None
    fused = [float(x * Fraction(0.1) + Fraction(0.1)) for x in range(256)]
    assert any(table[x] != fused[x] for x in range(256))
    assert_same(table, [x * 0.1 + 0.1 for x in range(256)])


def test_ties_go_to_even() -> None:
    table = conversion("i1", "i4", scale=0.5).table
    assert table is not None
    assert table[:8].tolist() == [0, 0, 1, 2, 2, 2, 3, 4]
    assert table[-7:].tolist() == [-4, -3, -2, -2, -2, -1, 0]


def test_negative_zero_stays_without_an_offset_and_not_with_one() -> None:
    without, with_one = (
        conversion("u1", scale=-1.0).table,
        conversion("u1", scale=-1.0, offset=0).table,
    )
    assert without is not None and math.copysign(1, without[0]) == -1
    assert with_one is not None and math.copysign(1, with_one[0]) == 1


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("file", ["u1", "i1"])
def test_lut_is_what_indexing_gives(file: str, kind: str, rng: np.random.Generator) -> None:
    lut = rng.integers(0, 256, 256, np.uint8).view("i1" if kind != "u1" else "u1").astype(kind)
    result = conversion(file, lut=lut)
    assert result.dtype == kind and result.table is not None and result.refused is None
    items = BYTES.view(file)
    assert_same(result.table[items.view(np.uint8)], list(lut[items]))


@pytest.mark.parametrize("order", ["<", ">"])
def test_lut_of_either_byte_order(order: str) -> None:
    lut = np.linspace(-1, 1, 256).astype(f"{order}f4")
    result = conversion("u1", lut=lut)
    assert result.dtype.isnative and result.table is not None and result.table.dtype.isnative
    assert_same(result.table, list(lut))


@pytest.mark.parametrize(
    ("lut", "dtype"),
    [
        (list(range(256)), np.dtype(int)),
        ([x / 3 for x in range(256)], np.dtype(float)),
        ([x > 9 for x in range(256)], np.dtype(bool)),
        (bytearray(range(256)), np.dtype(np.uint8)),
        (np.arange(512, dtype="i2")[::2], np.dtype(np.int16)),
    ],
    ids=["ints", "floats", "bools", "bytearray", "strided"],
)
def test_lut_of_any_kind(lut: Any, dtype: np.dtype[Any]) -> None:
    result = conversion("u1", lut=lut)
    assert result.dtype == dtype and result.table is not None and result.table.flags.c_contiguous
    assert_same(result.table, list(lut))


def test_lut_is_copied() -> None:
    lut = np.arange(256, dtype=np.float32)
    result = conversion("u1", lut=lut)
    lut[:] = -1
    assert result.table is not None and result.table[255] == 255


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", TARGETS)
def test_lut_is_rounded_to_dtype(kind: str, target: str, rng: np.random.Generator) -> None:
    lut = hard_values("f8", rng)[:256]
    if kind != "?" and kind[0] != "f":
        limits = np.iinfo(kind)
        top = np.nextafter(limits.max, 0) if limits.max > 2**53 else limits.max
        lut = np.clip(np.nan_to_num(lut), limits.min, top)
    with np.errstate(over="ignore"):
        lut = lut.astype(kind)
    result = conversion("u1", target, lut=lut)
    wanted = [expected(x.item(), result.dtype) for x in lut]
    refused = [value is None for value in wanted]
    assert result.table is not None and result.dtype == target
    assert_same(result.table, [0 if value is None else value for value in wanted])
    assert refused == (result.refused.tolist() if result.refused is not None else [False] * 256)
