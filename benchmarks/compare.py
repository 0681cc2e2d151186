"""Measure fastidx beside its peers, alternating in one process; write a table and the raw times.

    python -m benchmarks.compare                 # all suites, the table on stdout
    python -m benchmarks.compare images --rounds 41 --cpu 1
    python -m benchmarks.compare --write         # replace the table in README.md and results.json

In each round every contender loads the file once, in an order that rotates from round to round, so
that a machine that slows down slows all of them. A contender's ratio is the median, over the
rounds, of its time divided by fastidx's time in the same round.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import math
import os
import platform
import shlex
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import fastidx
from fastidx import reference

from . import processes
from .contenders import Contender, MissingError
from .suites import SUITES, Files, Suite, prepare, verify

_README = Path(__file__).with_name("README.md")
_RESULTS = Path(__file__).with_name("results.json")
_BEGIN, _END = "<!-- table -->", "<!-- end of table -->"

_ROUNDS = 21
_LEAST_ROUNDS = 5
_BUDGET_S = 12.0  # for one contender in one suite: the slow ones sit out the later rounds
_SAMPLE_S = 0.002  # a shorter call is repeated, or the clock and the caches would speak
_PROCESS_ROUNDS = 15
_SMOKE_N = 500


class Plan(NamedTuple):
    """How much to measure."""

    rounds: int
    least_rounds: int
    budget_s: float
    sample_s: float
    process_rounds: int


@dataclass
class Times:
    """One contender's seconds per call, one number a round."""

    contender: Contender
    version: str
    rounds: int
    loops: int
    seconds: list[float] = field(default_factory=list)


# --- measuring ----------------------------------------------------------------------------------


def measure(suite: Suite, files: Files, plan: Plan) -> dict[str, Any]:
    """Verify and time all contenders of a suite; return the results, raw times included."""
    source = suite.source(files)
    expected = reference.load_frombuffer(source)
    entries, missing = [], []
    for contender in suite.contenders:
        try:
            version = contender.require()
        except MissingError as reason:
            missing.append(str(reason))
            continue
        verify(contender, contender.load(source), expected)
        once = _seconds(contender.load, source, 1)
        rounds = max(plan.least_rounds, int(plan.budget_s / once))
        loops = max(1, math.ceil(plan.sample_s / once))
        entries.append(Times(contender, version, min(plan.rounds, rounds), loops))
    dtype, shape = expected.dtype.name, expected.shape
    del expected
    for turn in range(plan.rounds):
        shift = turn % len(entries)
        for entry in entries[shift:] + entries[:shift]:
            if turn < entry.rounds:
                entry.seconds.append(_seconds(entry.contender.load, source, entry.loops))
    return {
        "suite": suite.name,
        "title": suite.title,
        "dtype": dtype,
        "shape": shape,
        "contenders": [_entry_json(entry, entries[0]) for entry in entries],
        "missing": missing,
    }


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


# --- reporting ----------------------------------------------------------------------------------


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


