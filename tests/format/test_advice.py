"""The advice for arrays that IDX has no type for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from messages import message_of

from fastidx.errors import UnsupportedDTypeError
from fastidx.format.header import header_for

FILE = "folder/train-images-idx3-ubyte.gz"

WIDE = [
    (np.array([-(2**31), 2**31 - 1]), "astype('int32')"),
    (np.array([2**31]), "astype('float64')"),
    (np.array([-(2**53), 2**53]), "astype('float64')"),
    (np.array([2**53 + 1]), "no type of IDX holds all its values exactly"),
    (np.array([2**63], dtype=">u8"), "no type of IDX holds all its values exactly"),
    (np.array([5], dtype=">u8"), "astype('int32')"),
    (np.empty((0, 3), dtype=np.int64), "astype('int32')"),
]


@pytest.mark.parametrize(("array", "advice"), WIDE, ids=str)
def test_advice_for_64_bit_integers_follows_the_values(
    array: np.ndarray[Any, Any], advice: str
) -> None:
    message = message_of(header_for, array, name=FILE)
    assert f"found {array.dtype.name};" in message
    assert advice in message


NEAREST = {
    "bool": "astype('uint8'), which holds every bool exactly",
    ">u2": "astype('int32'), which holds every uint16 exactly",
    "float16": "astype('float32'), which holds every float16 exactly",
    "complex64": "no type of IDX holds such values",
    "object": "no type of IDX holds such values",
    "U3": "no type of IDX holds such values",
    "S3": "no type of IDX holds such values",
    "M8[s]": "no type of IDX holds such values",
    "m8[s]": "no type of IDX holds such values",
    "i4,f4": "no type of IDX holds such values",
}


@pytest.mark.parametrize(("dtype", "advice"), NEAREST.items())
def test_unsupported_type_names_the_nearest_that_fits(dtype: str, advice: str) -> None:
    with pytest.raises(UnsupportedDTypeError) as caught:
        header_for(np.zeros(2, dtype=dtype), name=FILE)
    types = "uint8, int8, int16, int32, float32, float64"
    for part in (FILE, f"that IDX has ({types})", "found ", advice):
        assert part in str(caught.value)


def test_advice_for_uint32_is_float64_and_int32_where_that_would_do() -> None:
    small = message_of(header_for, np.array([2**31 - 1], dtype="u4"))
    large = message_of(header_for, np.array([2**31], dtype="u4"))
    for message in (small, large):
        assert "astype('float64'), which holds every uint32 exactly" in message
    assert "astype('int32'), which holds the values of this array" in small
    assert "int32')" not in large


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is float64 here")
def test_advice_for_long_double_warns_of_rounding() -> None:
    message = message_of(header_for, np.zeros(2, dtype=np.longdouble))
    assert "astype('float64'), the nearest, which rounds" in message
