"""Convert items to another type: by ``dtype``, ``x * scale + offset``, or a table.

One rule holds for every type of file. The value is computed in float64: times ``scale``, plus
``offset``, and each of the two operations rounds as numpy rounds. Then the value is rounded once
to ``dtype``, to nearest and ties to even, for integers too (`numpy.rint`). A bool is True unless
the value is 0. Without ``scale`` and ``offset`` the value is the item itself, exactly. A value
that ``dtype`` cannot hold is refused: an integer refuses NaN and values out of its range, a float
refuses a finite value that would become infinite. Nothing wraps around, and no value is refused
that does not occur in the file.

For 8-bit data this module converts all 256 values once, and the kernel looks the results up.
numpy converts data of other types, in blocks that stay in the cache.
"""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastidx.errors import ConversionError
from fastidx.format.header import IdxHeader

if TYPE_CHECKING:
    from fractions import Fraction  # its import takes longer than that of this package

    import numpy.typing as npt

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
_Step: TypeAlias = tuple[np.ufunc, float]  # an operation and its second operand
Number: TypeAlias = "float | Fraction | np.integer[Any] | np.floating[Any]"

# A block takes 256 KiB in float64, which leaves room in the L2 cache for items and results. Smaller
# blocks pay for more calls of numpy (8192: half as much again); larger ones are no faster.
BLOCK_NITEMS = 32768
_TABLE_NITEMS = 256
_EXPECTED_DTYPE = "bool, or an integer or float type of at most 64 bits"


class Conversion:
    """The rule by which the items of one file become items of the result.

    Made by `conversion_for`. Any number of threads may use one conversion, each on slices of its
    own.

    Attributes
    ----------
    dtype : dtype
        Type of the result, in native byte order.
    table : ndarray or None
        For 8-bit data, the result for each byte of the file: 256 entries of ``dtype``. None for
        other data.
    refused : ndarray of bool or None
        Shape (256,): True for each byte that ``dtype`` cannot hold. None if it can hold all.
    """

    def __init__(
        self,
        file_dtype: np.dtype[Any],
        dtype: np.dtype[Any],
        steps: list[_Step],
        lut: Array | None,
        name: str,
    ) -> None:
        self.dtype = dtype
        self.table: Array | None = None
        self.refused: Array | None = None
        self._file_dtype = file_dtype
        self._steps = steps
        self._lut = lut
        self._name = name
        given = file_dtype if lut is None else lut.dtype
        self._may_refuse = bool(steps) or not np.can_cast(given, dtype, "safe")
        if file_dtype.itemsize == 1:
            self._tabulate()
        elif file_dtype.kind == "i" and self._may_refuse:
            # Every operation and rounding is monotonic: if both ends have results, so have all
            # values between.
            ends = np.array([np.iinfo(file_dtype).min, np.iinfo(file_dtype).max], file_dtype)
            self._may_refuse = self._first_refused(ends, np.empty(2, dtype)) is not None

    def apply(self, items: Array, out: Array) -> None:
        """Convert one slice of data that is not 8-bit.

        Parameters
        ----------
        items : ndarray
            One-dimensional, of the file's type in native byte order.
        out : ndarray
            One-dimensional, as long, of type ``dtype``. Undefined after an error.

        Raises
        ------
        ConversionError
            If ``dtype`` cannot hold a value; the message names the first.
        """
        first = self._first_refused(items, out)
        if first is not None:
            raise self._refusal(items[first])

    def refusal(self, byte: int) -> ConversionError:
        """Return the error for a byte of the file that ``refused`` marks."""
        return self._refusal(np.uint8(byte).view(self._file_dtype))

    def _tabulate(self) -> None:
        every_byte = np.arange(_TABLE_NITEMS, dtype=np.uint8)
        items = every_byte.view(self._file_dtype) if self._lut is None else self._lut
        self.table = np.empty(_TABLE_NITEMS, self.dtype)
        with np.errstate(all="ignore"):
            self.refused = self._convert(items, self.table)
        if self.refused is not None:
            self.table[self.refused] = 0  # numpy's result depends on the CPU

    def _first_refused(self, items: Array, out: Array) -> int | None:
        # A caller may have told numpy to raise, but this module judges the results itself.
        with np.errstate(all="ignore"):
            for begin in range(0, len(items), BLOCK_NITEMS):
                block = slice(begin, begin + BLOCK_NITEMS)
                refused = self._convert(items[block], out[block])
                if refused is not None:
                    return begin + int(refused.argmax())
        return None

    def _convert(self, items: Array, out: Array) -> Array | None:
        """Write the results, and return which items are refused; None if no item is."""
        values = self._values(items, out)
        if self.dtype.kind == "b":
            np.not_equal(values, 0, out=out)
            return None
        if values is not out:
            np.copyto(out, values, casting="unsafe")
        if not self._may_refuse:
            return None
        if self.dtype.kind == "f":
            refused = np.isinf(out)
            if refused.any():
                refused &= np.isfinite(items)
        else:
            refused = _outside(values, np.iinfo(self.dtype))
        return refused if refused.any() else None

    def _values(self, items: Array, out: Array) -> Array:
        """Return the values to be rounded: the items, or float64 values, if possible in ``out``."""
        rounds = self.dtype.kind in "iu" and items.dtype.kind == "f"
        if not self._steps and not rounds:
            return items
        values = out if out.dtype == np.float64 else np.empty(len(items), np.float64)
        np.copyto(values, items)
        self._compute(values)
        if self.dtype.kind in "iu":
            np.rint(values, out=values)
        return values

    def _compute(self, values: Array) -> None:
        for operation, operand in self._steps:
            operation(values, operand, out=values)

    def _refusal(self, item: Any) -> ConversionError:
        found, remedy = f"{item}", "bring it into that range with scale and offset"
        if self._lut is not None:
            found += f", which lut maps to {self._lut[int(item)]}"
            remedy = "change lut"
        elif self._steps:
            value = np.array([item], np.float64)
            with np.errstate(all="ignore"):
                self._compute(value)
            found += f", which becomes {value[0]}"
        return ConversionError(
            f"{self._name}: expected values that {self.dtype.name} can hold "
            f"({_range(self.dtype)}), found {found}; choose a dtype that holds it, or {remedy}"
        )


