"""A plain file that was cut: whole items can be had, others are refused before memory is taken."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastidx
from fastidx import IdxHeader, TruncatedError
from fastidx.cli.main import main
from fastidx.reference import dumps

ITEMS = np.arange(1000 * 28, dtype=np.int32).reshape(1000, 28)
HELD = 300
CUT = dumps(ITEMS)[: 12 + HELD * 112 + 50]


def test_whole_items_can_be_read() -> None:
    with fastidx.open(CUT) as reader:
        assert len(reader) == 1000
        np.testing.assert_array_equal(reader[0], ITEMS[0])
        np.testing.assert_array_equal(reader[:HELD], ITEMS[:HELD])
        np.testing.assert_array_equal(reader[[299, 5]], ITEMS[[299, 5]])
        np.testing.assert_array_equal(reader[0:HELD:7], ITEMS[0:HELD:7])
        batches = list(reader.batches(100, stop=HELD))
        np.testing.assert_array_equal(np.concatenate(batches), ITEMS[:HELD])


@pytest.mark.parametrize(
    "read",
    [
        lambda reader: reader[300],
        lambda reader: reader[-1],
        lambda reader: reader[:301],
        lambda reader: reader[::3],
        lambda reader: reader[::-1],
        lambda reader: reader[[0, 999]],
        list,
        lambda reader: list(reader.batches(300)),
        lambda reader: reader.read_into(np.empty((2, 28), np.int32), 299),
        lambda reader: reader.as_memmap(),
        np.asarray,
    ],
)
def test_other_items_are_refused_with_the_way_to_the_whole_ones(
    read: Callable[[Any], Any],
) -> None:
    way = re.escape("300 of 1,000 items complete, which fastidx.open(…)[:300] or")
    with fastidx.open(CUT) as reader, pytest.raises(TruncatedError, match=way):
        read(reader)


def test_load_names_the_way_too() -> None:
    with pytest.raises(TruncatedError, match="fastidx cat --stop 300"):
        fastidx.load(CUT)


def test_the_way_is_true_on_the_command_line(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "x").write_bytes(CUT)
    assert (
        main(["cat", "--stop", "300", str(tmp_path / "x"), "--out", str(tmp_path / "y.npy")]) == 0
    )
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), ITEMS[:300])
    assert (
        main(["cat", "--stop", "301", str(tmp_path / "x"), "--out", str(tmp_path / "z.npy")]) == 1
    )
    assert b"300 of 1,000 items complete" in capsysbinary.readouterr().err
    assert not (tmp_path / "z.npy").exists()


@pytest.mark.parametrize(
    "shape", [(2**32 - 1,), (2**32 - 1, 28, 28), (1, 2**31, 2**20), (5, 2**32 - 1)]
)
def test_a_claim_takes_no_memory(shape: tuple[int, ...]) -> None:
    content = IdxHeader(8, shape).to_bytes() + bytes(100)
    reads: list[Callable[[Any], Any]] = [
        lambda reader: reader[:],
        lambda reader: reader[::2],
        lambda reader: reader[-1],
        lambda reader: next(iter(reader.batches(2**30))),
        np.asarray,
    ]
    with fastidx.open(content) as reader:
        for read in reads:
            with pytest.raises(TruncatedError, match="holds 100 of"):
                read(reader)
