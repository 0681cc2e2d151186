"""The scaling plot draws what was measured, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .plot_scaling import main, speeds


def _result(suite: str, ratios: dict[str, float]) -> dict[str, Any]:
    rows = [{"name": name, "ratio_to_fastidx": ratio} for name, ratio in ratios.items()]
    return {"suite": suite, "title": "Some file, from a path", "contenders": rows}


_RATIOS = {
    "fastidx, 1 thread": 1.0,
    "fastidx, 2 threads": 0.5,
    "rapidgzip, 2 threads": 4.0,
    "libdeflate (C library)": 1.25,
    "fastidx to float32, 2 threads": 9.0,
}


def test_speeds() -> None:
    found = speeds(_result("images", _RATIOS))
    assert found == {"fastidx": {1: 1.0, 2: 2.0}, "rapidgzip": {2: 0.25}}


def test_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    about = {"cpu": "some CPU", "cpus_used": 2, "date": "2026-01-01", "fastidx": "1"}
    suites = [_result("images", _RATIOS), _result("labels", _RATIOS)]
    source, target = tmp_path / "results.json", tmp_path / "scaling.png"
    source.write_text(json.dumps({"environment": about, "suites": suites}))
    main([str(source), "-o", str(target)])
    assert target.read_bytes().startswith(b"\x89PNG")
    source.write_text(json.dumps({"environment": about, "suites": suites[1:]}))
    with pytest.raises(SystemExit, match="found none"):
        main([str(source)])
