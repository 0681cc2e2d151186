"""Conversion of items: plan(), its tables, and apply(), against arithmetic in plain Python."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fastidx import IdxError
from fastidx.errors import ConversionError
from fastidx.format.header import IdxHeader
from fastidx.items import conversion
from fastidx.items.conversion import Conversion, plan

Array = np.ndarray[Any, Any]

TYPE_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
WIDE = ["i2", "i4", "f4", "f8"]
TARGETS = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
BYTES = np.arange(256, dtype=np.uint8)

# Factor and summand: what people use; ties; products that are not exact; the edges of types.
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
    """Every type to every other, and to itself where something is computed."""
    every = itertools.product(files, TARGETS, [{}, *ARITHMETIC])
    return [(file, target, options) for file, target, options in every if file != target or options]


def header(file: str, nitems: int = 0) -> IdxHeader:
    return IdxHeader(TYPE_CODES[file], (nitems,))


def planned(file: str, *args: Any, **options: Any) -> Conversion:
    result = plan(header(file), *args, source="the file", **options)
    assert result is not None
    return result


def applied(items: Array, *args: Any, **options: Any) -> Array:
    result = planned(items.dtype.str[1:], *args, **options)
    out = np.empty(len(items), result.dtype)
    result.apply(items, out)
    return out


def expected(item: Any, dtype: np.dtype[Any], scale: Any = None, offset: Any = None) -> Any:
    """What is to become of one item; None if it is to be refused."""
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
    """Random items of all magnitudes, ties, and the edges of every type."""
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


# --- 8-bit data: tables ---------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "target", "options"), conversions(["u1", "i1"]))
def test_table_of_all_256_values(file: str, target: str, options: dict[str, Any]) -> None:
    result = planned(file, target, **options)
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
    table = planned(file, scale=Fraction(1, 255)).table
    assert table is not None and table.dtype == np.float64
    assert_same(table, list(items / 255.0))
    assert_same(planned(file, "f4", scale=Fraction(1, 255)).table, list(items / 255.0))  # type: ignore[arg-type]
    product = planned(file, scale=1 / 255).table
    assert product is not None and not np.array_equal(table, product)
    assert_same(product, list(items.astype(np.float64) * (1 / 255)))


def test_product_and_sum_are_rounded_one_by_one() -> None:
    # Exactly, x * 0.1 + 0.1 lies elsewhere than a float64 for the rounded product: a fused
    # operation would give the nearest to the exact sum.
    table = planned("u1", scale=0.1, offset=0.1).table
    assert table is not None
    fused = [float(x * Fraction(0.1) + Fraction(0.1)) for x in range(256)]
    assert any(table[x] != fused[x] for x in range(256))
    assert_same(table, [x * 0.1 + 0.1 for x in range(256)])


def test_ties_go_to_even() -> None:
    table = planned("i1", "i4", scale=0.5).table
    assert table is not None
    assert table[:8].tolist() == [0, 0, 1, 2, 2, 2, 3, 4]
    assert table[-7:].tolist() == [-4, -3, -2, -2, -2, -1, 0]


def test_negative_zero_stays_without_an_offset_and_not_with_one() -> None:
    without, with_one = planned("u1", scale=-1.0).table, planned("u1", scale=-1.0, offset=0).table
    assert without is not None and math.copysign(1, without[0]) == -1
    assert with_one is not None and math.copysign(1, with_one[0]) == 1


# --- 8-bit data: lut ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("file", ["u1", "i1"])
def test_lut_is_what_indexing_gives(file: str, kind: str, rng: np.random.Generator) -> None:
    lut = rng.integers(0, 256, 256, np.uint8).view("i1" if kind != "u1" else "u1").astype(kind)
    result = planned(file, lut=lut)
    assert result.dtype == kind and result.table is not None and result.refused is None
    items = BYTES.view(file)
    assert_same(result.table[items.view(np.uint8)], list(lut[items]))


@pytest.mark.parametrize("order", ["<", ">"])
def test_lut_of_either_byte_order(order: str) -> None:
    lut = np.linspace(-1, 1, 256).astype(f"{order}f4")
    result = planned("u1", lut=lut)
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
    result = planned("u1", lut=lut)
    assert result.dtype == dtype and result.table is not None and result.table.flags.c_contiguous
    assert_same(result.table, list(lut))


def test_lut_is_copied() -> None:
    lut = np.arange(256, dtype=np.float32)
    result = planned("u1", lut=lut)
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
    result = planned("u1", target, lut=lut)
    wanted = [expected(x.item(), result.dtype) for x in lut]
    refused = [value is None for value in wanted]
    assert result.table is not None and result.dtype == target
    assert_same(result.table, [0 if value is None else value for value in wanted])
    assert refused == (result.refused.tolist() if result.refused is not None else [False] * 256)


# --- The other types: apply() ---------------------------------------------------------------------


@pytest.mark.parametrize(("file", "target", "options"), conversions(WIDE))
def test_hard_values(
    file: str, target: str, options: dict[str, Any], rng: np.random.Generator
) -> None:
    result = planned(file, target, **options)
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
    # An item without arithmetic is rounded as with it: scale=1 must make no difference.
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


@pytest.mark.parametrize("nitems", [0, 1, 7, conversion._BLOCK_NITEMS + 5])
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
    result = planned("f4", "f2", scale=1 / 3, offset=7)
    out = np.empty(len(items), np.float16)
    pieces = [slice(begin, begin + 9_999) for begin in range(0, len(items), 9_999)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda piece: result.apply(items[piece], out[piece]), pieces))
    np.testing.assert_array_equal(out, (items.astype("f8") * (1 / 3) + 7).astype("f2"), strict=True)


@pytest.mark.parametrize("file", ["u1", "f8"])
def test_what_numpy_is_told_of_floating_point_errors_is_not_asked(file: str) -> None:
    with np.errstate(all="raise"):
        result = planned(file, "f4", scale=1e-320, offset=1e-45)
        if result.table is None:
            result.apply(np.array([1.0, math.inf, 1e-300]), np.empty(3, np.float32))
        with pytest.raises(ConversionError, match=r"becomes 2e\+300"):
            raise planned("u1", "f4", scale=1e300).refusal(2)
        with pytest.raises(ConversionError, match="becomes inf"):
            applied(np.array([1e300]), "f4", scale=1e300)


# --- Refusals -------------------------------------------------------------------------------------


def test_refusal_names_file_value_type_and_remedy() -> None:
    for result, byte, words in (
        (planned("u1", "i1"), 200, "found 200; "),
        (planned("i1", "u1"), 0xFF, "found -1; "),
        (planned("u1", "u1", scale=2), 200, "found 200, which becomes 400.0; "),
        (planned("u1", "u1", lut=range(1000, 1256)), 3, "found 3, which lut maps to 1003; "),
        (planned("i1", "u1", lut=range(-128, 128)), 0x80, "found -128, which lut maps to 0; "),
    ):
        error = result.refusal(byte)
        assert isinstance(error, IdxError)
        message = str(error)
        assert message.startswith(f"the file: expected values that {result.dtype.name} can hold (")
        assert words in message and "choose a dtype that holds it" in message
        assert ("change lut" if "lut" in words else "scale and offset") in message


@pytest.mark.parametrize(
    ("items", "options", "words"),
    [
        ([1, 300], {"dtype": "u1"}, r"uint8 can hold \(0 to 255\), found 300; "),
        ([-1, 300], {"dtype": "u1"}, r"found -1; "),
        ([1.0, math.nan], {"dtype": "i4"}, r"int32 can hold \(-2147483648 to .*\), found nan; "),
        ([-math.inf], {"dtype": "i8"}, r"found -inf; "),
        ([1, 7e4], {"dtype": "f2"}, r"float16 can hold \(up to 65504, .*\), found 70000.0; "),
        ([1, 3e38], {"dtype": "f4", "scale": 2.5}, r"\(up to 3.40282e\+38, .* becomes 7.5e\+38; "),
        ([2.0], {"dtype": "f8", "scale": 1e308}, r"found 2.0, which becomes inf; "),
    ],
)
def test_first_refused_value_is_named(
    items: list[Any], options: dict[str, Any], words: str
) -> None:
    array = np.array(items, "i4" if isinstance(items[-1], int) else "f8")
    with pytest.raises(ConversionError, match=f"^the file: expected values that .*{words}"):
        applied(array, **options)


def test_first_refused_value_is_named_across_blocks() -> None:
    items = np.zeros(3 * conversion._BLOCK_NITEMS, np.int32)
    items[conversion._BLOCK_NITEMS + 9] = 777
    items[conversion._BLOCK_NITEMS + 10 :] = 888
    with pytest.raises(ConversionError, match="found 777"):
        applied(items, "u1")


# --- Arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", TYPE_CODES)
def test_nothing_to_do_is_no_conversion(file: str) -> None:
    native = np.dtype(file)
    for dtype in (None, native, native.type, native.name):
        assert plan(header(file), dtype, source="the file") is None


@pytest.mark.parametrize("file", TYPE_CODES)
@pytest.mark.parametrize("options", [{"scale": 1}, {"offset": 0}, {"scale": Fraction(2)}], ids=str)
def test_arithmetic_gives_float64_unless_told(file: str, options: dict[str, Any]) -> None:
    assert planned(file, **options).dtype == np.float64


@pytest.mark.parametrize(
    "dtype", [float, int, bool, "float32", np.float32, np.dtype("f4"), "f4", "?"]
)
def test_dtype_of_any_kind(dtype: Any) -> None:
    assert planned("u1", dtype).dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    "number", [2, 2.0, np.float32(2), np.float64(2), np.int8(2), np.longdouble(2), Fraction(2)]
)
def test_scale_and_offset_of_any_kind(number: Any) -> None:
    table = planned("u1", scale=number, offset=number).table
    assert table is not None and table[255] == 512


UNUSABLE: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    *(
        ("u1", {"dtype": dtype}, TypeError, "^dtype: expected bool, or an integer or float type")
        for dtype in (
            "c8",
            "O",
            "M8[s]",
            "m8[s]",
            "S4",
            "U4",
            "V4",
            "i4,i4",
            "f4,,",
            "3f4",
            "foo",
            7,
        )
    ),
    (
        "u1",
        {"dtype": np.dtype("f4").newbyteorder()},
        ValueError,
        r"^dtype: .* found '.f4'; load as f",
    ),
    *(
        ("u1", {name: value}, TypeError, f"^{name}: expected one number")
        for name, value in itertools.product(
            ("scale", "offset"), ("2", 1j, True, np.bool(True), [2], np.array(2.0), np.ones(3))
        )
    ),
    *(
        ("f8", {name: value}, ValueError, f"^{name}: expected a finite number")
        for name, value in itertools.product(
            ("scale", "offset"),
            (math.nan, -math.inf, 10**400, np.float32("inf"), Fraction(10**400)),
        )
    ),
    ("u1", {"scale": Fraction(1, 10**400)}, ValueError, "^scale: expected a finite number"),
    ("u1", {"lut": range(255)}, ValueError, r"^lut: expected an array of 256 .* shape \(255,\)"),
    ("u1", {"lut": np.zeros((16, 16))}, ValueError, r"^lut: .* found shape \(16, 16\)"),
    ("u1", {"lut": 7}, ValueError, r"^lut: .* found shape \(\)"),
    ("u1", {"lut": [[1], [2, 3]]}, ValueError, "^lut: expected an array of 256 .* found none"),
    ("u1", {"lut": [1j] * 256}, TypeError, "^lut: .* found dtype complex128"),
    ("u1", {"lut": [None] * 256}, TypeError, "^lut: .* found dtype object"),
    ("u1", {"lut": bytes(256)}, TypeError, "^lut: .* found dtype"),
    ("u1", {"lut": range(256), "scale": 2}, ValueError, "^lut: expected neither scale nor offset"),
    ("u1", {"lut": range(256), "offset": 0}, ValueError, "^lut: expected neither scale nor offset"),
    *(
        (
            file,
            {"lut": range(256)},
            ValueError,
            "^lut: expected 8-bit data .* in the file; use scale",
        )
        for file in WIDE
    ),
]
if np.dtype(np.longdouble).itemsize > 8:
    UNUSABLE.append(
        ("u1", {"dtype": np.longdouble}, TypeError, "^dtype: expected .* 64 bits, found")
    )


@pytest.mark.parametrize(("file", "options", "error", "words"), UNUSABLE)
def test_unusable_arguments_are_refused(
    file: str, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        plan(header(file), source="the file", **options)
    assert not isinstance(caught.value, IdxError)
