"""What an index expression means, compared with numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastidx.reading.selection import checked_numbers, numbers_of, runs_of


@given(st.integers(1, 500), st.data(), st.integers(1, 40), st.integers(1, 100))
def test_runs_hold_each_number_once(total: int, data: st.DataObject, gap: int, most: int) -> None:
    wanted = data.draw(st.lists(st.integers(-total, total - 1), max_size=80))
    places = checked_numbers(np.array(wanted, np.intp), total)
    np.testing.assert_array_equal(places, np.arange(total)[np.array(wanted, np.intp)])
    seen: list[int] = []
    stop = 0
    for run in runs_of(places, gap=gap, most=most):
        assert stop <= run.start < run.stop <= total
        assert run.stop - run.start <= most
        assert all(run.start <= places[i] < run.stop for i in run.where)
        seen += run.where.tolist()
        stop = run.stop
    assert sorted(seen) == list(range(len(wanted)))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ([], []),
        ([2, 0, 2], [2, 0, 2]),
        (range(4, 0, -2), [4, 2]),
        (np.array([1, 3], np.uint8), [1, 3]),
        ([True, False, False, True, False], [0, 3]),
        ([True, False], None),
        ([[1, 2]], None),
        ([1.0], None),
        (3, None),
        (slice(3), None),
        (None, None),
        ((1, 2), None),
    ],
)
def test_keys_that_number_items(key: Any, expected: list[int] | None) -> None:
    numbers = numbers_of(key, 5)
    assert (None if numbers is None else numbers.tolist()) == expected


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_numbers_out_of_bounds_are_named(dtype: Any) -> None:
    with pytest.raises(IndexError, match="index 5 is out of bounds for axis 0 with size 5"):
        checked_numbers(np.array([1, 5, 9], dtype), 5)


@pytest.mark.parametrize("numbers", [np.array([0.5]), np.array([[1]]), np.array(["a"])])
def test_other_arrays_are_refused(numbers: np.ndarray[Any, Any]) -> None:
    with pytest.raises(IndexError, match="expected integers"):
        checked_numbers(numbers, 5)
