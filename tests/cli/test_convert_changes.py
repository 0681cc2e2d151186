"""A file that changes while it is converted: the old target stays, and the message says why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastidx
from fastidx import SourceChangedError
from fastidx.transfer import copy

ITEMS = np.random.default_rng(4).integers(0, 9, (60_000, 28), dtype=np.uint8)


@pytest.mark.parametrize("name", ["x", "x.gz", "x.npy"])
@pytest.mark.parametrize("change", ["cut", "rewritten"])
def test_convert_says_that_its_source_changed(
    name: str, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / name, tmp_path / "target.gz"
    target.write_bytes(b"old")
    if name.endswith(".npy"):
        np.save(source, ITEMS)
    else:
        fastidx.save(source, ITEMS)
    read, calls = os.preadv, []

    def read_and_change(descriptor: int, buffers: list[Any], position: int) -> int:
        n = read(descriptor, buffers, position)
        calls.append(n)
        if len(calls) == 3:
            if change == "cut":
                os.truncate(source, 50_000)
            else:
                source.write_bytes(source.read_bytes()[::-1])
            os.utime(source, ns=(1, 1))
        return n

    monkeypatch.setattr(os, "preadv", read_and_change)
    with (
        pytest.raises(SourceChangedError, match="written to meanwhile"),
        copy.open_values(str(source)) as values,
    ):
        copy.write_values(str(target), values)
    assert target.read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == sorted([source, target])
