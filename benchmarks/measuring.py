"""Measure one suite: verify what each contender loads, then time all of them in turn.

In each round every contender loads the file once, in an order that rotates from round to round, so
that a machine that slows down slows all of them. A contender's ratio is the median, over the
rounds, of its time divided by the time of the first contender in the same round.
"""

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from time import perf_counter, sleep
from typing import Any, NamedTuple

import numpy as np

from .contenders import Contender, MissingError
from .files import Files
from .neighbours import usage
from .suites import Suite, verify

_DISTURBED = 0.1  # of all CPUs' time taken by others: with patience, the round is repeated
_LOOK_S = 0.1  # the kernel's clock ticks every 10 ms, so that is 10 ticks of each CPU


class Effort(NamedTuple):
    """How much to measure."""

    rounds: int
    least_rounds: int
    budget_s: float
    sample_s: float
    process_rounds: int
    patience_s: float = 0.0


@dataclass
class Times:
    """One contender's seconds per call, one number a round."""

    contender: Contender
    version: str
    rounds: int
    loops: int
    seconds: list[float] = field(default_factory=list)


def measure(suite: Suite, files: Files, effort: Effort) -> dict[str, Any]:
    """Verify and time all contenders of a suite; return the results, raw times included."""
    source = suite.source(files)
    with contextlib.closing(source) if hasattr(source, "close") else contextlib.nullcontext():
        return _measure(suite, source, effort)


def _measure(suite: Suite, source: Any, effort: Effort) -> dict[str, Any]:
    expected = suite.expected(source)
    entries: list[Times] = []
    missing: list[str] = []
    for contender in suite.contenders:
        try:
            version = contender.require()
        except MissingError as reason:
            missing.append(str(reason))
            continue
        verify(contender, contender.load(source), expected)
        once = _seconds(contender.load, source, 1)
        rounds = max(effort.least_rounds, int(effort.budget_s / once))
        loops = max(1, math.ceil(effort.sample_s / once))
        entries.append(Times(contender, version, min(effort.rounds, rounds), loops))
    what = ""
    if isinstance(expected, np.ndarray):
        what = f"{expected.dtype.name}, {' x '.join(f'{length:,}' for length in expected.shape)}"
    del expected
    others, nrepeated = _run_rounds(entries, source, effort)
    return {
        "suite": suite.name,
        "title": suite.title,
        "table": suite.table,
        "what": what,
        "others": others,
        "repeated": nrepeated,
        "contenders": [_entry_json(entry, entries[0]) for entry in entries],
        "missing": missing,
    }


def _run_rounds(entries: list[Times], source: object, effort: Effort) -> tuple[list[float], int]:
    """Time the rounds; return the part that others took in each, and how many were repeated.

    Whether a round counts depends on what others did meanwhile, never on what was measured.
    """
    others: list[float] = []
    nrepeated = 0
    deadline = perf_counter() + effort.patience_s
    turn = 0
    while turn < effort.rounds:
        impatient = perf_counter() >= deadline
        if effort.patience_s and impatient and turn >= effort.least_rounds:
            break  # rather than to mix disturbed rounds in
        if not impatient and _share_of_others(lambda: sleep(_LOOK_S)) >= _DISTURBED:
            continue
        shift = turn % len(entries)
        order = [entry for entry in entries[shift:] + entries[:shift] if turn < entry.rounds]
        seconds: list[float] = []
        share = _share_of_others(partial(_time_round, order, source, seconds))
        if share >= _DISTURBED and not impatient:
            nrepeated += 1
            continue
        others.append(share)
        turn += 1
        for entry, measured in zip(order, seconds, strict=True):
            entry.seconds.append(measured)
    return others, nrepeated


def _time_round(order: list[Times], source: object, seconds: list[float]) -> None:
    seconds += [_seconds(entry.contender.load, source, entry.loops) for entry in order]


def _share_of_others(run: Callable[[], object]) -> float:
    """Return the part of all CPUs' time that others take while something runs; 0 if unknown."""
    before = usage()
    run()
    now = usage()
    return 0.0 if before is None or now is None else now.since(before).others


def _seconds(load: Callable[[Any], object], source: object, loops: int) -> float:
    """Time `loops` calls; each result is freed before the next, so its pages are fresh."""
    gc.collect()
    gc.disable()
    try:
        start = perf_counter()
        for _ in range(loops):
            load(source)
        return (perf_counter() - start) / loops
    finally:
        gc.enable()


def ratio(entry: Times, base: Times) -> float:
    """Return how many times fastidx's time a contender takes, from the rounds both ran."""
    return median(theirs / ours for theirs, ours in zip(entry.seconds, base.seconds, strict=False))


def _entry_json(entry: Times, base: Times) -> dict[str, Any]:
    return {
        "name": entry.contender.name,
        "version": entry.version,
        "loops": entry.loops,
        "median_s": median(entry.seconds),
        "best_s": min(entry.seconds),
        "ratio_to_fastidx": ratio(entry, base),
        "seconds": entry.seconds,
    }
