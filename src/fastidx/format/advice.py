"""The advice in messages: what to do about a file, or about an array that IDX cannot hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .typecodes import FILE_DTYPES, TYPE_NAMES

FETCH_AGAIN = "check where it comes from and fetch it again"
SERVER_PAGE = (
    "a server has probably sent a page or an error message in place of the file: "
    "open it in a text editor to see which, check the address and fetch the file again"
)
TEXT = (
    "open it in a text editor to see what it says; if a server has sent it in place of the file, "
    "check the address and fetch the file again"
)
PICKLE = ("a Python pickle", "load it with pickle, and only if you trust where it comes from")

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


def byte_order_remedy(shape: tuple[int, ...], size: int | None = None) -> str | None:
    """Say what to do about dimensions that are in little-endian byte order, if they are.

    A writer that mistakes the byte order of the dimensions turns 28 into 469,762,048.

    Parameters
    ----------
    shape : tuple of int
        The dimensions as the header has them.
    size : int, optional
        How many elements the file holds. Without it, the reversed dimensions must be those of an
        ordinary file: less than 2**24 items, of less than 2**16 in each dimension.
    """
    swapped = tuple(int.from_bytes(dim.to_bytes(4, "big"), "little") for dim in shape)
    found, claimed = math.prod(swapped), math.prod(shape)
    if size is None:
        is_ordinary = all(dim < (1 << 16 if axis else 1 << 24) for axis, dim in enumerate(swapped))
        is_swapped = is_ordinary and 0 < found <= claimed >> 10
    else:
        is_swapped = found == size != claimed
    if not is_swapped:
        return None
    return (
        f"its dimensions would be {product(swapped)} in little-endian byte order: write them "
        "big-endian (struct format '>I'), and the data too"
    )


def product(shape: tuple[int, ...]) -> str:
    """Return a shape as messages show it."""
    return " x ".join(f"{dim:,}" for dim in shape)


def types_of(itemsize: float) -> str:
    """Return the names of IDX's types of one size in bytes, joined by "or"; empty if none is."""
    return " or ".join(d.name for d in FILE_DTYPES.values() if d.itemsize == itemsize)


def _values_within(array: np.ndarray[Any, Any], low: int, high: int) -> bool:
    return array.size == 0 or (int(array.min()) >= low and int(array.max()) <= high)
