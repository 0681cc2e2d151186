"""The comparison script: it runs, verifies what it times, and writes what it measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from . import compare, contenders, suites
from .compare import Times, ratio, replace_table

_README = Path(compare.__file__).with_name("README.md")
_PLAN = compare.Plan(rounds=2, least_rounds=1, budget_s=0.0, sample_s=0.0, process_rounds=1)


def test_smoke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FASTIDX_TEST_DATA", raising=False)
    compare.main(["--smoke", "--json", str(tmp_path / "times.json")])
    table = capsys.readouterr().out
    report = json.loads((tmp_path / "times.json").read_text())
    assert [result["suite"] for result in report["suites"]] == [s.name for s in suites.SUITES]
    for result in report["suites"]:
        ours, *others = result["contenders"]
        assert (ours["name"], ours["ratio_to_fastidx"]) == ("fastidx", 1.0)
        for row in (ours, *others):
            assert row["name"] in table
            assert all(seconds > 0 for seconds in row["seconds"])
    assert "`import fastidx` after `import numpy`" in table
    assert "synthetic digits" in table


def test_a_wrong_result_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTIDX_TEST_DATA", raising=False)
    files = suites.prepare(tmp_path, n=20)
    liar = replace(contenders.GZIP, load=lambda source: contenders.GZIP.load(source) ^ 1)
    suite = replace(suites.SUITES[0], contenders=(contenders.FASTIDX, liar))
    with pytest.raises(AssertionError, match=r"gzip \+ frombuffer: .*with other values"):
        compare.measure(suite, files, _PLAN)


def test_who_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTIDX_TEST_DATA", raising=False)
    files = suites.prepare(tmp_path, n=20)

    def version() -> str:
        raise ImportError("No module named 'nowhere'")

    absent = replace(contenders.GZIP, name="absent", version=version)
    suite = replace(suites.SUITES[0], contenders=(contenders.FASTIDX, absent))
    result = compare.measure(suite, files, _PLAN)
    assert [row["name"] for row in result["contenders"]] == ["fastidx"]
    assert result["missing"] == ["absent: No module named 'nowhere'"]
    assert "Not measured: absent: No module named 'nowhere'" in compare.suite_markdown(result)


def test_ratio_pairs_the_rounds() -> None:
    """A machine that slows down by half in the last rounds changes no ratio."""
    base = Times(contenders.FASTIDX, "", 4, 1, [1.0, 1.0, 2.0, 2.0])
    peer = Times(contenders.GZIP, "", 4, 1, [3.0, 3.0, 6.0, 6.0])
    assert ratio(peer, base) == 3.0
    slow = Times(contenders.STRUCT, "", 2, 1, [9.0, 9.0])
    assert ratio(slow, base) == 9.0


def test_table_replaces_the_last_one() -> None:
    readme = _README.read_text("utf-8")
    once = replace_table(readme, "| a |\n")
    twice = replace_table(once, "| b |\n")
    assert "| a |" in once
    assert "| a |" not in twice
    assert twice.replace("| b |", "| a |") == once
    assert once.partition(compare._BEGIN)[0] == readme.partition(compare._BEGIN)[0]
    with pytest.raises(ValueError, match="found them missing"):
        replace_table("# Benchmarks", "| a |")
