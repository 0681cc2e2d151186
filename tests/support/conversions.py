"""Conversions to test, and the same arithmetic in plain Python to compare them with."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np

from fastidx.format.header import IdxHeader
from fastidx.items.conversion import Conversion, conversion_for

Array = np.ndarray[Any, Any]

TYPE_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
WIDE = ["i2", "i4", "f4", "f8"]
TARGETS = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
BYTES = np.arange(256, dtype=np.uint8)

# Usual factors and summands; ties; products that are not exact; the edges of types.
ARITHMETIC: list[dict[str, Any]] = [
    {"scale": 1 / 255},
    {"scale": Fraction(1, 255)},
    {"scale": Fraction(2, 255), "offset": -1},
    {"scale": 1 / 127.5, "offset": -1.0},
    {"scale": 1 / 0.3081, "offset": -0.1307 / 0.3081},
    {"scale": 0.5},
    {"scale": -0.5, "offset": 0.25},
    {"scale": 0.1, "offset": 0.1},
    {"offset": -128},
    {"offset": 0},
    {"scale": 257},
    {"scale": 2.0**24, "offset": 1},
    {"scale": 2.0**55, "offset": 2.0**62},
    {"scale": 0},
    {"scale": -1.0},
    {"scale": 1e306},
]


def conversions(files: list[str]) -> list[tuple[str, str, dict[str, Any]]]:
    """List every type to every other, and to itself where something is computed."""
    every = itertools.product(files, TARGETS, [{}, *ARITHMETIC])
    return [(file, target, options) for file, target, options in every if file != target or options]


def header(file: str, nitems: int = 0) -> IdxHeader:
    return IdxHeader(TYPE_CODES[file], (nitems,))


def conversion(file: str, *args: Any, **options: Any) -> Conversion:
    result = conversion_for(header(file), *args, name="the file", **options)
    assert result is not None
    return result


def applied(items: Array, *args: Any, **options: Any) -> Array:
    result = conversion(items.dtype.str[1:], *args, **options)
    out = np.empty(len(items), result.dtype)
    result.apply(items, out)
    return out


def expected(item: Any, dtype: np.dtype[Any], scale: Any = None, offset: Any = None) -> Any:
    """Compute the result for one item in plain Python; None if it must be refused."""
    value = item
    if isinstance(scale, Fraction):
        value = float(value) * float(scale.numerator) / float(scale.denominator)
    elif scale is not None:
        value = float(value) * float(scale)
    if offset is not None:
        value = float(value) + float(offset)
    if dtype.kind == "b":
        return value != 0
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            result = dtype.type(value)
        return None if math.isfinite(item) and math.isinf(result) else result
    if not math.isfinite(value):
        return None
    limits = np.iinfo(dtype)
    return round(value) if limits.min <= round(value) <= limits.max else None


def assert_same(found: Array, wanted: list[Any]) -> None:
    array = np.array(wanted, found.dtype)
    np.testing.assert_array_equal(found, array, strict=True)
    numbers = ~np.isnan(array)
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(array[numbers]))


def hard_values(file: str, rng: np.random.Generator) -> Array:
    """Return random items of all magnitudes, ties, and the edges of every type."""
    dtype = np.dtype(file)
    edges = [
        s * 2**e + d for e in (7, 8, 15, 16, 31, 32, 63, 64) for d in (-1, 0, 1) for s in (-1, 1)
    ]
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        numbers = [n for n in [*range(-3, 4), *edges] if limits.min <= n <= limits.max]
        some = rng.integers(limits.min, limits.max, 300, dtype, endpoint=True)
        return np.concatenate(
            [np.array([*numbers, limits.min, limits.max], dtype), some, some // 999]
        )
    info = np.finfo(dtype)
    extremes = [info.max, info.tiny, info.smallest_subnormal, 65519.0, 65520.0, 3.4028236e38]
    special = [0.0, 0.5, 1.5, 2.5, 0.49999997, math.inf, math.nan, 1e-46, 1e40, *extremes]
    bits = rng.integers(0, 2 ** (8 * dtype.itemsize), 300, f"u{dtype.itemsize}").view(dtype)
    with np.errstate(over="ignore"):
        fixed = np.array([*special, *edges, *np.array(edges) + 0.5], np.float64).astype(dtype)
    some = rng.uniform(-300, 300, 300).astype(dtype)
    return np.concatenate([fixed, -fixed, bits, some, np.round(some) + dtype.type(0.5)])
