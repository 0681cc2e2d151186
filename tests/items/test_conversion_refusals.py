"""Conversions that are refused: values that a dtype cannot hold, and arguments of no use."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from conversions import TYPE_CODES, WIDE, applied, conversion, header

from fastidx.errors import ConversionError, IdxError
from fastidx.items.conversion import BLOCK_NITEMS, conversion_for


def test_refusal_names_file_value_type_and_remedy() -> None:
    for result, byte, words in (
        (conversion("u1", "i1"), 200, "found 200; "),
        (conversion("i1", "u1"), 0xFF, "found -1; "),
        (conversion("u1", "u1", scale=2), 200, "found 200, which becomes 400.0; "),
        (conversion("u1", "u1", lut=range(1000, 1256)), 3, "found 3, which lut maps to 1003; "),
        (conversion("i1", "u1", lut=range(-128, 128)), 0x80, "found -128, which lut maps to 0; "),
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
    items = np.zeros(3 * BLOCK_NITEMS, np.int32)
    items[BLOCK_NITEMS + 9] = 777
    items[BLOCK_NITEMS + 10 :] = 888
    with pytest.raises(ConversionError, match="found 777"):
        applied(items, "u1")


@pytest.mark.parametrize("file", TYPE_CODES)
def test_nothing_to_do_is_no_conversion(file: str) -> None:
    native = np.dtype(file)
    for dtype in (None, native, native.type, native.name):
        assert conversion_for(header(file), dtype, name="the file") is None


@pytest.mark.parametrize("file", TYPE_CODES)
@pytest.mark.parametrize("options", [{"scale": 1}, {"offset": 0}, {"scale": Fraction(2)}], ids=str)
def test_arithmetic_gives_float64_unless_told(file: str, options: dict[str, Any]) -> None:
    assert conversion(file, **options).dtype == np.float64


@pytest.mark.parametrize(
    "dtype", [float, int, bool, "float32", np.float32, np.dtype("f4"), "f4", "?"]
)
def test_dtype_of_any_kind(dtype: Any) -> None:
    assert conversion("u1", dtype).dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    "number", [2, 2.0, np.float32(2), np.float64(2), np.int8(2), np.longdouble(2), Fraction(2)]
)
def test_scale_and_offset_of_any_kind(number: Any) -> None:
    table = conversion("u1", scale=number, offset=number).table
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
        conversion_for(header(file), name="the file", **options)
    assert not isinstance(caught.value, IdxError)
