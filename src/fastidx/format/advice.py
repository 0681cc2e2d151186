"""The advice in messages: what to do about a file, or about an array that IDX cannot hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from .typecodes import TYPE_NAMES

FETCH_AGAIN = "check where it comes from and fetch it again"
SERVER_PAGE = (
    "a server has probably sent a page or an error message in place of the file: "
    "open it in a text editor to see which, check the address and fetch the file again"
)

# Above this a float64 no longer holds every integer.
_FLOAT64_EXACT = 2**53


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return what messages call a dtype: for numbers, the name without the byte order."""
    return dtype.name if dtype.kind in "biufc" else str(dtype)


def advise_dtype(array: np.ndarray[Any, Any]) -> str:
    """Say which of the types of IDX can hold the values of an array, the smallest first."""
    dtype = array.dtype
    if dtype.kind in "iu" and dtype.itemsize == 8:
        # numpy calls the cast to float64 safe, but it is exact only up to 2**53.
        if _values_within(array, -(2**31), 2**31 - 1):
            return "convert it with .astype('int32'), which holds all its values"
        if _values_within(array, -_FLOAT64_EXACT, _FLOAT64_EXACT):
            return "convert it with .astype('float64'), which holds all its values exactly"
        return "no type of IDX holds all its values exactly"
    for name in TYPE_NAMES:
        if np.can_cast(dtype, name, "safe"):
            exact = f"holds every {dtype_name(dtype)} exactly"
            advice = f"convert it with .astype('{name}'), which {exact}"
            if dtype == np.uint32 and _values_within(array, 0, 2**31 - 1):
                advice += ", or with .astype('int32'), which holds the values of this array"
            return advice
    if dtype.kind == "f":
        return "convert it with .astype('float64'), the nearest, which rounds"
    return "no type of IDX holds such values"


def _values_within(array: np.ndarray[Any, Any], low: int, high: int) -> bool:
    return array.size == 0 or (int(array.min()) >= low and int(array.max()) <= high)