def suite_markdown(result: dict[str, Any]) -> str:
    """Return a suite's table, the fastest contender first."""
    shape = " x ".join(f"{length:,}" for length in result["shape"])
    lines = [
        f"### {result['title']}: {result['dtype']}, {shape}",
        "",
        "| loader | version | median | best | of fastidx's time | rounds |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in sorted(result["contenders"], key=lambda row: row["ratio_to_fastidx"]):
        name = f"**{row['name']}**" if row["name"] == "fastidx" else row["name"]
        lines.append(
            f"| {name} | {row['version']} | {_duration(row['median_s'])} "
            f"| {_duration(row['best_s'])} | {row['ratio_to_fastidx']:.2f} "
            f"| {len(row['seconds'])} |"
        )
    lines += ["", *(f"Not measured: {reason}\n" for reason in result["missing"])]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def processes_json(files: Files, plan: Plan) -> dict[str, Any]:
    """Measure the import and the peak of memory."""
    imports = [processes.import_seconds() for _ in range(plan.process_rounds)]
    result: dict[str, Any] = {"import_s": imports}
    try:
        peaks = [processes.peak_memory(files.images, files.labels) for _ in range(3)]
    except NotImplementedError as unsupported:
        result["peak_missing"] = str(unsupported)
    else:
        result["peaks"] = [peak._asdict() | {"excess": peak.excess} for peak in peaks]
    return result


def processes_markdown(result: dict[str, Any]) -> str:
    """Return the import's cost and the peak of memory as a list."""
    added = median(result["import_s"])
    lines = [
        "### Process",
        "",
        f"- `import fastidx` after `import numpy`: {_duration(added)} "
        f"(median of {len(result['import_s'])} processes)",
    ]
    for peak in result.get("peaks", [])[:1]:
        worst = max(other["excess"] for other in result["peaks"])
        lines.append(
            f"- peak memory of loading the training images from a path: {peak['output']:,} bytes "
            f"of output + {peak['file']:,} of compressed file {worst:+,} bytes (the worst of "
            f"{len(result['peaks'])} processes)"
        )
    if "peak_missing" in result:
        lines.append(f"- peak memory: not measured ({result['peak_missing']})")
    return "\n".join(lines) + "\n"


def environment(files: Files) -> dict[str, Any]:
    """Describe the machine, the versions and the run."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "command": shlex.join(["python", "-m", "benchmarks.compare", *sys.argv[1:]]),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "cpus_used": len(affinity(0)) if affinity else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "fastidx": fastidx.__version__,
        "fastidx_cpu_features": {k: str(v) for k, v in fastidx.cpu_features().items()},
        "data": files.origin,
    }


def _cpu_model() -> str:
    """Name the CPU: Python's own answer is empty or the architecture on Linux."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = [line.partition(":") for line in lines]
    numbers = ("cpu family", "model", "model name")
    known = {key.strip(): value.strip() for key, _, value in reversed(fields)}
    if "model name" not in known:
        return platform.processor() or platform.machine()
    family, model, name = (known.get(key, "?") for key in numbers)
    return f"{name} (family {family}, model {model})"


def environment_markdown(about: dict[str, Any]) -> str:
    """Return the first paragraph of the report."""
    return (
        f"{about['date']}, {about['cpu']}, {about['cpus_used']} of {about['cpus']} CPUs used, "
        f"{about['system']}, Python {about['python']}, numpy {about['numpy']}, zlib "
        f"{about['zlib']}, fastidx {about['fastidx']}.\n"
        f"Data: {about['data']}; in the page cache. Command: `{about['command']}`.\n"
    )


def replace_table(readme: str, table: str) -> str:
    """Return the README with the text between its two markers replaced."""
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"expected {_BEGIN} and {_END} in {_README}, found them missing")
    return f"{before}{begin}\n\n{table.strip()}\n\n{end}{after}"


# --- the command --------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> None:
    """Run the suites that the command line names."""
    args = _parser().parse_args(argv)
    if args.cpu is not None:
        os.sched_setaffinity(0, {args.cpu})
    plan = Plan(args.rounds, _LEAST_ROUNDS, _BUDGET_S, _SAMPLE_S, _PROCESS_ROUNDS)
    if args.smoke:
        plan = Plan(1, 1, 0.0, 0.0, 1)
    suites = [suite for suite in SUITES if not args.suites or suite.name in args.suites]
    with tempfile.TemporaryDirectory(prefix="fastidx-benchmarks-") as folder:
        files = prepare(Path(folder), n=_SMOKE_N if args.smoke else 60000)
        about = environment(files)
        results = [measure(suite, files, plan) for suite in suites]
        own = None if args.suites else processes_json(files, plan)
    parts = [environment_markdown(about), *map(suite_markdown, results)]
    if own is not None:
        parts.append(processes_markdown(own))
    table = "\n".join(parts)
    print(table)
    report = json.dumps({"environment": about, "suites": results, "processes": own}, indent=1)
    if args.json is not None:
        args.json.write_text(report + "\n")
    if args.write:
        _README.write_text(replace_table(_README.read_text("utf-8"), table), "utf-8")
        _RESULTS.write_text(report + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [suite.name for suite in SUITES]
    # No choices=: argparse would check the empty list against them as well.
    parser.add_argument("suites", nargs="*", metavar="SUITE", type=_suite_name, help=str(names))
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="default: %(default)s")
    parser.add_argument("--cpu", type=int, help="stay on this CPU (Linux)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw times here")
    parser.add_argument("--write", action="store_true", help="update README.md and results.json")
    parser.add_argument("--smoke", action="store_true", help="one round, small data: does it run?")
    return parser


def _suite_name(text: str) -> str:
    if text not in {suite.name for suite in SUITES}:
        raise argparse.ArgumentTypeError(f"no suite is named {text!r}")
    return text


if __name__ == "__main__":
    main()
