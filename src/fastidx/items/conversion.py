"""Items of another type than the file's: ``dtype``, ``x * scale + offset``, or a table.

One rule holds for every type of file. The value is computed in float64, each operation rounded by
itself as numpy rounds it: times ``scale``, plus ``offset``. Then it is rounded once to ``dtype``,
to nearest and on a tie to even, for integers too (`numpy.rint`); a bool says whether it is not 0.
Without ``scale`` and ``offset`` the value is the item itself, exactly. What ``dtype`` cannot hold
is refused: NaN and what is out of range by an integer, a finite value that would become infinite
by a float. Nothing wraps around, and nothing is refused that does not occur in the file.

For 8-bit data all of that happens 256 times, here, and the kernel looks the results up. Data of
other types is converted by numpy, in blocks that stay in the cache.
"""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastidx.errors import ConversionError
from fastidx.format.header import IdxHeader

if TYPE_CHECKING:
    from fractions import Fraction  # to import it takes longer than the rest of this package

    import numpy.typing as npt

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
_Step: TypeAlias = tuple[np.ufunc, float]  # an operation and its second operand
Number: TypeAlias = "float | Fraction | np.integer[Any] | np.floating[Any]"

# A block's values in float64 take 256 KiB, which leaves the L2 cache room for the rest. With fewer
# the cost of calling numpy shows (8192: half as much again); with more it gets no faster.
_BLOCK_NITEMS = 32768
_TABLE_NITEMS = 256
_EXPECTED_DTYPE = "bool, or an integer or float type of at most 64 bits"


class Conversion:
    """How the items of one file become items of the result; see `plan`.

    Any number of threads may use one, each with slices of its own.

    Attributes
    ----------
    dtype : dtype
        Type of the result, in native byte order.
    table : ndarray or None
        For 8-bit data the result for each byte of the file, 256 entries; otherwise None.
    refused : ndarray of bool or None
        Which of the 256 bytes have no result; None if all have one.
    """

    def __init__(
        self,
        file_dtype: np.dtype[Any],
        dtype: np.dtype[Any],
        steps: list[_Step],
        lut: Array | None,
        source: str,
    ) -> None:
        self.dtype = dtype
        self.table: Array | None = None
        self.refused: Array | None = None
        self._file_dtype = file_dtype
        self._steps = steps
        self._lut = lut
        self._source = source
        given = file_dtype if lut is None else lut.dtype
        self._may_refuse = bool(steps) or not np.can_cast(given, dtype, "safe")
        if file_dtype.itemsize == 1:
            self._tabulate()
        elif file_dtype.kind == "i" and self._may_refuse:
            # Every operation and rounding is monotonic, so what holds for both ends holds between.
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
            self.table[self.refused] = 0  # rather than what happens to come of it here

    def _first_refused(self, items: Array, out: Array) -> int | None:
        # Not even when the caller has told numpy to raise: what goes wrong is judged here.
        with np.errstate(all="ignore"):
            for begin in range(0, len(items), _BLOCK_NITEMS):
                block = slice(begin, begin + _BLOCK_NITEMS)
                refused = self._convert(items[block], out[block])
                if refused is not None:
                    return begin + int(refused.argmax())
        return None

    def _convert(self, items: Array, out: Array) -> Array | None:
        """Write the results, and return which items have none; None if all have one."""
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
        """Return what is to be rounded: the items themselves, or float64, in ``out`` if it fits."""
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
            f"{self._source}: expected values that {self.dtype.name} can hold "
            f"({_range(self.dtype)}), found {found}; choose a dtype that holds it, or {remedy}"
        )


def plan(
    header: IdxHeader,
    dtype: npt.DTypeLike | None = None,
    scale: Number | None = None,
    offset: Number | None = None,
    lut: npt.ArrayLike | None = None,
    *,
    source: str,
) -> Conversion | None:
    """Decide what is to become of a file's items.

    Parameters
    ----------
    header : IdxHeader
        Of the file.
    dtype : dtype-like, optional
        Type of the result: bool, an integer or a float of at most 64 bits, in native byte order.
        By default the file's type; with ``scale`` or ``offset``, float64; with ``lut``, its type.
    scale : int, float or Fraction, optional
        Factor. A `fractions.Fraction` multiplies by its numerator and divides by its denominator,
        so that ``Fraction(1, 255)`` is exactly the division ``x / 255.0``, where ``1 / 255`` would
        be a multiplication by a rounded number.
    offset : int, float or Fraction, optional
        What is added then.
    lut : array-like of 256 numbers, optional
        For 8-bit data instead of ``scale`` and ``offset``: the result is ``lut[x]``, with x from
        -128 to -1 counted from the end, as numpy and Python index. Its values are rounded to
        ``dtype`` like others.
    source : str
        What the messages call the file.

    Returns
    -------
    Conversion or None
        None if the items stay what they are.

    Raises
    ------
    TypeError, ValueError
        If an argument is nothing that can be used, or not with this file.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from fastidx.items.conversion import plan
    >>> from fastidx.format.header import IdxHeader
    >>> conversion = plan(IdxHeader(0x08, (60000,)), scale=Fraction(1, 255), source="train-images")
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
            f"lut: expected 8-bit data (uint8 or int8), found {header.dtype} in {source}; "
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
    return Conversion(header.dtype, target, steps, table, source)


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
    """Return what is to be done to a value, in order."""
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
        # max + 1 is a power of two, exact where max may not be; the negation refuses NaN as well.
        return ~((values >= limits.min) & (values < limits.max + 1))
    return (values < limits.min) | (values > limits.max)


def _range(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return f"up to {float(np.finfo(dtype).max):.6g}, positive or negative"
    return f"{np.iinfo(dtype).min} to {np.iinfo(dtype).max}"
