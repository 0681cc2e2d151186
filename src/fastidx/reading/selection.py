"""What an index expression means: pure functions of numbers, without files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np


class Run(NamedTuple):
    """Items in a row that are read together.

    Attributes
    ----------
    start, stop : int
        Their numbers, as in a range.
    where : ndarray of int
        Which of the requested numbers lie in it.
    """

    start: int
    stop: int
    where: np.ndarray[Any, Any]


def numbers_of(key: Any, total: int) -> np.ndarray[Any, Any] | None:
    """Return the numbers of items that a list, range or array selects along the first axis.

    Parameters
    ----------
    key : object
        The index expression.
    total : int
        Number of items.

    Returns
    -------
    ndarray or None
        One-dimensional, of integers, not checked yet. None if the key selects in another way.

    Examples
    --------
    >>> from fastidx.reading.selection import numbers_of
    >>> numbers_of([True, False, True], 3)
    array([0, 2])
    >>> numbers_of("text", 3) is None
    True
    """
    if not isinstance(key, (list, range, np.ndarray)):
        return None
    numbers = np.asarray(key)
    if isinstance(key, list) and not key:
        numbers = numbers.astype(np.intp)
    if numbers.dtype == bool and numbers.shape == (total,):
        numbers = np.flatnonzero(numbers)
    return numbers if numbers.ndim == 1 and numbers.dtype.kind in "iu" else None


def checked_numbers(numbers: np.ndarray[Any, Any], total: int) -> np.ndarray[Any, Any]:
    """Return the numbers of items counted from 0, as negative ones count from the end.

    Raises
    ------
    IndexError
        If one is out of bounds, or they are no integers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastidx.reading.selection import checked_numbers
    >>> checked_numbers(np.array([-1, 0]), 5)
    array([4, 0])
    """
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise IndexError("expected integers, a slice or an array of integers as an index")
    if numbers.size and (numbers.min() < -total or numbers.max() >= total):
        raise out_of_bounds(numbers[(numbers < -total) | (numbers >= total)][0], total)
    checked = numbers.astype(np.intp)  # to a narrow type the total could not be added
    checked[checked < 0] += total
    return checked


def runs_of(numbers: np.ndarray[Any, Any], *, gap: int, most: int) -> Iterator[Run]:
    """Divide numbers of items into runs, in the order of the file.

    Parameters
    ----------
    numbers : ndarray of int
        From 0 on, in any order, repeated ones included.
    gap : int
        Items whose numbers differ by no more than this are read together.
    most : int
        Length of a run.

    Examples
    --------
    >>> import numpy as np
    >>> from fastidx.reading.selection import runs_of
    >>> for run in runs_of(np.array([90, 3, 5]), gap=2, most=10):
    ...     print(run.start, run.stop, run.where)
    3 6 [1 2]
    90 91 [0]
    """
    if not len(numbers):
        return
    order = np.argsort(numbers, kind="stable")
    breaks = np.flatnonzero(np.diff(numbers[order]) > gap) + 1
    for group in np.split(order, breaks):
        first, last = int(numbers[group[0]]), int(numbers[group[-1]])
        for start in range(first, last + 1, most):
            stop = min(start + most, last + 1)
            inside = (numbers[group] >= start) & (numbers[group] < stop)
            yield Run(start, stop, group[inside])


def out_of_bounds(number: int, total: int) -> IndexError:
    """Return the error for an item that does not exist."""
    return IndexError(f"index {number} is out of bounds for axis 0 with size {total}")
