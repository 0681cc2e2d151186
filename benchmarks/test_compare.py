"""The comparison script: it runs, verifies what it times, and writes what it measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastidx import reference

from . import compare, contenders, files, measuring, report, suites
from .measuring import Times, ratio
from .neighbours import Usage
from .report import replace_table

_README = Path(compare.__file__).with_name("README.md")
_EFFORT = measuring.Effort(rounds=2, least_rounds=1, budget_s=0.0, sample_s=0.0, process_rounds=1)


def test_smoke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FASTIDX_TEST_DATA", raising=False)
    compare.main(["--smoke", "--json", str(tmp_path / "times.json")])
    table = capsys.readouterr().out
    times = json.loads((tmp_path / "times.json").read_text())
    assert [result["suite"] for result in times["suites"]] == [s.name for s in suites.SUITES]
    for result in times["suites"]:
        ours, *others = result["contenders"]
        assert ours["name"].startswith("fastidx") and ours["ratio_to_fastidx"] == 1.0
        for row in others if result["table"] else (ours, *others):
            assert row["name"] in table
        if others:
            assert result["title"] in table
        for row in (ours, *others):
            assert all(seconds > 0 for seconds in row["seconds"])
    assert "`import fastidx` after `import numpy`" in table
    assert "synthetic digits" in table
    assert [peak["threads"] for peak in times["processes"]["peaks"]] in ([1, 2], [])


def test_a_wrong_result_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTIDX_TEST_DATA", raising=False)
    data = files.prepare(tmp_path, n=20)
    liar = replace(contenders.GZIP, load=lambda source: contenders.GZIP.load(source) ^ 1)
    suite = replace(suites.SUITES[0], contenders=(contenders.FASTIDX, liar))
    with pytest.raises(AssertionError, match=r"gzip \+ frombuffer: .*with other values"):
        measuring.measure(suite, data, _EFFORT)


def test_who_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTIDX_TEST_DATA", raising=False)
    data = files.prepare(tmp_path, n=20)

    def version() -> str:
        raise ImportError("No module named 'nowhere'")

    absent = replace(contenders.GZIP, name="absent", version=version)
    suite = replace(suites.SUITES[0], contenders=(contenders.FASTIDX, absent))
    result = measuring.measure(suite, data, _EFFORT)
    assert [row["name"] for row in result["contenders"]] == ["fastidx, 1 thread"]
    assert result["missing"] == ["absent: No module named 'nowhere'"]
    assert "Not measured: absent: No module named 'nowhere'" in report.suite_markdown(result)


def test_ratio_pairs_the_rounds() -> None:
    """A machine that slows down by half in the last rounds changes no ratio."""
    base = Times(contenders.FASTIDX, "", 4, 1, [1.0, 1.0, 2.0, 2.0])
    peer = Times(contenders.GZIP, "", 4, 1, [3.0, 3.0, 6.0, 6.0])
    assert ratio(peer, base) == 3.0
    slow = Times(contenders.STRUCT, "", 2, 1, [9.0, 9.0])
    assert ratio(slow, base) == 9.0


def test_more_threads_than_cpus_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "available_cpus", lambda: 2)
    assert contenders.FASTIDX_2.require()
    with pytest.raises(contenders.MissingError, match=r"4 threads: .* only 2 CPUs"):
        contenders.FASTIDX_PARALLEL[1].require()


def _measure_among(
    shares: list[float], monkeypatch: pytest.MonkeyPatch, **effort: Any
) -> tuple[list[float], int, int]:
    """Time rounds while others take some parts of the CPUs; return those, repeated, and rounds."""
    left = iter(shares)

    def share_of_others(run: Callable[[], object]) -> float:
        run()
        return next(left)

    monkeypatch.setattr(measuring, "_share_of_others", share_of_others)
    monkeypatch.setattr(measuring, "_LOOK_S", 0.0)
    entry = Times(contenders.STRUCT, "", 9, 1)
    some = reference.dumps(np.zeros(3))
    others, nrepeated = measuring._run_rounds([entry], some, _EFFORT._replace(**effort))
    assert next(left, None) is None
    return others, nrepeated, len(entry.seconds)


def test_without_patience_each_round_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _measure_among([0.5, 0.0], monkeypatch, rounds=2) == ([0.5, 0.0], 0, 2)


def test_with_patience_disturbed_rounds_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    looks_and_rounds = [0.5, 0.3, 0.0, 0.4, 0.0, 0.01, 0.0, 0.02]
    found = _measure_among(looks_and_rounds, monkeypatch, rounds=2, patience_s=1e9)
    assert found == ([0.01, 0.02], 1, 2)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the least number of rounds is measured, among whatever others do."""
    found = _measure_among([0.5], monkeypatch, rounds=2, least_rounds=1, patience_s=1e-9)
    assert found == ([0.5], 0, 1)


def test_usage_of_others() -> None:
    before = Usage(total=10.0, busy=4.0, own=1.0)
    assert Usage(total=14.0, busy=7.0, own=2.0).since(before).others == 0.5
    assert Usage(total=14.0, busy=4.5, own=2.0).since(before).others == 0.0
    assert before.since(before).others == 0.0


def test_a_part_of_the_suites_replaces_their_part() -> None:
    def reported(run: int, *names: str, cpu: str = "a") -> dict[str, Any]:
        results = [{"suite": name, "run": run} for name in names]
        return {"environment": {"cpu": cpu}, "suites": results, "processes": None}

    old = reported(1, "images", "big") | {"processes": {"import_s": [1.0]}}
    both = compare.merged(old, reported(2, "big"))
    assert [(r["suite"], r["run"]) for r in both["suites"]] == [("images", 1), ("big", 2)]
    assert both["processes"] == {"import_s": [1.0]}
    elsewhere = reported(2, "big", cpu="b")
    assert compare.merged(old, elsewhere) == elsewhere


def test_a_reason_is_told_once() -> None:
    missing = ["a, 4 threads: few CPUs", "b: no module", "c, 4 threads: few CPUs"]
    assert report._grouped(missing) == "a, 4 threads, c, 4 threads: few CPUs; b: no module"


def test_table_replaces_the_last_one() -> None:
    readme = _README.read_text("utf-8")
    once = replace_table(readme, "| a |\n")
    twice = replace_table(once, "| b |\n")
    assert "| a |" in once
    assert "| a |" not in twice
    assert twice.replace("| b |", "| a |") == once
    assert once.partition(report.BEGIN)[0] == readme.partition(report.BEGIN)[0]
    with pytest.raises(ValueError, match="found them missing"):
        replace_table("# Benchmarks", "| a |")