def conversion_for(
    header: IdxHeader,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    *,
    name: str,
) -> Conversion | None:
    """Return the conversion that these options ask for.

    Parameters
    ----------
    header : IdxHeader
        The header of the file.
    dtype : dtype-like, optional
        Type of the result: bool, an integer or a float of at most 64 bits, in native byte order.
        By default the file's type; with ``scale`` or ``offset``, float64; with ``lut``, its type.
    scale : int, float or Fraction, optional
        Factor. A `fractions.Fraction` multiplies by its numerator and divides by its denominator:
        ``Fraction(1, 255)`` gives exactly ``x / 255.0``, but ``1 / 255`` multiplies by a rounded
        number.
    offset : int, float or Fraction, optional
        Added to the product.
    lut : array-like of 256 numbers, optional
        For 8-bit data, instead of ``scale`` and ``offset``: the result is ``lut[x]``, where
        negative x count from the end, as in numpy and Python. Its values are rounded to ``dtype``
        like others.
    name : str
        The name of the file in messages.

    Returns
    -------
    Conversion or None
        None if the items stay as they are.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or cannot be used with this file.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from fastidx.items.conversion import conversion_for
    >>> from fastidx.format.header import IdxHeader
    >>> header = IdxHeader(0x08, (60000,))
    >>> conversion = conversion_for(header, scale=Fraction(1, 255), name="train-images")
    >>> conversion.dtype, len(conversion.table), conversion.table[51]
    (dtype('float64'), 256, np.float64(0.2))
    """
    steps = _steps(scale, offset)
    table = None if lut is None else _table(lut)
    if table is not None and steps:
        raise ValueError(
            "lut: expected neither scale nor offset beside it, found both kinds of conversion; "
            "apply them to the values of lut"
        )
    if table is not None and header.dtype.itemsize != 1:
        raise ValueError(
            f"lut: expected 8-bit data (uint8 or int8), found {header.dtype} in {name}; "
            "use scale and offset, or convert the loaded array"
        )
    if dtype is not None:
        target = _target(dtype)
    elif table is not None:
        target = table.dtype
    else:
        target = np.dtype(np.float64) if steps else header.dtype
    if target == header.dtype and table is None and not steps:
        return None
    return Conversion(header.dtype, target, steps, table, name)


def _target(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        target = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):  # the last from strings with commas
        raise TypeError(f"dtype: expected {_EXPECTED_DTYPE}, found {dtype!r}") from None
    if not _is_supported(target):
        raise TypeError(f"dtype: expected {_EXPECTED_DTYPE}, found {target}")
    if not target.isnative:
        raise ValueError(
            f"dtype: expected native byte order, found {target.str!r}; load as {target.name} and "
            f"convert the array with .astype({target.str!r})"
        )
    return target


def _is_supported(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def _steps(scale: Number | None, offset: Number | None) -> list[_Step]:
    """Return the operations on a value, in order."""
    steps: list[_Step] = []
    if isinstance(scale, numbers.Rational) and not isinstance(scale, numbers.Integral):
        if scale.numerator != 1:
            steps.append((np.multiply, _float("scale", scale.numerator)))
        steps.append((np.divide, _float("scale", scale.denominator)))
    elif scale is not None:
        steps.append((np.multiply, _float("scale", scale)))
    if offset is not None:
        steps.append((np.add, _float("offset", offset)))
    return steps


def _float(name: str, number: Number) -> float:
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        raise TypeError(
            f"{name}: expected one number (int, float or Fraction), found {type(number).__name__}"
        )
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number in float64's range, found {number}")
    return value


def _table(lut: npt.ArrayLike) -> Array:
    expected = f"an array of {_TABLE_NITEMS} numbers (bool, integer or float of at most 64 bits)"
    try:
        table = np.asarray(lut)
    except ValueError as error:  # nested lists of different lengths
        raise ValueError(f"lut: expected {expected}, found none: {error}") from None
    if not _is_supported(table.dtype):
        raise TypeError(f"lut: expected {expected}, found dtype {table.dtype}")
    if table.shape != (_TABLE_NITEMS,):
        raise ValueError(f"lut: expected {expected}, found shape {table.shape}")
    return table.astype(table.dtype.newbyteorder("="))


def _outside(values: Array, limits: np.iinfo[Any]) -> Array:
    if values.dtype.kind == "f":
        # max + 1 is a power of two, so it is exact, but max may not be. NaN fails both comparisons
        # and so counts as outside.
        return ~((values >= limits.min) & (values < limits.max + 1))
    return (values < limits.min) | (values > limits.max)


def _range(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return f"up to {float(np.finfo(dtype).max):.6g}, positive or negative"
    return f"{np.iinfo(dtype).min} to {np.iinfo(dtype).max}"
