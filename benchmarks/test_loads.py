"""Each contender of each suite, one group a suite; every result is verified before it is timed.

The files are in the page cache, and each call's output lies in fresh pages. Contenders run one
after the other here, so a machine that slows down meanwhile distorts the comparison: compare.py
alternates them and makes the table.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from .contenders import Contender, MissingError
from .files import BIG_N, SMOKE_BIG_N, SMOKE_N, Files, N, prepare
from .suites import SUITES, Suite, verify

_CASES = [
    pytest.param(suite, contender, id=f"{suite.name}-{contender.name}")
    for suite in SUITES
    for contender in suite.contenders
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Files:
    """The files of all suites; small synthetic ones where nothing is timed."""
    smoke = request.config.getoption("benchmark_disable")
    n, big_n = (SMOKE_N, SMOKE_BIG_N) if smoke else (N, BIG_N)
    return prepare(tmp_path_factory.mktemp("files"), n=n, big_n=big_n)


@pytest.mark.parametrize(("suite", "contender"), _CASES)
def test_load(suite: Suite, contender: Contender, files: Files, benchmark: Any) -> None:
    try:
        version = contender.require()
    except MissingError as missing:
        pytest.skip(str(missing))
    source = suite.source(files)
    with contextlib.closing(source) if hasattr(source, "close") else contextlib.nullcontext():
        expected = suite.expected(source)
        verify(contender, contender.load(source), expected)
        benchmark.group = suite.title
        benchmark.name = contender.name
        benchmark.extra_info |= {"version": version, "data": files.origin}
        verify(contender, benchmark(contender.load, source), expected)
